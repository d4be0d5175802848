"""Every kind of attribute through Parquet and JSON lines, beside a slow twin that reads the lines by Python's json."""

from __future__ import annotations

import json
import math
import random
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dolma_pipeline import _native, read_attributes
from dolma_pipeline.errors import DataError
from dolma_pipeline.formats.attributes import AttributeCursor, AttributeWriter, attribute_kinds
from dolma_pipeline.formats.documents import Documents, read_documents
from dolma_pipeline.formats.kinds import KINDS, SPANS, TYPES, Kind, absent, kind_of

TEXTS = ["", "a", "naïve 😀", '"quoted" \\ back', "tab\tand\nline", "\u2028", "true", "0"]
NUMBERS = [0, 1, -1, 2**53, 2**53 + 1, -(2**53) - 1, 2**63 - 1, -(2**63)]
FLOATS = [0.0, -0.0, 0.1, 1e-7, 1e300, 5e-324, 123456.78901, 2.0**60, math.nan]


def value(kind: Kind, rng: random.Random, length: int) -> Any:
    """A value of a kind, or None."""
    if kind == "spans":
        ends = sorted(rng.sample(range(length + 1), 2) for _ in range(rng.choice([0, 0, 1, 3])))
        return [{"start": min(e), "end": max(e), "score": rng.choice([0.0, 1.0, 0.25, -3.5])} for e in ends]
    if rng.random() < 0.3:
        return None
    choices: dict[Kind, list[Any]] = {
        "float64": FLOATS, "int64": [*NUMBERS, rng.randrange(-(2**63), 2**63)], "string": TEXTS, "bool": [True, False],
    }  # fmt: skip
    return rng.choice(choices[kind])


def twin(rows: list[dict[str, Any]], keys: list[str]) -> dict[str, list[Any]]:
    """The columns that JSON lines hold, read row by row."""
    found: dict[str, list[Any]] = {key: [] for key in keys}
    for row in rows:
        whole = row.get("kinds", {})
        for key in keys:
            at = row["attributes"].get(key)
            if whole.get(key) == "int64":
                ((_, _, at),) = at
            elif isinstance(at, list):
                spans = [(s, e, math.nan if x is None else float(x)) for s, e, x in at]
                at = [{"start": s, "end": e, "score": x} for s, e, x in spans]
            found[key].append(at)
    return found


def documents_of(directory: Path, count: int) -> Documents | None:
    path = directory / "d.jsonl"
    path.write_text("".join(json.dumps({"id": str(i), "text": "é" * 9}) + "\n" for i in range(count)))
    return next(iter(read_documents(path)), None)


