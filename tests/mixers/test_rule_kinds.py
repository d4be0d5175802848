"""Rules on whole numbers, texts and flags, beside a slow twin that goes document by document."""

from __future__ import annotations

import gzip
import json
import operator
import random
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from dolma_pipeline import api
from dolma_pipeline.config.recipe import Mix
from dolma_pipeline.errors import ConfigError, DataError
from dolma_pipeline.formats.kinds import TYPES, Kind
from dolma_pipeline.mixers import expression
from dolma_pipeline.mixers.names import resolve_names
from tests.mixers.kind_tagger import BIG, KINDLY, measure

N = pa.array([1, BIG, BIG - 1, None], pa.int64())
T = pa.array(["cc-by", "", None, "ü"], pa.large_string())
B = pa.array([True, False, None, True], pa.bool_())
X = pa.array([0.5, float(BIG), None, 1.0], pa.float64())
IDS = pa.array(["cc-by", "b", "c", "ü"], pa.large_string())
COLUMNS = {"t.n": N, "t.m": pa.array([1, BIG - 1, BIG - 1, 1], pa.int64()), "t.t": T, "t.b": B, "t.x": X,
           "t.u": pa.array(["cc-by", "x", "y", None], pa.large_string()), "t.none": pa.nulls(4), "id": IDS,
           "length": pa.array([4, 4, 4, 0], pa.int64())}  # fmt: skip
RULES: list[tuple[str, list[int]]] = [
    (f"t.n == {BIG}", [1]),
    (f"t.n != {BIG}", [0, 2]),
    (f"t.n > {BIG - 1}", [1]),
    (f"t.n in [1, {BIG}]", [0, 1]),
    (f"t.n not in [1, {BIG}]", [2]),
    ("t.n == t.m", [0, 2]),
    ("t.n != t.m", [1]),
    ("t.n > t.x", [0, 1]),
    ("t.n in [-1, 0.5, 1]", [0]),
    (f"max(t.n) == t.n and sum(t.n) >= {BIG - 1}", [1, 2]),
    ("t.n", [0, 1, 2]),
    ("not t.n", [3]),
    ("t.n * 2 == 2", [0]),
    ("fraction(t.n) == 1", [0, 1, 2]),
    ('t.t == "cc-by"', [0]),
    ('"cc-by" != t.t', [1, 3]),
    ('not t.t == "cc-by"', [1, 3]),
    ('t.t == ""', [1]),
    ('t.t in ["ü", "cc-by"]', [0, 3]),
    ("t.t not in ['ü', \"cc-by\"]", [1]),
    ("t.t == id", [0, 3]),
    ("id != t.t", [1]),
    ("t.t == t.u", [0]),
    ("t.t", [0, 3]),
    ("any(t.t)", [0, 3]),
    ("not t.t", [1, 2]),
    ("count(t.t) == 0", [2]),
    ('id in ["b", "c"]', [1, 2]),
    ("length in [0, 5]", [3]),
    ("t.b", [0, 3]),
    ("not t.b", [1, 2]),
    ("t.b == true", [0, 3]),
    ("t.b == false", [1]),
    ("true != t.b", [1]),
    ("not t.b == true", [1]),
    ("count(t.b) == 0", [2]),
    ('t.none == "a" or t.none == true or t.none == 1 or t.none == t.t or t.none', []),
]


@pytest.mark.parametrize(("text", "rows"), RULES)
def test_rules_on_every_kind(text: str, rows: list[int]) -> None:
    rule = expression.compile(text, "$")
    assert np.flatnonzero(rule.evaluate(COLUMNS, 4)).tolist() == rows


