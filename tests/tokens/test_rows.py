"""Which tokens are which document: the csv.gz of an index, and what there is without one."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dolma_pipeline._native import LineWriter
from dolma_pipeline.errors import DataError
from dolma_pipeline.tokens import rows as module
from dolma_pipeline.tokens.rows import Rows, by_ends, by_eos, read_csv

WITHIN = "after the document before it and within the tokens"
Row = tuple[int, int, str, str, int]


def table(parts: list[Rows]) -> list[Row]:
    return [
        (int(p.starts[i]), int(p.starts[i] + p.lengths[i]), p.ids[i].as_py(), p.sources[i].as_py(), p.lines[i].as_py())
        for p in parts
        for i in range(len(p))
    ]


def write(path: Path, *members: str) -> Path:
    path.write_bytes(b"".join(gzip.compress(m.encode()) for m in members))
    return path


def test_rows_as_they_are_written(tmp_path: Path) -> None:
    """By our writer, whatever stands in an id."""
    expected = [(0, 3, 'say "a", b', "/d/a,b.gz", 1), (3, 3, "", "/d/c.gz", 2), (3, 9, "line\nbreak é", "/d/a,b.gz", 7)]
    path = tmp_path / "i.csv.gz"
    writer = LineWriter(str(path))
    starts, ends, ids, files, lines = zip(*expected, strict=True)
    labels = list(dict.fromkeys(files))
    writer.write_token_rows(
        pa.array(starts), pa.array(ends), pa.array(ids, pa.large_string()), pa.array([labels.index(f) for f in files]),
        labels, pa.array(lines)
    )  # fmt: skip
    writer.finish()
    assert table(list(read_csv(path, 9))) == expected


def test_rows_of_others(tmp_path: Path) -> None:
    """CRLF, as Python's csv ends lines, several gzip members, tokens between documents."""
    path = write(tmp_path / "i.csv.gz", "0,2,a,s,1\r\n", '4,6,"b""c",s,2\r\n')
    assert table(list(read_csv(path, 6))) == [(0, 2, "a", "s", 1), (4, 6, 'b"c', "s", 2)]
    assert list(read_csv(write(tmp_path / "e.csv.gz", ""), 0)) == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("0,2,a,s,1\n1,3,b,s,2\n", f"row 2: expected a range within 2 to 9, {WITHIN}, found 1 to 3"),
        ("0,2,a,s,1\n2,10,b,s,2\n", f"row 2: expected a range within 2 to 9, {WITHIN}, found 2 to 10"),
        ("3,2,a,s,1\n", f"row 1: expected a range within 0 to 9, {WITHIN}, found 3 to 2"),
        ("0,2,a,s\n", "expected rows of start,end,id,src,loc in gzip: CSV parse error: "),
        ("0,x,a,s,1\n", "expected rows of start,end,id,src,loc in gzip: In CSV column #1: "),
    ],
)  # fmt: skip
def test_bad_rows(text: str, message: str, tmp_path: Path) -> None:
    path = write(tmp_path / "i.csv.gz", text)
    with pytest.raises(DataError) as error:
        list(read_csv(path, 9))
    assert str(error.value).startswith(f"{path}: {message}")


def test_a_bad_row_is_found_in_a_later_batch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BLOCK_BYTES", 200)
    rows = [f"{i},{i + 1},doc-{i},s,{i}" for i in range(100)]
    assert len(table(list(read_csv(write(tmp_path / "i.csv.gz", "\n".join(rows) + "\n"), 100)))) == 100
    rows[70] = "69,71,x,s,1"
    with pytest.raises(DataError, match="row 71: expected a range within 70 to 100"):
        list(read_csv(write(tmp_path / "i.csv.gz", "\n".join(rows) + "\n"), 100))


def test_a_cut_index(tmp_path: Path) -> None:
    path = write(tmp_path / "i.csv.gz", "".join(f"{i},{i + 1},doc-{i * i},s,{i}\n" for i in range(1000)))
    path.write_bytes(path.read_bytes()[:-50])
    with pytest.raises(DataError, match=r"i\.csv\.gz: expected rows of start,end,id,src,loc in gzip: "):
        list(read_csv(path, 1000))
    with pytest.raises(DataError, match=r"none\.csv\.gz: expected the index of a token file, found none"):
        list(read_csv(tmp_path / "none.csv.gz", 1000))


@given(st.lists(st.integers(0, 3), max_size=50))
def test_documents_by_eos(tokens: list[int]) -> None:
    """A document ends with EOS, the last one with the file."""
    expected: list[list[int]] = [[]]
    for token in tokens:
        expected[-1].append(token)
        if token == 1:
            expected.append([])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "SCAN_TOKENS", 4)
        found = list(by_eos("x", np.array(tokens, dtype="<u2"), 1))
    assert [tokens[a:b] for a, b, *_ in table(found)] == [d for d in expected if d]
    assert [row[2:] for row in table(found)] == [(f"x-{n}", "x", n + 1) for n in range(len(table(found)))]


def test_documents_by_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BATCH", 2)
    ends = np.array([3, 3, 5, 8], dtype="<u8")
    assert table(list(by_ends("x", ends, 9, "x.index"))) == [
        (0, 3, "x-0", "x", 1),
        (3, 3, "x-1", "x", 2),
        (3, 5, "x-2", "x", 3),
        (5, 8, "x-3", "x", 4),
    ]
    message = "document 3: expected an end from 5, where the one before it ends, to 7, the tokens there are, found 8"
    with pytest.raises(DataError, match=message):
        list(by_ends("x", ends, 7, "x.index"))
    with pytest.raises(DataError, match="document 2: expected an end from 3"):
        list(by_ends("x", np.array([3, 3, 2], dtype="<u8"), 9, "x.index"))