@pytest.mark.parametrize("seed", range(12))
def test_every_kind_comes_back(tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    count = rng.choice([1, 2, 40])
    documents = documents_of(tmp_path, count)
    assert documents is not None
    given = {kind: [value(kind, rng, 9) for _ in range(count)] for kind in KINDS}
    columns: dict[str, pa.Array] = {kind: pa.array(values, TYPES[kind]) for kind, values in given.items()}
    for form in ("parquet", "jsonl", "jsonl.gz"):
        writer = AttributeWriter(tmp_path / f"a.{form}")
        writer.write(documents, columns)
        writer.finish()
    there = AttributeCursor(tmp_path / "a.parquet", list(KINDS)).next(documents)
    assert {k: c.type for k, c in there.items()} == TYPES
    assert repr([c.to_pylist() for c in there.values()]) == repr(list(given.values()))

    lines = AttributeCursor(tmp_path / "a.jsonl.gz", list(KINDS)).next(documents)
    rows = [json.loads(line) for line in (tmp_path / "a.jsonl").read_text().split("\n")[:-1]]
    slow = twin(rows, list(KINDS))
    for kind in ("int64", "string", "bool"):
        if set(given[kind]) == {None}:
            # Without a single value nobody knows the kind.
            assert (lines[kind].type, lines[kind].to_pylist()) == (SPANS, [[]] * count)
            continue
        assert (lines[kind].type, lines[kind].to_pylist()) == (TYPES[kind], given[kind])
        assert slow[kind] == given[kind]
    assert [v or [] for v in slow["spans"]] == lines["spans"].to_pylist() == given["spans"]
    numbers = [[] if v is None or math.isnan(v) else [{"start": 0, "end": 9, "score": v}] for v in given["float64"]]
    assert [v or [] for v in slow["float64"]] == numbers
    # Scores of lines are rounded to five decimals, as they are when they are made.
    rounded = [[{**s, "score": round(s["score"], 5)} for s in row] for row in numbers]
    assert lines["float64"].to_pylist() == rounded


def test_no_rows(tmp_path: Path) -> None:
    empty: dict[str, pa.Array] = {kind: absent(kind, 0) for kind in KINDS}
    for form in ("parquet", "jsonl"):
        writer = AttributeWriter(tmp_path / f"a.{form}")
        writer.write_rows(pa.array([], pa.large_string()), empty, lengths=pa.array([], pa.int64()))
        writer.finish()
    assert attribute_kinds(tmp_path / "a.parquet") == {kind: kind for kind in KINDS}
    assert (attribute_kinds(tmp_path / "a.jsonl"), (tmp_path / "a.jsonl").read_bytes()) == ({}, b"")


def test_the_shapes_are_dolmas_where_it_has_them(tmp_path: Path) -> None:
    documents = documents_of(tmp_path, 2)
    assert documents is not None
    values: dict[str, tuple[Kind, list[Any]]] = {
        "score": ("float64", [0.5, math.nan]),
        "size": ("int64", [2**53 + 1, None]),
        "of": ("string", ["ü", None]),
        "kept": ("bool", [None, False]),
        "parts": ("spans", [[{"start": 1, "end": 2, "score": 1.0}], []]),
    }
    writer = AttributeWriter(tmp_path / "a.jsonl", with_source=False)
    writer.write(documents, {key: pa.array(column, TYPES[kind]) for key, (kind, column) in values.items()})
    writer.finish()
    assert (tmp_path / "a.jsonl").read_text().splitlines() == [
        '{"id":"0","attributes":{"score":[[0,9,0.5]],"size":[[0,9,9007199254740993]],"of":"ü","parts":[[1,2,1.0]]},'
        '"kinds":{"size":"int64"}}',
        '{"id":"1","attributes":{"kept":false}}',
    ]
    kinds = {"score": "spans", "size": "int64", "of": "string", "parts": "spans", "kept": "bool"}
    assert attribute_kinds(tmp_path / "a.jsonl") == kinds
    (batch,) = read_attributes(tmp_path / "a.jsonl")
    assert {f.name: kind_of(f.type) for f in batch.schema if f.name != "id"} == kinds
    assert batch.column("size").to_pylist() == [2**53 + 1, None]


def test_a_file_of_dolmas_is_spans_as_ever(tmp_path: Path) -> None:
    """Its dedupe writes whole numbers, a list for every paragraph: they are no int64 attribute."""
    rows = [
        '{"id":"1","attributes":{"d":[[0,3,1]],"p":[]}}',
        '{"id":"2","attributes":{"d":[],"p":[[0,2,1],[2,3,0.5]]}}',
    ]
    (tmp_path / "a.jsonl").write_text("\n".join(rows))
    assert attribute_kinds(tmp_path / "a.jsonl") == {"d": "spans", "p": "spans"}
    batch = _native.AttributeReader(str(tmp_path / "a.jsonl"), ["d", "p"]).next_rows(9)
    assert [batch.column(k).type for k in "dp"] == [SPANS, SPANS]
    assert batch.column("d").to_pylist() == [[{"start": 0, "end": 3, "score": 1.0}], []]


def test_plain_numbers_are_read_as_what_they_look_like(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text(
        '{"id":"1","attributes":{"n":9007199254740993,"x":1.5,"t":null}}\n{"id":"2","attributes":{"t":"a","n":null}}\n'
    )
    (batch,) = read_attributes(tmp_path / "a.jsonl")
    assert {f.name: str(f.type) for f in batch.schema} == {
        "id": "large_string", "n": "int64", "x": "double", "t": "large_string",
    }  # fmt: skip
    assert batch.to_pydict() == {"id": ["1", "2"], "n": [2**53 + 1, None], "x": [1.5, None], "t": [None, "a"]}


CHANGES: list[tuple[str, str, str]] = [
    ('"x"', "true", "`k`: expected string (a text in quotes) as in line 1, found bool `true`"),
    ("[[0,3,1.0]]", '"x"', '`k`: expected spans ([[start, end, score], ...]) as in line 1, found string `"x"`'),
    ("1", "1.5", "`k`: expected int64 (a whole number) as in line 1, found float64 `1.5`"),
    ("1", "9223372036854775808", "`k`: expected a whole number of 64 bits, alone or as [[0, length, number]], found "),
    ("1", "[[0,3,2]]", "`k`: expected int64 (a whole number) as in line 1, found spans `[[0,3,2]]`"),
    ("[[0,3,1.0]]", "[[0,3,9007199254740993]]", "`k`: expected a score that a float64 holds, found 9007199254740993"),
    ("true", "{}", "`k`: expected [[start, end, score], ...], a text, true, false or a number, found the object `{}`"),
    ("[]", '["x"]', "`k`: expected [[start, end, score], ...]: invalid type"),
]


@pytest.mark.parametrize(("first", "second", "reason"), CHANGES)
def test_a_column_that_changes_its_kind_names_the_line(tmp_path: Path, first: str, second: str, reason: str) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text("".join(f'{{"id":"{i}","attributes":{{"k":{v}}}}}\n' for i, v in enumerate([first, second])))
    with pytest.raises(DataError) as caught:
        list(read_attributes(path))
    assert f"{path}: line 2: expected an attribute row: {reason}" in str(caught.value)


def test_infinity_is_refused_in_lines_and_kept_in_parquet(tmp_path: Path) -> None:
    documents = documents_of(tmp_path, 1)
    assert documents is not None
    for form in ("parquet", "jsonl"):
        writer = AttributeWriter(tmp_path / f"a.{form}")
        column = {"k": pa.array([-math.inf])}
        if form == "jsonl":
            with pytest.raises(
                DataError, match=r"a\.jsonl: attribute `k`: expected finite scores, found infinity, which"
            ):
                writer.write(documents, column)
            writer.abort()
            continue
        writer.write(documents, column)
        writer.finish()
    assert AttributeCursor(tmp_path / "a.parquet", ["k"]).next(documents)["k"].to_pylist() == [-math.inf]


def test_parquet_of_others_gets_the_types_of_its_kinds(tmp_path: Path) -> None:
    spans = pa.large_list(pa.struct([("score", pa.float32()), ("start", pa.int32()), ("end", pa.int32())]))
    table = pa.table(
        {
            "id": ["1", "2"],
            "small": pa.array([1, None], pa.int32()),
            "half": pa.array([0.5, None], pa.float32()),
            "text": pa.array(["a", None], pa.string()),
            "coded": pa.array(["b", None]).dictionary_encode(),
            "flag": [True, None],
            "parts": pa.array([[{"score": 0.5, "start": 1, "end": 2}], None], spans),
        }
    )
    pq.write_table(table, tmp_path / "a.parquet")
    (batch,) = read_attributes(tmp_path / "a.parquet")
    found = {f.name: kind_of(f.type) for f in batch.schema if f.name != "id"}
    assert found == {
        "small": "int64", "half": "float64", "text": "string", "coded": "string", "flag": "bool", "parts": "spans",
    }  # fmt: skip
    assert [f.type for f in batch.schema][1:] == [TYPES[kind] for kind in found.values() if kind is not None]
    assert batch.column("parts").to_pylist() == [[{"start": 1, "end": 2, "score": 0.5}], []]
    assert (batch.column("coded").to_pylist(), batch.column("small").to_pylist()) == (["b", None], [1, None])
    pq.write_table(pa.table({"id": ["1"], "n": pa.array([2**63], pa.uint64())}), tmp_path / "b.parquet")
    with pytest.raises(DataError, match=r"b\.parquet: column `n`: expected int64, found uint64: Integer value 9223"):
        list(read_attributes(tmp_path / "b.parquet"))
    pq.write_table(pa.table({"id": ["1"], "n": [{"a": 1}]}), tmp_path / "c.parquet")
    with pytest.raises(DataError, match="column `n`: expected numbers, strings, booleans, or lists of structs"):
        list(read_attributes(tmp_path / "c.parquet"))
