"""The pieces of a file together give what the whole file gives: documents, bad lines, places and damage."""

from __future__ import annotations

import gzip
import itertools
import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from dolma_pipeline.formats import piece as pieces_module
from dolma_pipeline.formats.documents import read_documents
from dolma_pipeline.formats.piece import Piece, pieces

Read = tuple[list[dict[str, Any]], list[Any], list[str], int, int]


def read(path: Path, piece: Piece | None = None, **options: Any) -> Read:
    stream = read_documents(path, keep_raw=True, piece=piece, **options)
    documents = [row for batch in stream for row in batch.records.to_pylist()]
    damage = [stream.damage] if stream.damage is not None else []
    return documents, stream.take_bad(), damage, stream.unread_rows, stream.unread_bytes


def joined(path: Path, of: int, numbers: list[int] | None = None, **options: Any) -> Read:
    """What the pieces give, put together in their order; read in the order of `numbers`."""
    found = {n: read(path, Piece(n, of), **options) for n in numbers or range(of)}
    documents, bad, damage, rows, size = zip(*(found[n] for n in range(of)), strict=True)
    chain = itertools.chain.from_iterable
    return list(chain(documents)), list(chain(bad)), list(chain(damage)), sum(rows), sum(size)


def lines(seed: int, count: int) -> bytes:
    """Lines of all lengths, some of them blank, bad, or with a carriage return."""
    rng = random.Random(seed)
    found = []
    for number in range(count):
        text = "".join(rng.choices("abc é😀\n", k=rng.choice([0, 5, 50, 400])))
        line = json.dumps({"id": str(number), "text": text, "n": number}).encode()
        end = rng.choice([b"\n", b"\n", b"\n", b"\r\n", b"\n\n", b"\n \n"])
        found.append(rng.choice([line, line, line, line, line, line, b"{", b"\xff"]) + end)
    return b"".join(found)


def in_parts(text: bytes, count: int) -> list[bytes]:
    """The text cut anywhere."""
    cuts = sorted(random.Random(3).sample(range(len(text)), count - 1))
    return [text[a:b] for a, b in itertools.pairwise([0, *cuts, len(text)])]


STORED: dict[str, Callable[[bytes], bytes]] = {
    "plain.jsonl": lambda text: text,
    "one.jsonl.gz": lambda text: gzip.compress(text, mtime=0),
    "many.jsonl.gz": lambda text: b"".join(gzip.compress(part, mtime=0) for part in in_parts(text, 30)),
    "one.jsonl.zst": zstandard.compress,
    "many.jsonl.zst": lambda text: b"".join(zstandard.compress(part) for part in in_parts(text, 30)),
}


@pytest.mark.parametrize("name", list(STORED))
@pytest.mark.parametrize("ending", ["as it is", "no newline", "bad line", "long line"])
def test_pieces_of_lines_give_the_whole(tmp_path: Path, name: str, ending: str) -> None:
    text = lines(1, 8000)
    if ending == "no newline":
        text += b'{"id": "last", "text": "x"}'
    if ending == "bad line":
        text += b"{"
    if ending == "long line":
        # Longer than many chunks, over the limit, and in the middle of the file.
        middle = len(text) // 2 + text[len(text) // 2 :].index(b"\n") + 1
        text = text[:middle] + b'{"id": "long", "text": "' + b"x" * 600_000 + b'"}\n' + text[middle:]
    path = tmp_path / name
    path.write_bytes(STORED[name](text))
    options: dict[str, Any] = {"max_line_bytes": 300_000}
    whole = read(path, **options)
    assert len(whole[0]) > 5000
    assert len(whole[1]) > 1000
    assert any("over the limit" in bad.reason for bad in whole[1]) == (ending == "long line")
    for of in (1, 3, 7, 30):
        assert joined(path, of, **options) == whole, of
        # Each opened anew, for the one before cannot go on to it.
        assert joined(path, of, list(reversed(range(of))), **options) == whole, of
        assert joined(path, of, random.Random(of).sample(range(of), of), **options) == whole, of


