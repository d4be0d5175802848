"""datatrove's files beside the tokens."""

from __future__ import annotations

from pathlib import Path

import pytest

from dolma_pipeline.errors import DataError
from dolma_pipeline.tokens.datatrove import for_people, metadata, read_ends, read_metadata


def test_metadata(tmp_path: Path) -> None:
    assert metadata("tokenizer.json", "uint16", 1234) == "tokenizer.json|2\n1234\n1.23 kT"
    path = tmp_path / "x.ds.metadata"
    path.write_text(metadata("a|b", "uint32", 7))
    assert read_metadata(path) == ("a|b", "uint32", 7)
    for bad in ("", "name\n7\n", "name|3\n7\n", "name|2\nmany\n", "name|2"):
        path.write_text(bad)
        with pytest.raises(DataError, match=r"expected `tokenizer\|2` or `tokenizer\|4` and a line with the tokens"):
            read_metadata(path)


@pytest.mark.parametrize(
    ("tokens", "shown"), [(0, "0.00 T"), (7, "7.00 T"), (999, "999 T"), (99_999, "100 kT"), (1_500_000_000, "1.50 GT")]
)
def test_for_people(tokens: int, shown: str) -> None:
    assert for_people(tokens) == shown


def test_ends(tmp_path: Path) -> None:
    path = tmp_path / "x.ds.index"
    path.write_bytes((3).to_bytes(8, "little") + (2**40).to_bytes(8, "little"))
    assert read_ends(path).tolist() == [3, 2**40]
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(DataError, match="expected 8 bytes for each document, found 15: the file was cut"):
        read_ends(path)
    path.write_bytes(b"")
    assert read_ends(path).tolist() == []


def test_metadata_that_is_no_text(tmp_path: Path) -> None:
    path = tmp_path / "x.ds.metadata"
    path.write_bytes(b"\xff|3\n1\n")
    with pytest.raises(DataError, match="and a line with the tokens, found"):
        read_metadata(path)
