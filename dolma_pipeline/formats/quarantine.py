"""Quarantine: what could not be read, kept with its place and reason so that nothing vanishes."""

from __future__ import annotations

import base64
from pathlib import Path
from types import TracebackType

import msgspec

from dolma_pipeline import _native
from dolma_pipeline.engine.task import BadInput, Counts, Output
from dolma_pipeline.errors import DataError
from dolma_pipeline.formats.documents import MAX_LINE_BYTES, OWN_LINE_BYTES, BadLine, DocumentStream
from dolma_pipeline.formats.piece import Piece
from dolma_pipeline.io import fs

MAX_BYTES = 256 << 20
"""Size from which a quarantine file takes only places and reasons, without the bytes of the lines: a shard of nothing
but bad lines must not fill the disk a second time."""

KEPT = 4096
"""Bytes of a bad line that are kept."""


class QuarantineRow(msgspec.Struct, frozen=True, omit_defaults=True):
    """A row of a quarantine file: `raw` as text where it is UTF-8, else `raw_base64`.

    `raw` holds the first 4 kB of a longer line, and `length` then says how many bytes the line has. A row has no bytes
    of its line once the file is full.
    """

    file: str
    line: int
    offset: int
    reason: str
    raw: str | None = None
    raw_base64: str | None = None
    length: int | None = None


def quarantine_row(file: str, bad: BadLine, *, with_bytes: bool = True) -> QuarantineRow:
    """The row of a bad line: of a long one only the beginning is kept."""
    kept = beginning(bad.raw) if with_bytes else b""
    length = max(bad.length, len(bad.raw))
    row = QuarantineRow(file, bad.line, bad.offset, bad.reason, length=length if length > len(kept) else None)
    if not with_bytes:
        return row
    try:
        return msgspec.structs.replace(row, raw=kept.decode())
    except UnicodeDecodeError:
        return msgspec.structs.replace(row, raw_base64=base64.b64encode(kept).decode())


def beginning(raw: bytes) -> bytes:
    """The first 4 kB of `raw`, without the part of a character that is cut."""
    kept = raw[:KEPT]
    try:
        kept.decode()
    except UnicodeDecodeError as error:
        if len(raw) > KEPT and error.reason == "unexpected end of data":
            return kept[: error.start]
    return kept


class Quarantine:
    """The quarantine file of one shard, made only if there is something to put in it."""

    def __init__(self, path: str | Path, file: str, max_bytes: int = MAX_BYTES) -> None:
        self._path = Path(path)
        self._file = file
        self._max_bytes = max_bytes
        self._bytes = 0
        self._writer: _native.LineWriter | None = None
        self._first: BadLine | None = None
        self.count = 0
        """Number of rows written."""
        self.without_raw = 0
        """Number of rows written without the bytes of the line."""

    def add(self, bad: list[BadLine]) -> None:
        for line in bad:
            if self._writer is None:
                self._writer = _native.LineWriter(str(self._path))
                self._first = line
            # Escapes and base64 only make a line longer.
            fits = self._bytes + min(len(line.raw), KEPT) <= self._max_bytes
            row = msgspec.json.encode(quarantine_row(self._file, line, with_bytes=fits)) + b"\n"
            self._writer.write(row)
            self._bytes += len(row)
            self.without_raw += not fits
            self.count += 1

    def finish(self) -> list[Output]:
        """The file, if there was anything to write; else an older one is removed."""
        if self._writer is None:
            fs.remove(self._path, missing_ok=True)
            return []
        size, digest = self._writer.finish()
        return [Output(str(self._path), size, digest)]

    def found(self, stream: DocumentStream | None = None) -> list[BadInput]:
        """What was set aside, and what else `stream` could not read, for the report; nothing if all was well."""
        damage = stream.damage if stream is not None else None
        if self._first is None and damage is None:
            return []
        return [
            BadInput(
                file=self._file,
                documents=self.count,
                line=self._first.line if self._first is not None else 0,
                reason=self._first.reason if self._first is not None else "",
                quarantine=str(self._path) if self.count else "",
                without_raw=self.without_raw,
                damage=damage or "",
                unread=stream.unread if stream is not None else [],
                unread_bytes=stream.unread_bytes if stream is not None else 0,
                nothing_read=stream is not None and stream.documents == 0,
            )
        ]

    def abort(self) -> None:
        if self._writer is not None:
            self._writer.abort()


