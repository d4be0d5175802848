"""A tag stage without attribute files: the mix behind it gives the same documents and the same account."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dolma_pipeline import CustomTagger, Edit, Mix, Recipe, Source, Tag, load_recipe, plan, recipe, run
from dolma_pipeline.config.recipe_mix import Select
from dolma_pipeline.errors import ConfigError, StageError
from tests.corpus import make_corpus

TAGGERS = '''
from dolma_pipeline import tagger


@tagger("long_only_v1")
def long_only(text: str) -> float:
    """Fails on short texts."""
    if len(text) < 400:
        raise ValueError("short")
    return float(text.count("e"))
'''
DROP = {
    "short": "char_length_v1.length < 400",
    "bullets": "gopher_v2.word_count > 150 and not c4_v2.has_lorem_ipsum",
    "lines": "fraction(c4_v2.lines_with_too_few_words) > 0.9",
}


def both(tmp_path: Path, taggers: list[str | CustomTagger], modules: list[str] = [], **mix: Any) -> tuple[Any, Any]:  # noqa: B006
    """Runs the recipe with and without attribute files, and returns the two results."""
    corpus = make_corpus(tmp_path / "corpus", shards=2, documents=60)
    results = []
    for keep in (True, False):
        made = recipe(
            "r",
            {"a": Source(documents=f"{corpus}/a/documents/**/*.gz")},
            [
                Tag(experiment="base", taggers=taggers[:1], keep=keep),
                Tag(experiment="more", taggers=taggers[1:], tagger_modules=modules, keep=keep),
                Mix(name="kept", **mix),
            ],
            work_dir=tmp_path / f"keep-{keep}",
            max_bad_fraction=1.0,
        )
        results.append(run(made))
    return results[0], results[1]


@pytest.mark.parametrize(
    "mix",
    [
        {"drop": DROP},
        {"drop": DROP, "edit": [Edit(cut="c4_v2.lines_with_too_few_words")], "min_text_length": 3},
        {"drop": DROP, "keep_attributes": True, "format": "jsonl"},
        {"keep_attributes": True},
        {"drop": DROP, "select": Select(include=[".attributes.more__gopher_v2__word_count[0][2] > 5"], syntax="jq")},
        {"drop": {"all": "char_length_v1.length >= 0", "never": "gopher_v2.word_count > 3"}},
        {"drop": {"none": "c4_v2.has_javascript and gopher_v2.word_count < 0"}, "max_size_in_bytes": 10**6},
    ],
)
def test_the_same_documents_and_the_same_account(tmp_path: Path, mix: dict[str, Any]) -> None:
    twice, once = both(tmp_path, ["char_length_v1", "gopher_v2", "c4_v2"], **mix)
    assert once.counts().to_pylist() == twice.counts().to_pylist()
    assert once.dropped().to_pylist() == twice.dropped().to_pylist()
    assert once.quarantined().drop(["quarantine"]).to_pylist() == twice.quarantined().drop(["quarantine"]).to_pylist()
    assert not (once.directory / "attributes").exists()
    names = [[str(f.relative_to(r.directory)) for f in r.files("mixed/")] for r in (once, twice)]
    assert names[0] == names[1] != []
    for name in names[0]:
        assert (once.directory / name).read_bytes() == (twice.directory / name).read_bytes()


def test_a_tagger_runs_only_on_documents_that_earlier_rules_have_left(tmp_path: Path) -> None:
    module = tmp_path / "mine.py"
    module.write_text(TAGGERS)
    taggers: list[str | CustomTagger] = ["char_length_v1", "long_only_v1"]
    rules = {"short": "char_length_v1.length < 400", "e": "long_only_v1.score > 80"}
    with pytest.raises(StageError, match=r"tagger `long_only_v1`, document `.*`: .*short"):
        both(tmp_path, taggers, [str(module)], drop=rules)
    one = recipe_of(tmp_path, rules, [str(module)])
    assert run(one).counts().column("documents_out").to_pylist()[-1] > 0
    with pytest.raises(StageError, match=r"tagger `long_only_v1`, document `.*`: .*short"):
        run(recipe_of(tmp_path, dict(reversed(rules.items())), [str(module)]))


def recipe_of(tmp_path: Path, rules: dict[str, str], modules: list[str], tagger: str = "long_only_v1") -> Recipe:
    return recipe(
        "one",
        {"a": Source(documents=f"{tmp_path}/corpus/a/documents/**/*.gz")},
        [
            Tag(experiment="base", taggers=["char_length_v1", tagger], tagger_modules=modules, keep=False),
            Mix(name="kept", drop=rules),
        ],
        work_dir=tmp_path / "one",
        max_bad_fraction=1.0,
    )


def test_a_changed_module_makes_the_mix_stale(tmp_path: Path) -> None:
    module = tmp_path / "theirs.py"
    module.write_text(TAGGERS.replace("long_only_v1", "theirs_v1"))
    make_corpus(tmp_path / "corpus", shards=2, documents=60)
    rules = {"short": "char_length_v1.length < 400", "e": "theirs_v1.score > 80"}
    made = recipe_of(tmp_path, rules, [str(module)], "theirs_v1")
    run(made)
    assert "up to date" in str(plan(made))
    os.utime(module, (0, 0))
    assert "2 to do, 0 up to date" in str(plan(made))


def test_damaged_files_and_idle_rules_are_told_as_with_attribute_files(tmp_path: Path) -> None:
    rows = [{"id": str(i), "text": "word " * i} for i in range(40)]
    (tmp_path / "d").mkdir()
    pq.write_table(
        pa.Table.from_pylist(rows), tmp_path / "d" / "a.parquet", row_group_size=10, write_page_checksum=True
    )
    metadata = pq.read_metadata(tmp_path / "d" / "a.parquet")
    column = metadata.row_group(1).column(1)
    place = (column.dictionary_page_offset or column.data_page_offset) + column.total_compressed_size - 3
    data = bytearray((tmp_path / "d" / "a.parquet").read_bytes())
    data[place] ^= 0xFF
    (tmp_path / "d" / "a.parquet").write_bytes(data)
    results = []
    for keep in (True, False):
        made = recipe(
            "r",
            {"a": Source(documents=f"{tmp_path}/d/*.parquet")},
            [
                Tag(experiment="base", taggers=["char_length_v1"], keep=keep),
                Mix(name="kept", drop={"short": "char_length_v1.length < 30", "never": "char_length_v1.length < 0"}),
            ],
            work_dir=tmp_path / f"keep-{keep}",
            max_bad_fraction=1.0,
        )
        results.append(run(made))
    twice, once = results
    assert once.counts().to_pylist() == twice.counts().to_pylist()
    assert once.counts().column("unread").to_pylist() == [10, 10]
    assert [w for w in once.manifest.warnings if "no attributes" in w] == []
    use = once.manifest.stages[1].details["use"]["rules"]
    assert use["drop.never"] == {"hits": 0, "reached": 24}
    assert use["drop.short"] == {"hits": 6, "reached": 30}


LARGE = [2**53, 2**53 + 1, 2**63 - 1, -(2**53) - 1, -(2**63) + 1, 7]
EXACTLY = '''
from dolma_pipeline import tagger


@tagger("k", attributes={"n": "int64"})
def k(text: str) -> int:
    """The number that the text is."""
    return int(text)
'''


def test_large_whole_numbers_are_compared_with_a_field_by_their_digits(tmp_path: Path) -> None:
    (tmp_path / "d.jsonl").write_text("".join(f'{{"id": "{n}", "text": "{n}", "num": {n}}}\n' for n in LARGE))
    (tmp_path / "exactly.py").write_text(EXACTLY)
    left = {}
    for keep in (True, False):
        for number, sign in enumerate(("==", "!=", "<", ">", "<=", ">=")):
            tag = Tag(experiment="base", taggers=["k"], tagger_modules=[f"{tmp_path}/exactly.py"], keep=keep)
            made = recipe(
                "r",
                {"a": Source(documents=f"{tmp_path}/d.jsonl")},
                # The first rule narrows the batch before the second is asked.
                [tag, Mix(name="kept", drop={"seven": "k.n == 7", "x": f"k.n {sign} doc.num"})],
                work_dir=tmp_path / f"{keep}-{number}",
                max_bad_fraction=1.0,
            )
            left[keep, sign] = run(made).counts().column("documents_out").to_pylist()[-1]
    expected = {"==": 0, "!=": 5, "<": 5, ">": 5, "<=": 0, ">=": 0}
    assert left == {(keep, sign): count for keep in (True, False) for sign, count in expected.items()}


TAG = {"experiment": "base", "taggers": ["char_length_v1"], "keep": False}
MIX = {"name": "kept", "drop": {"short": "char_length_v1.length < 400"}}


@pytest.mark.parametrize(
    ("stages", "message"),
    [
        ([{"tag": TAG}], r"keep: expected a `mix` right behind a `tag` stage with `keep: false`, found none"),
        (
            [{"tag": TAG}, {"dedupe": {"name": "d", "documents": {"key": "text"}}}, {"mix": MIX}],
            r"keep: expected a `mix` right behind a `tag` stage with `keep: false`, found `dedupe`",
        ),
        (
            [{"tag": TAG}, {"tag": {"experiment": "more", "taggers": ["c4_v2"]}}, {"mix": MIX}],
            r"keep: expected a `mix` right behind a `tag` stage with `keep: false`, found `tag`",
        ),
        (
            [{"tag": TAG}, {"mix": MIX | {"budget": {"bytes": 100, "weights": {"a": 1}}}}],
            r"keep: expected a mix without a budget behind `keep: false`: a budget reads everything twice",
        ),
        (
            [{"tag": TAG | {"on_error": "quarantine"}}, {"mix": MIX}],
            r"keep: expected `on_error: fail` beside `keep: false`, found `quarantine`",
        ),
        (
            [{"tag": TAG | {"format": "jsonl"}}, {"mix": MIX}],
            r"keep: expected no `format` beside `keep: false`, which writes no file, found `jsonl`",
        ),
    ],
)
def test_where_attributes_cannot_be_left_out(tmp_path: Path, stages: list[Any], message: str) -> None:
    path = tmp_path / "r.json"
    path.write_text(
        json.dumps({"name": "r", "work_dir": "w", "sources": {"a": {"documents": "a/*"}}, "stages": stages}, indent=1)
    )
    with pytest.raises(ConfigError, match=message):
        load_recipe(path)
