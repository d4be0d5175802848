"""Quarantine: what could not be read, kept with its place and reason so that nothing vanishes."""

from __future__ import annotations

import base64
from pathlib import Path
from types import TracebackType

import msgspec

from dolma_pipeline import _native
from dolma_pipeline.formats.documents import MAX_LINE_BYTES, OWN_LINE_BYTES, BadLine, DocumentStream
from dolma_pipeline.task import Counts, Output

KEPT = 4096
"""Bytes of a bad line that are kept."""


class QuarantineRow(msgspec.Struct, frozen=True, omit_defaults=True):
    """A row of a quarantine file: `raw` as text where it is UTF-8, else `raw_base64`.

    `raw` holds the first 4 kB of a longer line, and `length` then says how many bytes the line has.
    """

    file: str
    line: int
    offset: int
    reason: str
    raw: str | None = None
    raw_base64: str | None = None
    length: int | None = None


def quarantine_row(file: str, bad: BadLine) -> QuarantineRow:
    """The row of a bad line: of a long one only the beginning is kept."""
    kept = beginning(bad.raw)
    length = max(bad.length, len(bad.raw))
    row = QuarantineRow(file, bad.line, bad.offset, bad.reason, length=length if length > len(kept) else None)
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

    def __init__(self, path: str | Path, file: str) -> None:
        self._path = Path(path)
        self._file = file
        self._writer: _native.LineWriter | None = None
        self.count = 0

    def add(self, bad: list[BadLine]) -> None:
        for line in bad:
            if self._writer is None:
                self._writer = _native.LineWriter(str(self._path))
            self._writer.write(msgspec.json.encode(quarantine_row(self._file, line)) + b"\n")
            self.count += 1

    def finish(self) -> list[Output]:
        """The file, if there was anything to write; else an older one is removed."""
        if self._writer is None:
            self._path.unlink(missing_ok=True)
            return []
        size, digest = self._writer.finish()
        return [Output(str(self._path), size, digest)]

    def abort(self) -> None:
        if self._writer is not None:
            self._writer.abort()


def longest_line(quarantine: str | None) -> int:
    """Maximum length of a line of a file whose bad lines go to `quarantine`.

    A file without one was written by an earlier stage, and its lines passed the limit when they were read.
    """
    return MAX_LINE_BYTES if quarantine is not None else OWN_LINE_BYTES


class SetAside:
    """The bad lines of a stream, counted and on their way to the quarantine file at `path`, if there is to be one.

    `take` is called after each batch, so that a file of nothing but bad lines is not held in memory.
    """

    def __init__(self, stream: DocumentStream, path: str | None, counts: Counts) -> None:
        self._stream = stream
        self._counts = counts
        self._quarantine = Quarantine(path, stream.path) if path is not None else None
        stream.max_line_bytes = max(stream.max_line_bytes, longest_line(path))
        self.outputs: list[Output] = []
        """What was written, once the block has ended."""

    def take(self) -> None:
        bad = self._stream.take_bad()
        self._counts.quarantined += len(bad)
        self._counts.documents_in += len(bad)
        if self._quarantine is not None:
            self._quarantine.add(bad)

    def __enter__(self) -> SetAside:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.take()
        if self._quarantine is None:
            return
        if kind is None:
            self.outputs = self._quarantine.finish()
        else:
            self._quarantine.abort()