def room(piece: Piece | None) -> int:
    """The `max_bytes` of the quarantine file of a shard, or of a piece of one."""
    return MAX_BYTES if piece is None else MAX_BYTES // piece.of


def longest_line(quarantine: str | None) -> int:
    """Maximum length of a line of a file whose bad lines go to `quarantine`.

    A file without one was written by an earlier stage, and its lines passed the limit when they were read.
    """
    return MAX_LINE_BYTES if quarantine is not None else OWN_LINE_BYTES


class SetAside:
    """Takes the bad lines of a stream, counts them, and writes them to the quarantine file at `path`.

    `take` is called after each batch, so that a file of nothing but bad lines is not held in memory.

    A `path` of None says that this run wrote the file itself, where no line can be bad: one that is, or damage, is
    raised as a DataError.
    """

    def __init__(self, stream: DocumentStream, path: str | None, counts: Counts) -> None:
        self._stream = stream
        self._counts = counts
        self._quarantine = Quarantine(path, stream.path, room(stream.piece)) if path is not None else None
        stream.max_line_bytes = max(stream.max_line_bytes, longest_line(path))
        self.outputs: list[Output] = []
        """The quarantine file, if one was written; known once the block has ended."""
        self.bad: list[BadInput] = []
        """What could not be read of the file; known once the block has ended."""

    def take(self) -> None:
        bad = self._stream.take_bad()
        if not bad:
            return
        if self._quarantine is None:
            raise _own_fault(f"{self._stream.path}:{bad[0].line}", bad[0].reason)
        self._counts.quarantined += len(bad)
        self._counts.documents_in += len(bad)
        self._quarantine.add(bad)

    def end(self) -> None:
        """Takes the last bad lines; to be called before outputs are finished, which must not be if a file is bad."""
        self.take()
        if self._quarantine is None and self._stream.damage is not None:
            raise _own_fault(self._stream.path, self._stream.damage)

    def __enter__(self) -> SetAside:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            if self._quarantine is not None:
                self._quarantine.abort()
            return
        self.end()
        if self._quarantine is None:
            return
        self.outputs = self._quarantine.finish()
        self._counts.unread += self._stream.unread_rows
        self._counts.documents_in += self._stream.unread_rows
        self.bad = self._quarantine.found(self._stream)


class PassedOver:
    """Counts the bad lines of a stream for a reader that writes no documents, and so has no quarantine."""

    def __init__(self, stream: DocumentStream) -> None:
        self._stream = stream
        self._first: BadLine | None = None
        self._count = 0

    def take(self) -> None:
        bad = self._stream.take_bad()
        self._first = self._first or (bad[0] if bad else None)
        self._count += len(bad)

    def found(self) -> list[BadInput]:
        """What could not be read so far; nothing if all was well."""
        self.take()
        damage = self._stream.damage
        if self._first is None and damage is None:
            return []
        place = (self._first.line, self._first.reason) if self._first is not None else (0, "")
        return [
            BadInput(
                file=self._stream.path,
                documents=self._count,
                line=place[0],
                reason=place[1],
                damage=damage or "",
                unread=self._stream.unread,
                unread_bytes=self._stream.unread_bytes,
            )
        ]


def _own_fault(place: str, reason: str) -> DataError:
    return DataError(
        f"{place}: expected a document as an earlier stage of this run wrote it, found: {reason}. This is a fault of "
        "dolma_pipeline unless someone changed the file; please report it"
    )