SIGNS = {"==": operator.eq, "!=": operator.ne, "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}


def slow(value: Any, sign: str, other: Any) -> bool | None:
    """A comparison of two values, None where one of them is absent."""
    if value is None or other is None:
        return None
    signs = {
        "==": operator.eq,
        "!=": operator.ne,
        "<": operator.lt,
        "<=": operator.le,
        ">": operator.gt,
        ">=": operator.ge,
    }
    return bool(signs[sign](value, other))


@pytest.mark.parametrize("seed", range(6))
def test_comparisons_are_those_of_the_slow_twin(seed: int) -> None:
    rng = random.Random(seed)
    numbers = [None, 0, 1, BIG, BIG - 1, -BIG, 2**63 - 1, -(2**63)]
    texts = [None, "", "a", "é", "e\u0301"]
    columns: dict[str, list[Any]] = {
        "t.n": [rng.choice(numbers) for _ in range(50)], "t.m": [rng.choice(numbers) for _ in range(50)],
        "t.t": [rng.choice(texts) for _ in range(50)], "t.u": [rng.choice(texts) for _ in range(50)],
        "t.b": [rng.choice([None, True, False]) for _ in range(50)],
    }  # fmt: skip
    kinds: dict[str, Kind] = {"t.n": "int64", "t.m": "int64", "t.t": "string", "t.u": "string", "t.b": "bool"}
    arrays = {name: pa.array(values, TYPES[kinds[name]]) for name, values in columns.items()}
    cases: list[tuple[str, str, str, Any]]
    cases = [(f"t.n {s} {n}", "t.n", s, n) for s in ("<", ">=", "==", "!=") for n in numbers if n is not None]
    cases += [(f"t.n {s} t.m", "t.n", s, "t.m") for s in ("<", "<=", ">", ">=", "==", "!=")]
    cases += [(f"t.t {s} t.u", "t.t", s, "t.u") for s in ("==", "!=")]
    cases += [(f't.t {s} "{t}"', "t.t", s, t) for s in ("==", "!=") for t in texts if t is not None]
    cases += [(f"t.b {s} {str(b).lower()}", "t.b", s, b) for s in ("==", "!=") for b in (True, False)]
    for text, name, sign, other in cases:
        others: list[Any] = columns[other] if isinstance(other, str) and other in columns else [other] * 50
        expected = [slow(a, sign, b) for a, b in zip(columns[name], others, strict=True)]
        found = expression.compile(text, "$").evaluate(arrays, 50).tolist()
        assert found == [e is True for e in expected], text
        negated = expression.compile(f"not ({text})", "$").evaluate(arrays, 50).tolist()
        assert negated == [e is False for e in expected], text


MISTAKES: list[tuple[str, int, str]] = [
    ("true", 1, "expected a condition at column 1, found a flag; compare it with something"),
    ("t.b < true", 5, "expected `==` or `!=` beside true and false at column 5"),
    ("doc.b == true", 1, "expected an attribute to compare with true or false at column 1, found something else; a "
                         "field alone says whether it holds anything"),
    ("t.b == true + 1", 13, "expected `and`, `or` or the end after `true` at column 13, found `+`"),
    ("t.a in 3", 8, "expected a list such as `[1, 2]` or `[\"a\", \"b\"]` after `in` at column 8, found `3`"),
    ("t.a in [1, 'a']", 12, "expected numbers alone or texts alone in the list at column 12"),
    ("t.a in [1 2]", 11, "expected `,` or `]` after `1` at column 11, found `2`"),
    ("t.a in []", 9, "expected a number after `[` at column 9, found `]`"),
    ("t.a in [t.b]", 9, "expected a number or a quoted text in the list at column 9"),
    ("source in [1]", 12, "expected a quoted text in the list at column 12"),
    ("length in ['a']", 12, "expected a number in the list at column 12"),
    ("3 in [1]", 1, "expected an attribute or a field before `in` at column 1"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "column", "reason"), MISTAKES)
def test_mistakes_have_a_caret(text: str, column: int, reason: str) -> None:
    with pytest.raises(ConfigError) as caught:
        expression.compile(text, "$")
    assert str(caught.value) == f"$: {reason}\n    {text}\n    {' ' * (column - 1)}^"


KINDS: dict[str, dict[str, Kind]] = {
    "e": {"e__t__n": "int64", "e__t__t": "string", "e__t__b": "bool", "e__t__x": "float64", "e__t__s": "spans"}
}
WRONG: list[tuple[dict[str, Any], str]] = [
    ({"drop": {"r": "t.t > 3"}}, "$.mix.drop.r: expected a number as `t.t` at column 1, found a text (string); "
     '`t.t == "..."` and `t.t in ["...", "..."]` compare texts\n    t.t > 3\n    ^'),
    ({"drop": {"r": "t.x > 1 or t.b == 1"}}, "$.mix.drop.r: expected a number as `t.b` at column 12, found true or "
     "false (bool); write `t.b` or `not t.b`\n    t.x > 1 or t.b == 1\n               ^"),
    ({"drop": {"r": 't.n == "3"'}}, "$.mix.drop.r: expected a text as `t.n` at column 1, found a whole number (int64); "
     "compare `t.n` with a number\n"),
    ({"drop": {"r": "t.x == true"}}, "$.mix.drop.r: expected true or false as `t.x` at column 1, found a number ("),
    ({"drop": {"r": f"t.x == {BIG}"}}, f"$.mix.drop.r: expected a whole number (int64), which alone is exactly {BIG} "
     "as `t.x` at column 1, found a number (float64); "),
    ({"drop": {"r": "t.t == t.n"}}, "$.mix.drop.r: expected attributes of one kind, as `t.n` is a whole number (int64) "
     "at column 1, found `t.t`, a text (string); "),
    ({"drop": {"r": "t.t < t.t"}}, "$.mix.drop.r: expected a number as `t.t` at column 1, found a text"),
    ({"drop": {"r": "max(t.t) > 1"}}, "$.mix.drop.r: expected a number as `t.t` at column 5, found a text"),
    ({"drop": {"r": "1 + t.b > 1"}}, "$.mix.drop.r: expected a number as `t.b` at column 5, found true or false"),
    ({"drop": {"r": "t.t == doc.x"}}, "$.mix.drop.r: expected a number beside `doc.x`, which is a text only beside a "
     "quoted one, as `t.t` at column 1, found a text"),
    ({"edit": [{"cut": "t.t"}]}, "$.mix.edit[0].cut: expected spans as `t.t` at column 1, found a text (string); "),
]  # fmt: skip


@pytest.mark.parametrize("number", range(len(WRONG)))
def test_a_kind_that_a_rule_cannot_read_is_told_in_the_plan(number: int) -> None:
    given, reason = WRONG[number]
    mix = msgspec.convert({"name": "m", **given}, Mix)
    with pytest.raises(ConfigError) as caught:
        resolve_names(mix, {"e": list(KINDS["e"])}, {}, "$.mix", KINDS)
    assert str(caught.value).startswith(reason)


TEXTS = ["x" * size for size in range(1, 25)]
DROPS = {
    "n": f"rule_kinds_v1.n == {BIG + 3}", "n_list": f"rule_kinds_v1.n in [{BIG + 9}, {BIG + 11}]",
    "t": 'rule_kinds_v1.t == "ü1"',
    "t_not": 'rule_kinds_v1.t not in ["ü0", "ü2"] and rule_kinds_v1.n', "b": "rule_kinds_v1.b == false",
    "bare": "rule_kinds_v1.b and rule_kinds_v1.x > 2.5", "x": "rule_kinds_v1.x < 1", "s": "max(rule_kinds_v1.s) == 20",
}  # fmt: skip


def sources(directory: Path) -> dict[str, api.Source]:
    (directory / "data/documents").mkdir(parents=True)
    lines = [json.dumps({"id": str(i), "text": text}) + "\n" for i, text in enumerate(TEXTS)]
    (directory / "data/documents/a.jsonl").write_text("".join(lines))
    return {"web": api.Source(documents=[str(directory / "data/documents/*.jsonl")])}


def mixed(directory: Path, *, keep: bool, form: str, drop: dict[str, str], **more: Any) -> tuple[bytes, dict[str, int]]:
    """The documents of a mix behind a tag stage, and what each rule dropped."""
    directory.mkdir()
    modules = ["tests.mixers.kind_tagger"]
    tag = api.Tag(experiment="e", taggers=["rule_kinds_v1"], tagger_modules=modules, keep=keep, format=form)  # type: ignore[arg-type]
    stages = [tag, api.Mix(name="m", drop=drop, **more)]
    run = api.run(api.recipe("kinds", sources(directory), stages, work_dir=directory / "run"))
    (path,) = [p for p in run.files("mixed/") if "jsonl" in p.name]
    data = path.read_bytes()
    if path.suffix == ".gz":
        data = gzip.decompress(data)
    elif path.suffix == ".zst":
        data = zstandard.ZstdDecompressor().decompressobj().decompress(data)
    counts = {row["rule"]: row["documents"] for row in run.dropped().to_pylist()}
    return data.replace(str(directory).encode(), b""), counts


def test_one_pass_and_two_passes_agree_on_every_kind(tmp_path: Path) -> None:
    found = [
        mixed(tmp_path / f"{form}{keep}", keep=keep, form=form, drop=DROPS, keep_attributes=True)
        for keep, form in ((True, "parquet"), (True, "jsonl.gz"), (False, "parquet"))
    ]
    assert found[0] == found[1] == found[2]
    data, counts = found[0]
    twin = [rule_of(len(text)) for text in TEXTS]
    assert counts == {name: twin.count(name) for name in DROPS if name in twin}
    assert len(counts) >= 6
    kept = [json.loads(line) for line in data.split(b"\n")[:-1]]
    assert [len(d["text"]) for d in kept] == [len(t) for t, rule in zip(TEXTS, twin, strict=True) if rule is None]
    for document in kept:
        values = measure(document["text"])
        length = len(document["text"])
        expected: dict[str, Any] = {}
        for key in KINDLY:
            value = values.get(key)
            if key in ("t", "b") and value is not None:
                expected[f"e__rule_kinds_v1__{key}"] = value
            elif key == "s" and value:
                expected[f"e__rule_kinds_v1__{key}"] = [[0, length // 2, float(length)]]
            elif key in ("n", "x") and value is not None:
                expected[f"e__rule_kinds_v1__{key}"] = [[0, length, round(value, 5)]]
        assert document["attributes"] == expected


def rule_of(size: int) -> str | None:
    """The first rule that drops the text of this size."""
    v = measure("x" * size)
    n, t, b, x, s = (v.get(k) for k in KINDLY)
    tests = {
        "n": n == BIG + 3, "n_list": n in (BIG + 9, BIG + 11), "t": t == "ü1",
        "t_not": t is not None and t not in ("ü0", "ü2") and n is not None, "b": b is False,
        "bare": b is True and x is not None and x > 2.5, "x": x is not None and round(x, 5) < 1,
        "s": bool(s) and size == 20,
    }  # fmt: skip
    return next((name for name, hit in tests.items() if hit), None)


@pytest.mark.parametrize(("keep", "form"), [(True, "parquet"), (True, "jsonl.gz"), (False, "parquet")])
def test_filters_see_plain_json(tmp_path: Path, keep: bool, form: str) -> None:
    key = "e__rule_kinds_v1__"
    of = [size for size in range(1, 25) if measure("x" * size).get("t") == "ü1"]
    large = [size for size in of if measure("x" * size).get("n", 0) > BIG + 9]
    assert 0 < len(large) < len(of)
    filters = (
        ("jq", f'.attributes.{key}t == "ü1" and .attributes.{key}n[0][2] > {BIG + 9}', large),
        ("jsonpath", f"$.attributes[?(@.{key}t == 'ü1')]", of),
        ("jq", f".attributes.{key}b", [size for size in range(1, 25) if measure("x" * size).get("b")]),
    )
    for i, (syntax, include, expected) in enumerate(filters):
        select = {"include": [include], "syntax": syntax}
        data, _ = mixed(tmp_path / str(i), keep=keep, form=form, drop={}, select=select)
        assert [len(json.loads(line)["text"]) for line in data.split(b"\n")[:-1]] == expected, include


@pytest.mark.parametrize("form", ["jsonl", "parquet"])
def test_given_attributes_of_any_kind(tmp_path: Path, form: str) -> None:
    """Kinds of files beside the documents are found in the plan; where the first file has none, while reading."""
    documents = tmp_path / "data/documents"
    documents.mkdir(parents=True)
    beside = tmp_path / "data/attributes/near"
    beside.mkdir(parents=True)
    for name, values in (("a", [None, None]), ("b", ["1", None])):
        (documents / f"{name}.jsonl").write_text("".join(f'{{"id":"{i}","text":"t"}}\n' for i in range(2)))
        if form == "jsonl":
            rows = [{"id": str(i), "attributes": {"near__d__of": v}} for i, v in enumerate(values)]
            (beside / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        else:
            type = pa.string() if name == "b" else pa.null()
            pq.write_table(
                pa.table({"id": ["0", "1"], "near__d__of": pa.array(values, type)}), beside / f"{name}.parquet"
            )

    def run(rule: str) -> dict[str, int]:
        given = api.Source(documents=[f"{documents}/*.jsonl"], attributes=["near"])
        recipe = api.recipe(
            "given", {"web": given}, [api.Mix(name="m", drop={"copy": rule})], work_dir=tmp_path / "run"
        )
        return {row["rule"]: row["documents"] for row in api.run(recipe, force=True).dropped().to_pylist()}

    assert run('d.of == "1"') == {"copy": 1}
    with pytest.raises(DataError) as caught:
        run("d.of > 1")
    place = f"{beside}/b.jsonl:1" if form == "jsonl" else f"{beside}/b.parquet: row 1"
    assert f"{place}: attribute `near__d__of`: drop.copy: `d.of > 1`: expected a number as `d.of`, found a text" in str(
        caught.value
    )
