"""Deciding on the documents of a file: rules, filters, edits and lengths together, with either form of attributes."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pytest

from dolma_pipeline.config.recipe import Edit, Mix, OnError, Select
from dolma_pipeline.errors import ConfigError, DataError
from dolma_pipeline.formats.attributes import DOCUMENT, SPANS, AttributeWriter
from dolma_pipeline.formats.documents import read_documents
from dolma_pipeline.mixers.attribute_files import MixInput
from dolma_pipeline.mixers.decide import Decider, Decision
from dolma_pipeline.mixers.names import resolve_names

TEXTS = ["hello añejo world", "short", "mail me@x.org now", "   x   ", "again and again"]
EN = pa.array([0.9, 0.8, 0.2, None, 0.7], DOCUMENT)
MAIL = pa.array([[{"start": 6, "end": 11, "score": 1.0}], [], [{"start": 5, "end": 13, "score": 2.0}], None, []], SPANS)


def write_lines(path: Path, rows: list[Any]) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join((r if isinstance(r, str) else json.dumps(r)) + "\n" for r in rows))
    return str(path)


@pytest.fixture(params=["parquet", "jsonl", "jsonl.zst"])
def source(request: pytest.FixtureRequest, tmp_path: Path) -> MixInput:
    documents = [{"id": f"d{i}", "text": t, "source": "s" if i % 2 else "t"} for i, t in enumerate(TEXTS)]
    path = write_lines(tmp_path / "documents" / "a.jsonl", documents)
    writer = AttributeWriter(tmp_path / "attributes" / "base" / f"a.{request.param}")
    writer.write_rows(
        pa.array([f"d{i}" for i in range(5)], pa.large_string()),
        {"base__ft__en": EN, "base__pii__MAIL": MAIL},
        lengths=pa.array([len(t) for t in TEXTS], pa.int64()),
    )
    writer.finish()
    return MixInput(path=path, label="a", attributes={"base": str(writer.path)})


def names_of(mix: Mix, source: MixInput) -> dict[str, tuple[str, str]]:
    return resolve_names(mix, {}, {e: {"a": path} for e, path in source.attributes.items()}, "$.mix")


def decide(mix: Mix, source: MixInput) -> tuple[Decider, Decision]:
    decider = Decider(mix, names_of(mix, source))
    (decision,) = decider.decisions(source, read_documents(source.path, keep_raw=True))
    return decider, decision


def test_rules_edits_and_lengths(source: MixInput) -> None:
    mix = Mix(
        drop={"foreign": "ft.en < 0.5", "brief": 'length < 6 and source == "s"', "bytes": "bytes > length + 5"},
        edit=[Edit(replace="pii.MAIL", with_="|||", min_score=0.5)],
        min_text_length=2,
    )
    decider, decision = decide(mix, source)
    assert decider.rules == ["foreign", "brief", "bytes", "select", "min_text_length", "expression_failed"]
    assert decision.rule.tolist() == [-1, 1, 0, 4, -1]
    assert decision.rule.dtype == np.int16
    assert decision.kept.tolist() == [True, False, False, False, True]
    assert decision.texts is not None
    assert decision.texts.to_pylist() == ["hello ||| world", None, None, None, None]
    assert decision.sizes().tolist() == [15, 5, 17, 7, 15]
    assert decision.edited == {"replace pii.MAIL": 1}
    assert decider.warnings == []


def test_dolmas_forms_see_either_kind_of_file(source: MixInput) -> None:
    mix = Mix(
        drop={"brief": "length < 6"},
        select=Select(exclude=["$.attributes[?(@.base__ft__en && @.base__ft__en[0][2] < 0.75)]"]),
        edit=[Edit(span="$.attributes.base__pii__MAIL", replacement="<{}>", max_score=1.5)],
    )
    decider, decision = decide(mix, source)
    assert decision.rule.tolist() == [-1, 0, 1, -1, 1]
    assert decision.texts is not None
    assert decision.texts.to_pylist() == ["hello <añejo> world", None, None, None, None]
    assert decision.edited == {"span $.attributes.base__pii__MAIL": 1}
    assert decider.warnings == []


def test_nothing_edited_is_no_texts(source: MixInput) -> None:
    _, decision = decide(Mix(edit=[Edit(cut="pii.MAIL", min_score=9.0)]), source)
    assert decision.texts is None
    assert decision.edited == {"cut pii.MAIL": 0}


LOW = '.attributes.base__ft__en[0][2] | if . < 0.5 then error("low") else . > 0.75 end'


@pytest.mark.parametrize(("on_error", "rules"), [("keep", [-1, -1, -1, -1, 0]), ("drop", [-1, -1, 2, 2, 0])])
def test_what_a_filter_fails_on_is_kept_or_dropped_and_counted(
    on_error: OnError, rules: list[int], source: MixInput
) -> None:
    decider, decision = decide(Mix(select=Select(include=[LOW], syntax="jq", on_error=on_error)), source)
    assert decision.rule.tolist() == rules
    assert decision.unjudged == {"select": 2}
    assert decider.warnings == [f"{source.path}: select failed on 2 documents; the first: line 3: jq `{LOW}`: low"]


def test_what_a_filter_fails_on_ends_the_run(source: MixInput) -> None:
    with pytest.raises(DataError) as caught:
        decide(Mix(select=Select(include=[LOW], syntax="jq")), source)
    assert str(caught.value) == (
        f"{source.path}:3: document `d2`: select: jq `{LOW}`: low; `?` or `//` in a program allow for what may be "
        "missing; `on_error: keep` or `on_error: drop` goes on"
    )
    # A document that an earlier rule drops needs no verdict.
    mix = Mix(drop={"low": "ft.en < 0.5", "none": "not any(ft.en)"}, select=Select(include=[LOW], syntax="jq"))
    assert decide(mix, source)[1].rule.tolist() == [-1, -1, 0, 1, 2]


def test_as_dolma_an_index_of_null_fails(source: MixInput) -> None:
    select = Select(include=[".missing.x == null"], syntax="jq")
    assert decide(Mix(select=select), source)[1].kept.all()
    with pytest.raises(DataError, match=re.escape("a.jsonl:1: document `d0`: select: jq `.missing.x == null`: cannot")):
        decide(Mix(select=select, as_dolma=True), source)


@pytest.mark.parametrize(
    ("replacement", "on_error", "texts", "rules", "unjudged"),
    [
        ("$.id", "fail", ["hello d0 world", "d2"], [-1, -1, -1, -1, -1], {}),
        ('$(.source + "{}")', "fail", ["hello tañejo world", "t"], [-1, -1, -1, -1, -1], {}),
        ("$.nothing", "keep", [None, None], [-1, -1, -1, -1, -1], {"replacement $.nothing": 2}),
        ("$.nothing", "drop", [None, None], [2, -1, 2, -1, -1], {"replacement $.nothing": 2}),
    ],
)
def test_replacements_that_are_programs(
    replacement: str,
    on_error: OnError,
    texts: list[str | None],
    rules: list[int],
    unjudged: dict[str, int],
    source: MixInput,
) -> None:
    edit = Edit(span="$.attributes.base__pii__MAIL", replacement=replacement, on_error=on_error)
    _, decision = decide(Mix(edit=[edit]), source)
    assert (decision.rule.tolist(), decision.unjudged) == (rules, unjudged)
    found = [None] * 5 if decision.texts is None else decision.texts.to_pylist()
    assert found[0] == texts[0]
    assert (found[2] is None) == (texts[1] is None)


@pytest.mark.parametrize(
    ("replacement", "reason"),
    [
        ("$.nothing", "jq `.nothing`: expected one string, found null"),
        ("$.text | length", "jq `.text | length`: expected one string, found 17"),
    ],
)
def test_a_replacement_that_is_no_string_ends_the_run(replacement: str, reason: str, source: MixInput) -> None:
    edit = Edit(span="$.attributes.base__pii__MAIL", replacement=replacement)
    with pytest.raises(DataError, match=re.escape(f"a.jsonl:1: document `d0`: replacement {replacement}: {reason}; ")):
        decide(Mix(edit=[edit]), source)


def test_what_dolma_does_otherwise_is_counted(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "a.jsonl", [{"id": str(i), "text": "0123456789"} for i in range(3)])
    spans = [[[0, 4, 1], [2, 6, 1]], [[0, 4, 1.0]], []]
    rows = write_lines(tmp_path / "e.jsonl", [{"id": str(i), "attributes": {"x": s}} for i, s in enumerate(spans)])
    source = MixInput(path=path, label="a", attributes={"e": rows})
    mix = Mix(
        select=Select(exclude=["$.attributes[?(@.x && @.x[0] && @.x[0][2] > 1.0 || @.x[0][2] == 2.0)]"]),
        edit=[Edit(span="$.attributes.x", replacement="-")],
    )
    assert decide(mix, source)[1].differs == {"overlapping spans merged": 1}
    equal = Mix(select=Select(exclude=["$.attributes[?(@.x && @.x[0] && @.x[0][2] >= 1.0)]"]))
    assert decide(equal, source)[1].differs == {"numbers compared by value": 1}


def test_a_filter_on_an_attribute_that_is_not_there_is_loud(source: MixInput) -> None:
    decider, decision = decide(Mix(select=Select(exclude=["$.attributes[?(@.base__ft__eng[0][2] < 0.5)]"])), source)
    assert decision.kept.all()
    use = decider.use
    assert use.rules["select.exclude[0]"]["reads"] == {"attributes.base__ft__eng": 0}
    assert sorted(use.names) == ["attributes.base__ft__en", "attributes.base__pii__MAIL", "id", "source", "text"]
    assert use.without == {"attributes.base__ft__eng": {"a": 1}}


def test_an_attribute_that_is_empty_for_all_is_there(source: MixInput) -> None:
    """A tagger that found nothing leaves an empty column; JSON lines leave the key out."""
    writer = AttributeWriter(Path(source.path).parent / "empty.parquet")
    ids = pa.array([f"d{i}" for i in range(5)], pa.large_string())
    writer.write_rows(ids, {"e__t__none": pa.array([[]] * 5, SPANS)})
    writer.finish()
    mix = Mix(select=Select(exclude=["$.attributes.e__t__none"]))
    decider, _ = decide(mix, msgspec.structs.replace(source, attributes={"e": str(writer.path)}))
    assert decider.use.rules["select.exclude[0]"]["reads"] == {"attributes.e__t__none": 5}
    assert decider.use.without == {}


def test_attributes_that_are_kept(source: MixInput) -> None:
    """The rows are those of a JSON lines file, whatever the form, and whatever the rules read."""
    rows = [
        {"base__ft__en": [[0, 17, 0.9]], "base__pii__MAIL": [[6, 11, 1.0]]},
        {"base__ft__en": [[0, 5, 0.8]]},
        {"base__ft__en": [[0, 17, 0.2]], "base__pii__MAIL": [[5, 13, 2.0]]},
        {},
        {"base__ft__en": [[0, 15, 0.7]]},
    ]
    select = Select(exclude=["$.attributes[?(@.base__ft__en && @.base__ft__en[0][2] < 0.75)]"])
    for mix in (Mix(), Mix(drop={"foreign": "ft.en < 0.5"}), Mix(select=select)):
        assert decide(mix, source)[1].attributes == []
        _, decision = decide(msgspec.structs.replace(mix, keep_attributes=True), source)
        (found,) = decision.attributes
        kept = np.flatnonzero(decision.kept)
        assert [json.loads(found[i].as_py()) for i in kept] == [rows[i] for i in kept]


def test_of_equal_keys_filters_see_the_one_that_is_written(source: MixInput, tmp_path: Path) -> None:
    later = [{"id": f"d{i}", "attributes": {"base__ft__en": [[0, 1, i / 4]]}} for i in range(5)]
    path = write_lines(tmp_path / "attributes" / "later" / "a.jsonl", later)
    select = Select(include=["$.attributes[?(@.base__ft__en && @.base__ft__en[0][2] > 0.6)]"])
    for order, kept in ((["base", "later"], [3, 4]), (["later", "base"], [0, 1, 3, 4])):
        files = {"later": path, **source.attributes}
        both = MixInput(path=source.path, label="a", attributes={name: files[name] for name in order})
        decider, decision = decide(Mix(select=select, keep_attributes=True), both)
        assert np.flatnonzero(decision.kept).tolist() == kept
        assert len(decision.attributes) == 2
        assert decider.warnings == []


def test_an_attribute_spelled_with_escapes_or_in_the_document_is_there(tmp_path: Path) -> None:
    documents = [{"id": "a", "text": "t", "attributes": {"own__t__a": [[0, 1, 1.0]]}}]
    path = write_lines(tmp_path / "a.jsonl", documents)
    rows = write_lines(tmp_path / "e.jsonl", ['{"id":"a","attributes":{"e__t__\\u0061":[[0,1,1.0]]}}'])
    select = Select(include=["$.attributes[?(@.e__t__a && @.own__t__a)]"], exclude=["$.attributes.e__t__none"])
    decider, decision = decide(Mix(select=select), MixInput(path=path, label="a", attributes={"e": rows}))
    assert decision.kept.tolist() == [True]
    assert decider.use.details()["rules"] == {
        "select.include[0]": {"hits": 0, "reads": {"attributes.e__t__a": 1, "attributes.own__t__a": 1}},
        "select.exclude[0]": {"hits": 0, "reads": {"attributes.e__t__none": 0}},
        "select": {"hits": 0},
    }


@pytest.mark.parametrize("bad", ['{"id":"b","attributes":null}', '{"id":"b","attributes":[[0,1,1.0]]}', '{"id":"b"}'])
def test_a_row_whose_attributes_could_not_be_kept_is_an_error(bad: str, tmp_path: Path) -> None:
    path = write_lines(tmp_path / "a.jsonl", [{"id": i, "text": "t"} for i in "ab"])
    rows = write_lines(tmp_path / "e.jsonl", [{"id": "a", "attributes": {}}, bad])
    reason = "missing field `attributes`" if bad == '{"id":"b"}' else "expected an object of attributes, found `"
    with pytest.raises(DataError, match=re.escape(f"{rows}: line 2: expected an attribute row: {reason}")):
        decide(Mix(keep_attributes=True), MixInput(path=path, label="a", attributes={"e": rows}))


def test_bad_lines_and_many_batches(tmp_path: Path) -> None:
    rows: list[Any] = [{"id": str(i), "text": "x" * 1000} for i in range(9000)]
    path = write_lines(tmp_path / "a.jsonl", [*rows[:5000], '{"id": 1', *rows[5000:]])
    scores = {"e__t__n": pa.array([float(i) for i in range(9000)])}
    writer = AttributeWriter(tmp_path / "e.parquet")
    writer.write_rows(pa.array([r["id"] for r in rows], pa.large_string()), scores)
    writer.finish()
    source = MixInput(path=path, label="a", attributes={"e": str(writer.path)})
    mix = Mix(drop={"low": "t.n < 4321"})
    decider = Decider(mix, names_of(mix, source))
    for _ in range(2):
        stream = read_documents(source.path, keep_raw=True)
        decisions = list(decider.decisions(source, stream))
        assert len(decisions) > 1
        assert np.concatenate([d.rule for d in decisions]).tolist() == [0] * 4321 + [-1] * 4679
        assert [b.line for b in stream.take_bad()] == [5001]


def test_attributes_of_other_documents_are_an_error(source: MixInput, tmp_path: Path) -> None:
    moved = write_lines(tmp_path / "b.jsonl", [{"id": f"x{i}", "text": t} for i, t in enumerate(TEXTS)])
    mix = Mix(drop={"low": "ft.en < 1"})
    names = names_of(mix, source)
    with pytest.raises(DataError, match="expected the attributes of document `x0`, found those of `d0`"):
        mixed = MixInput(path=moved, label="b", attributes=source.attributes)
        list(Decider(mix, names).decisions(mixed, read_documents(moved, keep_raw=True)))


def test_names_are_looked_for_in_later_files_too(tmp_path: Path) -> None:
    first = write_lines(tmp_path / "1.jsonl", [{"id": "a", "attributes": {}}])
    second = write_lines(tmp_path / "2.jsonl", [{"id": "b", "attributes": {"e__t__a": [[0, 1, 1.0]]}}])
    mix = Mix(drop={"x": "t.a > 0", "y": "near.duplicate"}, edit=[Edit(cut="t.a")])
    files = {"e": {"1": first, "2": second}, "near": {}}
    found = resolve_names(mix, {"near": ["duplicate"]}, files, "$")
    assert found == {"t.a": ("e", "e__t__a"), "near.duplicate": ("near", "duplicate")}


@pytest.mark.parametrize(
    ("mix", "message"),
    [
        (Mix(drop={"x": "ft.en <"}), "$.mix.drop.x: expected a number after `<` at column 8, found the end"),
        (Mix(drop={"x": "ft.em < 1"}), "$.mix.drop.x: column 1: unknown attribute `ft.em`; did you mean `ft.en`?"),
        (Mix(edit=[Edit(cut="ft.em")]), "$.mix.edit[0].cut: unknown attribute `ft.em`; did you mean `ft.en`?"),
        (Mix(edit=[Edit(cut="ft.en"), Edit()]), "$.mix.edit[1]: expected exactly one of `replace`, `cut` and `span`"),
        (Mix(edit=[Edit(span="$[")]), "$.mix.edit[0].span: jsonpath `$[`: expected an index, a slice, a quoted field"),
        (Mix(select=Select(include=["a"])), "$.mix.select: jsonpath `a`: expected a path such as `$.attributes`"),
    ],
)
def test_what_cannot_be_meant_is_found_before_it_runs(mix: Mix, message: str, source: MixInput) -> None:
    with pytest.raises(ConfigError) as caught:
        names_of(mix, source)
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize("form", ["jsonl", "parquet"])
@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ("abba", None),
        (
            "abab",
            "{3}: expected the attributes of document `b`, found those of `a` (line 3 of the documents); tag the docum",
        ),
        (
            "abb",
            "{4}: expected a row for each document, found 3 rows and at least 4 documents; tag the documents again",
        ),
        (
            "abbab",
            "{5}: expected the end of the file after a row for each of 4 documents, found another row, of document "
            "`b`; tag the documents again",
        ),
        (
            "aabba",
            "{2}: expected the attributes of document `b`, found those of `a` (line 2 of the documents); tag the docum",
        ),
    ],
)
def test_rows_are_matched_in_order_where_ids_repeat(tmp_path: Path, form: str, rows: str, expected: str | None) -> None:
    """No row is looked up by its id: each must stand where its document does."""
    path = write_lines(tmp_path / "a.jsonl", [{"id": c, "text": c * 5} for c in "abba"])
    writer = AttributeWriter(tmp_path / f"e.{form}")
    scores = pa.array([float(i) for i in range(len(rows))])
    lengths = pa.array([5] * len(rows), pa.int64())
    writer.write_rows(pa.array(list(rows), pa.large_string()), {"e__t__n": scores}, lengths=lengths)
    writer.finish()
    source = MixInput(path=path, label="a", attributes={"e": str(writer.path)})
    mix = Mix(drop={"low": "t.n < 2"})
    decider = Decider(mix, names_of(mix, source))
    if expected is None:
        (decision,) = decider.decisions(source, read_documents(path, keep_raw=True))
        assert decision.rule.tolist() == [0, 0, -1, -1]
        return
    with pytest.raises(DataError) as error:
        list(decider.decisions(source, read_documents(path, keep_raw=True)))
    row = expected[1]
    place = f"{writer.path}: row {row}" if form == "parquet" else f"{writer.path}:{row}"
    assert str(error.value).startswith(place + expected[3:])
