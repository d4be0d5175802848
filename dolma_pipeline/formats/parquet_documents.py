"""Documents as Parquet: a column for each of Dolma's fields, JSON where a field is no string, all digits kept.

    id, text                            large_string, never null
    source, added, created, version     large_string
    metadata                            the object as JSON
    other_fields                        an object, as JSON, of all other fields

`read_documents` gives the same documents again; the order of their fields is that of the columns.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from dolma_pipeline import _native
from dolma_pipeline.formats.documents import METADATA, OTHER_FIELDS, OWN_LINE_BYTES, Documents, read_documents
from dolma_pipeline.storage import atomic_path, output
from dolma_pipeline.writing import temporary_path, writing

STRINGS = ("id", "text", "source", "added", "created", "version")
SCHEMA = pa.schema(
    [
        pa.field(name, pa.large_string(), nullable=name not in ("id", "text"))
        for name in (*STRINGS, METADATA, OTHER_FIELDS)
    ]
)
GROUP_BYTES = 32 << 20
"""Of JSON, in a row group."""


class ParquetDocumentWriter:
    """Takes what `_native.LineWriter` takes: lines go to a temporary file, which `finish` turns into Parquet.

    So a document is edited by one piece of code whatever the form; it costs one more write and reading.
    """

    def __init__(self, path: str) -> None:
        self._path = Path(path)
        self._lines_path = temporary_path(self._path, "lines")
        with writing(self._path):
            self._lines = _native.LineWriter(str(self._lines_path))

    def write_documents(self, batch: pa.RecordBatch, **changes: Any) -> tuple[int, int]:
        """Documents and bytes of text written; see `_native.LineWriter.write_documents`."""
        with writing(self._path):
            return self._lines.write_documents(batch, **changes)

    def finish(self) -> tuple[int, str]:
        """Bytes and BLAKE3 of the finished file."""
        with writing(self._path):
            self._lines.finish()
        try:
            with (
                atomic_path(self._path) as temporary,
                pq.ParquetWriter(temporary, SCHEMA, compression="zstd", compression_level=3) as table,
            ):
                lines = read_documents(
                    self._lines_path, keep_raw=True, batch_bytes=GROUP_BYTES, max_line_bytes=OWN_LINE_BYTES
                )
                for documents in lines:
                    table.write_batch(_columns(documents))
        finally:
            self._lines_path.unlink(missing_ok=True)
        written = output(self._path)
        return written.bytes, written.blake3

    def abort(self) -> None:
        self._lines.abort()
        self._lines_path.unlink(missing_ok=True)


def _columns(documents: Documents) -> pa.RecordBatch:
    decoder = msgspec.json.Decoder(dict[str, msgspec.Raw])
    rows = [_row(decoder.decode(line)) for line in (documents.raw or pa.array([])).to_pylist()]
    return pa.RecordBatch.from_pylist(rows, SCHEMA)


def _row(fields: dict[str, msgspec.Raw]) -> dict[str, str]:
    row: dict[str, str] = {}
    others = []
    for name, raw in fields.items():
        value = bytes(raw)
        if name in STRINGS and value.startswith(b'"'):
            row[name] = msgspec.json.decode(value, type=str)
        elif name == METADATA and value.startswith(b"{"):
            row[name] = value.decode()
        else:
            others.append(msgspec.json.encode(name) + b":" + value)
    if others:
        row[OTHER_FIELDS] = (b"{" + b",".join(others) + b"}").decode()
    return row


def document_writer(path: str) -> _native.LineWriter | ParquetDocumentWriter:
    """By the extension of `path`."""
    return ParquetDocumentWriter(path) if path.endswith(".parquet") else _native.LineWriter(path)
