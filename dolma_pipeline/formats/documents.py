"""Documents: `id` and `text`, and whatever else a line or a row carries. JSONL and Parquet, a batch at a time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa

from dolma_pipeline import _native
from dolma_pipeline.errors import DataError
from dolma_pipeline.formats.columns import Columns, rules_of, takes_any_id
from dolma_pipeline.formats.parquet_reader import ParquetReader
from dolma_pipeline.formats.piece import Piece, keep_waiting, open_piece
from dolma_pipeline.io import fs

BATCH_BYTES = 4 << 20
"""Text of one batch: large enough that a call costs nothing beside its work, small enough to stay in the cache."""
MAX_LINE_BYTES = 128 << 20
"""Maximum length of a line of a source file. A longer one is set aside, which bounds the memory of every reader."""
OWN_LINE_BYTES = 1 << 30
"""Maximum length of a line that an earlier stage has written: attributes and edits may make it longer than what was
read."""
DAMAGE = ("the file is truncated or corrupt", "the file cannot be read")
"""How every `damage` of a stream begins."""


@dataclass(frozen=True)
class Documents:
    """Consecutive documents of one file.

    `records`: id, text: large_string; source: large_string, nullable; line (1-based; in Parquet the row),
    offset (bytes into the decompressed file; in Parquet the row): int64; and, where lines are kept, raw: large_binary
    with the byte ranges text_start, text_end, metadata_start, metadata_end in it (-1: no such object): int64.
    """

    records: pa.RecordBatch
    name: str = ""
    """The path of the file below its source, without extensions, where a tagger may ask for it."""

    def __len__(self) -> int:
        return int(self.records.num_rows)

    @property
    def id(self) -> pa.LargeStringArray:
        return self.records.column("id")

    @property
    def text(self) -> pa.LargeStringArray:
        return self.records.column("text")

    @property
    def source(self) -> pa.LargeStringArray:
        return self.records.column("source")

    @property
    def line(self) -> pa.Int64Array:
        return self.records.column("line")

    @property
    def raw(self) -> pa.LargeBinaryArray | None:
        return self.records.column("raw") if "raw" in self.records.schema.names else None

    def slice(self, start: int, length: int) -> Documents:
        """Some of these documents, without copying them."""
        return Documents(self.records.slice(start, length), self.name)

    @property
    def text_bytes(self) -> int:
        """UTF-8 bytes of all texts."""
        text = self.text
        if not len(text):
            return 0
        ends = np.frombuffer(text.buffers()[1], np.int64)
        return int(ends[text.offset + len(text)] - ends[text.offset])

    def field(self, path: str) -> pa.LargeStringArray:
        """The string at a dotted path (`text`, `metadata.url`, `$.metadata.url`); null where there is none."""
        name = path.removeprefix("$.")
        if name in ("id", "text", "source"):
            return self.records.column(name)
        if self.raw is None:
            raise DataError(f"field `{path}`: expected documents read with keep_raw=True")
        return _native.string_field(self.raw, path)


class BadLine(msgspec.Struct, frozen=True):
    """A line (or row) that is no document: where it stands, why, and its bytes."""

    line: int
    offset: int
    reason: str
    raw: bytes
    """The line; of a long one that Rust has read the first 4 kB."""
    length: int = 0
    """Number of bytes in the whole line; 0 where `raw` is all of it."""


class DocumentStream:
    """The documents of one file in order; iterate once, then ask for `bad` and `damage`."""

    def __init__(
        self,
        path: str | Path,
        *,
        columns: Columns | None,
        keep_raw: bool,
        batch_bytes: int,
        max_line_bytes: int,
        piece: Piece | None = None,
    ) -> None:
        self.path = str(path)
        self.bad: list[BadLine] = []
        """Bad lines met so far and not yet taken by `take_bad`."""
        self.damage: str | None = None
        """Why the file could not be read, or not all of it."""
        self.unread: list[tuple[int, int]] = []
        """The rows of a damaged Parquet file that could not be read: first and last, from 1."""
        self.unread_bytes = 0
        """Bytes of a damaged file, as it is stored, behind the damage: of one whose number of rows is not known."""
        self.documents = 0
        """Number of documents read so far."""
        self._columns = columns
        self._keep_raw = keep_raw
        self._batch_bytes = batch_bytes
        self.max_line_bytes = max_line_bytes
        self.piece = piece

    @property
    def unread_rows(self) -> int:
        """Number of rows that could not be read, where damage leaves it known."""
        return sum(last - first + 1 for first, last in self.unread)

    def take_bad(self) -> list[BadLine]:
        taken, self.bad = self.bad, []
        return taken

    def __iter__(self) -> Iterator[Documents]:
        for documents in self._parquet() if self.path.endswith(".parquet") else self._lines():
            self.documents += len(documents)
            yield documents

    def _lines(self) -> Iterator[Documents]:
        options: dict[str, Any] = {
            "batch_bytes": self._batch_bytes,
            "max_line_bytes": self.max_line_bytes,
            "keep_raw": self._keep_raw,
            "columns": rules_of(self._columns),
            "as_dolma": takes_any_id(self._columns, self.path),
        }
        reader = open_piece(self.path, self.piece, **options)
        for records in reader:
            self.bad.extend(BadLine(*b) for b in reader.take_bad())
            yield Documents(records)
        self.bad.extend(BadLine(*b) for b in reader.take_bad())
        self.damage = reader.damage
        self.unread_bytes = reader.unread_bytes
        if self.piece is not None:
            keep_waiting(reader, self.path, self.piece, **options)

    def _parquet(self) -> Iterator[Documents]:
        reader = ParquetReader(self.path, columns=self._columns, keep_raw=self._keep_raw, piece=self.piece)
        for records, bad in reader:
            self.bad.extend(BadLine(*b) for b in bad)
            if records.num_rows:
                yield Documents(records)
        self.damage = reader.damage
        self.unread = reader.unread
        if reader.damage is not None and not reader.footer:
            self.unread_bytes = fs.stat(self.path).size


def read_documents(
    path: str | Path,
    *,
    columns: Columns | None = None,
    keep_raw: bool = False,
    batch_bytes: int = BATCH_BYTES,
    max_line_bytes: int = MAX_LINE_BYTES,
    piece: Piece | None = None,
) -> DocumentStream:
    """Streams `path` by its extension: `.parquet`, or JSON lines (`.gz`, `.zst` or plain).

    `columns`: where the fields are, if not under their own names; lines that are kept have the names of `Documents`.
    `piece`: reads this piece of the file alone; the numbers of its lines, and of rows, are those of the whole file.
    Bad lines do not stop the stream: they are set aside in `bad`. A file that is not there raises OSError.
    """
    return DocumentStream(
        path, columns=columns, keep_raw=keep_raw, batch_bytes=batch_bytes, max_line_bytes=max_line_bytes, piece=piece
    )
