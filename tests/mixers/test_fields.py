"""Fields of documents in rules."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dolma_pipeline.errors import ConfigError, DataError
from dolma_pipeline.formats.documents import read_documents
from dolma_pipeline.mixers import expression
from dolma_pipeline.mixers.decide import rule_columns

ROWS: list[dict[str, Any]] = [
    {"score": 0.5, "lang": "en", "flag": True, "metadata": {"x": "y", "n": 3, "deep": {"k": "é\n"}}},
    {"score": 0.65, "lang": "de", "flag": False, "metadata": {"x": 7, "n": "3"}},
    {"score": "0.1", "lang": None, "flag": 0, "metadata": "none"},
    {},
    {"score": -1e3, "lang": "", "flag": "yes", "metadata": {"x": "", "n": 0.0}},
]


def hits(tmp_path: Path, text: str) -> list[bool]:
    path = tmp_path / "a.jsonl"
    path.write_text("".join(json.dumps({"id": str(i), "text": "abc", **row}) + "\n" for i, row in enumerate(ROWS)))
    (documents,) = list(read_documents(path, keep_raw=True))
    rule = expression.compile(text, "$.rule")
    found: list[bool] = rule.evaluate(rule_columns(documents, {}, rule.fields), len(documents)).tolist()
    return found


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("doc.score < 0.65", [0, 4]),
        ("not doc.score < 0.65", [1]),
        ("0.65 <= doc.score", [1]),
        ("doc.score * 2 + 1 == 2", [0]),
        ("-doc.score > 0", [4]),
        ('doc.lang == "en"', [0]),
        ('doc.lang != "en"', [1, 4]),
        ('"en" == doc.lang', [0]),
        ('not doc.lang == "en"', [1, 4]),
        ('metadata.x == "y"', [0]),
        ("metadata.x == 7", [1]),
        ("metadata.n == 3", [0]),
        ("doc.metadata.n >= 0", [0, 4]),
        ('metadata.deep.k == "é\n"', [0]),
        ("doc.flag", [0, 4]),
        ("not doc.flag", [1, 2]),
        ("doc.flag and doc.score < 0", [4]),
        ("doc.score < doc.n or doc.score > 0.6", [1]),
        ("doc.missing < 1 or not doc.missing < 1", []),
        ('doc.lang == source or id == "3"', [3]),
        ("length == 3 and metadata.n", [0, 1]),
    ],
)
def test_a_field_is_read_as_what_its_place_wants(tmp_path: Path, text: str, expected: list[int]) -> None:
    assert [i for i, hit in enumerate(hits(tmp_path, text)) if hit] == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("doc.a == doc.b", "expected a number or a quoted text after `==` at column 10, found another field"),
        ('doc.a < "x"', "expected a number after `<` at column 9, found a text"),
        ('doc.a + 1 == "x"', "expected a number after `==` at column 14, found a text"),
    ],
)
def test_mistakes(text: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        expression.compile(text, "$.rule")
    assert str(caught.value).splitlines()[0] == f"$.rule: {message}"


def test_backquotes_make_it_an_attribute() -> None:
    assert expression.compile("`doc`.score < 1", "$").names == ("doc.score",)
    assert expression.compile("doc.score < 1", "$").names == ()


def test_documents_must_be_read_with_their_lines(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"id":"a","text":"x"}\n')
    (documents,) = list(read_documents(tmp_path / "a.jsonl"))
    with pytest.raises(DataError) as caught:
        rule_columns(documents, {}, ["number:doc.a"])
    assert str(caught.value) == "field `doc.a`: expected documents read with keep_raw=True"


def test_numbers_that_no_double_reaches_are_told_apart(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text(
        '{"id":"a","text":"x","n":1e400}\n{"id":"b","text":"x","n":12345678901234567890}\n'
    )
    (documents,) = list(read_documents(tmp_path / "a.jsonl", keep_raw=True))
    column = rule_columns(documents, {}, ["number:doc.n"])["number:doc.n"]
    assert column.to_pylist() == pa.array([float("inf"), 12345678901234567890.0]).to_pylist()


BIG = [9007199254740991, 9007199254740992, 9007199254740993, 9007199254740994, -9007199254740993]
"""Around 2^53, above which a double holds every other whole number."""


def matching(path: Path, text: str) -> list[int]:
    (documents,) = list(read_documents(path, keep_raw=True))
    rule = expression.compile(text, "$.rule")
    found = rule.evaluate(rule_columns(documents, {}, rule.fields), len(documents))
    return [i for i, hit in enumerate(found.tolist()) if hit]


@pytest.mark.parametrize("form", ["jsonl", "int64", "uint64"])
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("doc.n == 9007199254740993", [2]),
        ("9_007_199_254_740_993 == doc.n", [2]),
        ("doc.n != 9007199254740993", [0, 1, 3]),
        ("doc.n > 9007199254740992", [2, 3]),
        ("doc.n >= 9007199254740993", [2, 3]),
        ("doc.n < 9007199254740993", [0, 1]),
        ("9007199254740992 >= doc.n", [0, 1]),
        ("not doc.n <= 9007199254740993", [3]),
        ("doc.m < doc.n", [1, 2, 3]),
        ("9007199254740993 == 9007199254740992", []),
    ],
)
def test_whole_numbers_are_compared_to_their_last_digit(
    tmp_path: Path, form: str, text: str, expected: list[int]
) -> None:
    rows = [{"id": str(i), "text": "t", "n": n, "m": BIG[0] + i // 2} for i, n in enumerate(BIG[:4])]
    path = tmp_path / ("a.jsonl" if form == "jsonl" else "a.parquet")
    if form == "jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    else:
        table = pa.Table.from_pylist(rows)
        kind = pa.int64() if form == "int64" else pa.uint64()
        pq.write_table(table.set_column(2, "n", table.column("n").cast(kind)), path)
    assert matching(path, text) == expected


def test_numbers_beyond_64_bits_and_doubles(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    numbers = ["12345678901234567893", "12345678901234567894", "-12345678901234567893", "9007199254740992.0", "1e400"]
    lines = [f'{{"id":"{i}","text":"t","n":{n},"metadata":{{"big":{n}}}}}\n' for i, n in enumerate(numbers)]
    path.write_text("".join(lines))
    assert matching(path, "metadata.big == 12345678901234567893") == [0]
    assert matching(path, "metadata.big == -12345678901234567893") == [2]
    assert matching(path, "doc.n > 12345678901234567893") == [1, 4]
    assert matching(path, "doc.n < -12345678901234567892") == [2]
    # A double is the number that it is, and not those that round to it.
    assert matching(path, "doc.n == 9007199254740993") == []
    assert matching(path, "doc.n == 9007199254740992") == [3]


@pytest.mark.parametrize(
    ("text", "column"),
    [
        ("t.a + 0 == 9007199254740993", 12),
        ("-9007199254740993 < -t.a", 1),
        ("doc.n + 1 == 9007199254740993", 14),
        ("doc.n - 9007199254740993 > 0", 9),
        ("9007199254740993 * 2 > doc.n", 1),
        ("count(t.a) > 9007199254740993", 14),
    ],
)
def test_a_number_that_a_double_does_not_hold_is_refused_beside_doubles(text: str, column: int) -> None:
    number, held = ("-9007199254740993", "-9007199254740992") if "-9" in text else (str(BIG[2]), str(BIG[1]))
    with pytest.raises(ConfigError) as caught:
        expression.compile(text, "$.rule")
    assert str(caught.value).splitlines()[0] == (
        f"$.rule: expected a number that a double holds at column {column}, found {number}, for which it would hold "
        f"{held}; results of arithmetic are doubles, only int64 attributes and fields of documents are compared to "
        f"the last digit"
    )


def test_whole_numbers_in_a_column_of_attributes() -> None:
    rule = expression.compile("t.a == doc.n", "$")
    columns = {
        "t.a": pa.array([BIG[2], BIG[2], BIG[1], None], pa.int64()),
        "number:doc.n": pa.array([float(BIG[2])] * 4, pa.float64()),
        "digits:doc.n": pa.array([str(BIG[2]), str(BIG[1]), str(BIG[1]), str(BIG[1])], pa.large_string()),
    }
    assert rule.evaluate(columns, 4).tolist() == [True, False, True, False]