def test_pieces_have_about_the_same_size(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl.zst"
    path.write_bytes(zstandard.compress(lines(2, 20_000)))
    sizes = [len(read(path, Piece(n, 4))[0]) for n in range(4)]
    assert sum(sizes) == len(read(path)[0])
    assert min(sizes) > 0.5 * max(sizes), sizes


def test_a_reader_goes_on_where_the_piece_before_has_ended(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(lines(4, 4000))

    def waiting() -> object:
        return pieces_module._Waiting.reader

    read(path, Piece(0, 4))
    first = waiting()
    assert first is not None
    read(path, Piece(2, 4))
    assert waiting() is first
    # Another reading of the same file does not.
    read(path, Piece(3, 4), max_line_bytes=1000)
    assert waiting() is None
    # And a file that was changed is opened again.
    read(path, Piece(0, 4))
    path.write_bytes(lines(5, 4000))
    assert read(path, Piece(1, 4)) == read(path, Piece(1, 4))


@pytest.mark.parametrize("name", ["one.jsonl.gz", "many.jsonl.gz", "one.jsonl.zst", "many.jsonl.zst"])
@pytest.mark.parametrize("kept", [0.1, 0.7])
def test_damage_is_told_once_with_the_piece_that_meets_it(tmp_path: Path, name: str, kept: float) -> None:
    stored = STORED[name](lines(6, 8000))
    path = tmp_path / name
    cut = int(len(stored) * kept)
    for damaged in (stored[:cut], stored[:cut] + bytes(64) + stored[cut + 64 :], stored + b"garbage"):
        path.write_bytes(damaged)
        whole = read(path)
        assert len(whole[2]) == 1
        for of in (2, 5, 40):
            assert joined(path, of) == whole, of


def test_what_is_no_document_file_is_told_by_the_first_piece(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl.gz"
    path.write_bytes(b"\xfd7zXZ\0\0\x04" * 1000)
    whole = read(path)
    assert whole[2]
    assert joined(path, 3) == whole
    path.write_bytes(b"")
    assert joined(path, 3) == ([], [], [], 0, 0)


def table(rows: int, groups: int, path: Path) -> None:
    texts = [None if n % 97 == 0 else f"text {n} " * (n % 13) for n in range(rows)]
    values = pa.table({"id": [str(n) for n in range(rows)], "text": texts, "n": list(range(rows))})
    pq.write_table(values, path, row_group_size=-(-rows // groups))


@pytest.mark.parametrize("groups", [1, 2, 9])
def test_pieces_of_parquet_give_the_whole(tmp_path: Path, groups: int) -> None:
    path = tmp_path / "a.parquet"
    table(5000, groups, path)
    whole = read(path)
    assert len(whole[0]) == 4948
    assert len(whole[1]) == 52
    for of in (1, 2, 3, 7, 50):
        assert joined(path, of) == whole, of
    begun = [len(read(path, Piece(n, 2))[0]) > 0 for n in range(2)]
    assert begun == [True, groups > 1]


def test_damage_to_parquet_is_told_once(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    table(5000, 9, path)
    stored = bytearray(path.read_bytes())
    start = pq.read_metadata(path).row_group(4).column(1).dictionary_page_offset
    stored[start : start + 40] = bytes(40)
    path.write_bytes(stored)
    whole = read(path)
    assert whole[3] > 0
    assert "row group 5" in whole[2][0]
    assert joined(path, 3) == whole
    path.write_bytes(stored[:-10])
    whole = read(path)
    assert len(whole[2]) == 1
    assert whole[4] > 0
    assert joined(path, 3) == whole
    pq.write_table(pa.table({"id": ["a"], "body": ["b"]}), path)
    whole = read(path)
    assert len(whole[2]) == 1
    assert whole[3] == 1
    assert joined(path, 3) == whole


def test_how_many_pieces_depends_on_the_size_alone() -> None:
    assert pieces(0, 10) == pieces(10, 10) == pieces(70, 10) == []
    assert pieces(71, 10) == pieces(80, 10) == [Piece(n, 8) for n in range(8)]
    assert [p.last for p in pieces(71, 10)] == [False] * 7 + [True]
