"""Documents as Parquet: a column for each field, of the type that its values have.

    id, text     large_string, never null
    other fields large_string, bool, int64 or double where all values of the file are; else JSON, as large_string with
                 the field metadata {"dolma": "json"}
    metadata     JSON
    other_fields a JSON object of the fields beyond MAX_COLUMNS

A field that is null or absent is null in its column; one that is so everywhere has no column. `read_documents` gives
the same documents again: numbers compare as equal, but may be spelled differently (1.10 as 1.1). A number that its
type does not hold to the last digit makes the column JSON.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa

from dolma_pipeline import _native
from dolma_pipeline.errors import DataError
from dolma_pipeline.formats.documents import Documents, read_documents
from dolma_pipeline.formats.parquet_reader import JSON, METADATA, OTHER_FIELDS
from dolma_pipeline.io import fs
from dolma_pipeline.io.arrow import parquet_writer
from dolma_pipeline.io.atomic import publishing
from dolma_pipeline.io.writing import temporary_path, writing

MAX_COLUMNS = 256
GROUP_BYTES = 32 << 20
"""Bytes of JSON in a row group."""

STRING, BOOLEAN, INTEGER, LONG, FLOAT = 1, 2, 4, 8, 16
"""Kinds of values, as `_native.field_kinds` tells them."""
_SPACE = re.compile(r"[ \t\r\n]*")
_Parse = Callable[[bytes], Any]


class ParquetDocumentWriter:
    """Takes what `_native.LineWriter` takes: lines go to a temporary file, which `finish` turns into Parquet.

    So a document is edited by one piece of code whatever the form; it costs one more writing and two readings, of which
    the first finds the types of the columns.
    """

    def __init__(self, path: str) -> None:
        self._path = Path(path)
        self._lines_path = temporary_path(self._path, "lines")
        self._documents = 0
        with writing(self._path):
            self._lines = _native.LineWriter(str(self._lines_path))

    def write_documents(self, batch: pa.RecordBatch, **changes: Any) -> tuple[int, int]:
        """Documents and bytes of text written; see `_native.LineWriter.write_documents`."""
        with writing(self._path):
            written = self._lines.write_documents(batch, **changes)
        self._documents += written[0]
        return written

    def finish(self) -> tuple[int, str]:
        """Bytes and BLAKE3 of the finished file; raises DataError unless it holds every document that was given."""
        with writing(self._path):
            self._lines.finish()
        try:
            kinds: dict[str, int] = {}
            for documents in self._read_back():
                for name, found in _native.field_kinds(documents.raw):
                    kinds[name] = kinds.get(name, 0) | found
            columns = _Columns(kinds)
            with (
                publishing(self._path) as published,
                parquet_writer(published.file, columns.schema, compression="zstd", compression_level=3) as table,
            ):
                for documents in self._read_back():
                    table.write_batch(columns.batch(documents))
        finally:
            fs.remove(self._lines_path, missing_ok=True)
        return published.output.bytes, published.output.blake3

    def _read_back(self) -> Iterator[Documents]:
        """Every document that was written; raises DataError, once they are read, if there are others or fewer."""
        stream = read_documents(self._lines_path, keep_raw=True, batch_bytes=GROUP_BYTES, max_line_bytes=sys.maxsize)
        count = 0
        for documents in stream:
            count += len(documents)
            yield documents
        if stream.damage is None and not stream.bad and count == self._documents:
            return
        reason = stream.damage or (f"line {stream.bad[0].line}: {stream.bad[0].reason}" if stream.bad else "no reason")
        raise DataError(
            f"{self._path}: expected to read back the {self._documents:,} documents written for it, found {count:,}; "
            f"the first trouble: {reason}"
        )

    def abort(self) -> None:
        self._lines.abort()
        fs.remove(self._lines_path, missing_ok=True)


class _Columns:
    """The columns of one file, chosen by the kinds of values that its fields have."""

    def __init__(self, kinds: dict[str, int]) -> None:
        names = [n for n in kinds if n not in ("id", "text", OTHER_FIELDS) and kinds[n]]
        self._parse: dict[str, _Parse] = {}
        fields = []
        for name in ("id", "text", *names[:MAX_COLUMNS]):
            found = STRING if name in ("id", "text") else kinds[name]
            field, self._parse[name] = _column(name, found)
            fields.append(field)
        # Those that are null everywhere need no place at all.
        self._empty = {n for n, found in kinds.items() if not found}
        self._beyond = len(names) > MAX_COLUMNS or bool(kinds.get(OTHER_FIELDS))
        if self._beyond:
            fields.append(pa.field(OTHER_FIELDS, pa.large_string()))
        self.schema = pa.schema(fields)
        self._decoder = msgspec.json.Decoder(dict[str, msgspec.Raw])

    def batch(self, documents: Documents) -> pa.RecordBatch:
        rows = [self._members(line) for line in (documents.raw or pa.array([])).to_pylist()]
        columns = []
        for field in self.schema:
            parse = self._parse.get(field.name)
            if parse is not None:
                raws = (row.get(field.name) for row in rows)
                values = [None if raw is None or bytes(raw) == b"null" else parse(bytes(raw)) for raw in raws]
            else:
                values = [self._others(row) for row in rows]
            columns.append(pa.array(values, field.type))
        return pa.RecordBatch.from_arrays(columns, schema=self.schema)

    def _members(self, line: bytes) -> dict[str, Any]:
        try:
            return self._decoder.decode(line)
        except msgspec.DecodeError:
            # It takes no lone surrogates, which JSON can spell.
            return _scan(line.decode())

    def _others(self, row: dict[str, Any]) -> str | None:
        beyond = [
            msgspec.json.encode(name) + b":" + bytes(raw)
            for name, raw in row.items()
            if name not in self._parse and name not in self._empty
        ]
        return (b"{" + b",".join(beyond) + b"}").decode() if beyond else None


def _after_space(line: str, at: int) -> int:
    found = _SPACE.match(line, at)
    return found.end() if found is not None else at


def _scan(line: str) -> dict[str, bytes]:
    """The members of an object as they are spelled, be there what may in its strings."""
    decoder = json.JSONDecoder()
    found: dict[str, bytes] = {}
    at = _after_space(line, line.index("{") + 1)
    while line[at] != "}":
        name, at = decoder.raw_decode(line, at)
        start = _after_space(line, line.index(":", at) + 1)
        _, at = decoder.raw_decode(line, start)
        found[name] = line[start:at].encode()
        at = _after_space(line, at)
        at = _after_space(line, at + 1) if line[at] == "," else at
    return found


def _column(name: str, kinds: int) -> tuple[pa.Field, _Parse]:
    """The column for values of these kinds, and how one of them is read."""
    if name != METADATA:
        if kinds == STRING:
            nullable = name not in ("id", "text")
            return pa.field(name, pa.large_string(), nullable=nullable), msgspec.json.Decoder(str).decode
        if kinds == BOOLEAN:
            return pa.field(name, pa.bool_()), lambda raw: raw == b"true"
        if kinds | INTEGER | LONG == INTEGER | LONG:
            return pa.field(name, pa.int64()), int
        if kinds | INTEGER | FLOAT == INTEGER | FLOAT:
            return pa.field(name, pa.float64()), float
    return pa.field(name, pa.large_string(), metadata=JSON), bytes.decode


def document_writer(path: str) -> _native.LineWriter | ParquetDocumentWriter:
    """By the extension of `path`."""
    return ParquetDocumentWriter(path) if path.endswith(".parquet") else _native.LineWriter(path)
