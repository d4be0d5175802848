"""A key of JSON lines has values of one kind, also where a file of documents is read in pieces."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from dolma_pipeline import Mix, Source, recipe, run
from dolma_pipeline.errors import DataError


def problem(directory: Path, values: list[Any], rule: str, piece_bytes: int) -> str:
    """What a mix says of attributes with these values, None for a document without one."""
    beside = directory / "attributes" / "x" / "a.jsonl"
    for path in (directory / "documents" / "a.jsonl", beside):
        path.parent.mkdir(parents=True, exist_ok=True)
    texts = "".join(json.dumps({"id": str(i), "text": "word " * 40}) + "\n" for i in range(len(values)))
    (directory / "documents" / "a.jsonl").write_text(texts)
    rows = ({"id": str(i), "attributes": {} if v is None else {"x__t__v": v}} for i, v in enumerate(values))
    beside.write_text("".join(json.dumps(row) + "\n" for row in rows))
    made = recipe(
        "r",
        {"s": Source(documents=f"{directory}/documents/*.jsonl", attributes=["x"])},
        [Mix(drop={"a": rule})],
        work_dir=directory / f"run-{piece_bytes}",
        piece_bytes=piece_bytes,
    )
    with pytest.raises(DataError) as error:
        run(made)
    return str(error.value)


@pytest.mark.parametrize(
    ("first", "second", "rule", "found"),
    [
        (3, 3.5, "t.v > 1", "expected int64 (a whole number) as in line 11, found float64 `3.5`"),
        (True, "x", "t.v", 'expected bool (true or false) as in line 11, found string `"x"`'),
        # The rule alone would refuse the texts of a piece.
        (3, "x", "t.v > 1", 'expected int64 (a whole number) as in line 11, found string `"x"`'),
    ],
)
def test_pieces_refuse_what_the_whole_does(tmp_path: Path, first: Any, second: Any, rule: str, found: str) -> None:
    values = [None] * 10 + [first] * 90 + [None] * 40 + [second] * 60
    expected = (
        f"{tmp_path}/attributes/x/a.jsonl: line 141: expected an attribute row: `x__t__v`: {found}; "
        "the values of an attribute are of one kind"
    )
    assert problem(tmp_path, values, rule, 10**9) == expected
    assert problem(tmp_path, values, rule, 5_000) == expected


def test_the_line_of_the_first_value_may_be_in_another_piece(tmp_path: Path) -> None:
    values: list[Any] = [1] * 197 + [2.5, 3, 4]
    whole, pieces = (problem(tmp_path, values, "t.v > 1", size) for size in (10**9, 10_000))
    assert whole == pieces
    assert "line 198: expected an attribute row: `x__t__v`: expected int64 (a whole number) as in line 1," in pieces
