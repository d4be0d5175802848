"""Pieces of a large file: ranges of its rows, which are read apart from one another.

How many pieces a file has depends on its size alone. A piece of JSON lines has the lines that begin in it, where its
beginning is the place in the text at which so much of the file as it is stored has been used; a piece of a Parquet
file has the row groups whose middle lies in it.
"""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from dolma_pipeline import _native
from dolma_pipeline.io import fs
from dolma_pipeline.io.cache import local_copy

FEWEST = 8
"""A file that would have fewer pieces is read as a whole: to divide it costs another decoding of what lies before a
piece, and a corpus of many files keeps all processes busy without that."""
STEP = 64 << 20
"""Bytes of text that are stepped over in one call, between which a signal is heard."""


class Piece(Struct, frozen=True):
    """Piece `number`, from 0, of the `of` pieces of a file."""

    number: int
    of: int

    @property
    def last(self) -> bool:
        return self.number + 1 == self.of


def pieces(size: int, piece_bytes: int) -> list[Piece]:
    """The pieces of a file of `size` bytes, none longer than `piece_bytes`; none at all where it is read as a whole."""
    count = -(-size // piece_bytes)
    return [Piece(number, count) for number in range(count)] if count >= FEWEST else []


class _Waiting:
    """The reader of the last piece that this process has read, which stands where the next one begins.

    Who reads a later piece goes on with it: so each process goes through a file once, however many pieces it has.
    """

    key: tuple[Any, ...] = ()
    reader: _native.DocumentReader | None = None


def open_piece(path: str, piece: Piece | None, **options: Any) -> _native.DocumentReader:
    """A reader of the lines of a file, or of those in a piece of it."""
    local = str(local_copy(path))
    if piece is None:
        return _native.DocumentReader(local, **options)
    key, waiting = _key(local, piece, options), _Waiting.reader
    reader = waiting if _Waiting.key == key else None
    _Waiting.reader, _Waiting.key = None, ()
    if reader is None or not reader.go_on(piece.number):
        reader = _native.DocumentReader(local, piece=(piece.number, piece.of), **options)
    while piece.number > 0 and reader.skip(STEP):
        pass
    return reader


def keep_waiting(reader: _native.DocumentReader, path: str, piece: Piece, **options: Any) -> None:
    """Keeps the reader of a piece that was read to its end for a later one."""
    if not piece.last:
        local = str(local_copy(path))
        _Waiting.reader, _Waiting.key = reader, _key(local, piece, options)


def _key(local: str, piece: Piece, options: dict[str, Any]) -> tuple[Any, ...]:
    found = fs.stat(local)
    return (local, found.size, found.version, piece.of, repr(sorted(options.items())))
