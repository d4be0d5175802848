"""Parquet and Arrow files, which pyarrow would open by itself."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from dolma_pipeline.io.atomic import Draft
from dolma_pipeline.io.cache import local_copy
from dolma_pipeline.io.url import Location


def open_parquet(location: Location, **options: Any) -> pq.ParquetFile:
    """A Parquet file to read; `options` are those of pyarrow. Checksums of pages are checked where there are any."""
    return pq.ParquetFile(str(local_copy(location)), **{"page_checksum_verification": True, **options})


def open_stream(location: Location, *, compression: str | None = "detect") -> pa.NativeFile:
    """A file to read from its beginning to its end, decompressed; `detect` goes by the ending of its name."""
    return pa.input_stream(str(local_copy(location)), compression=compression)


def parquet_schema(location: Location) -> pa.Schema:
    return pq.read_schema(str(local_copy(location)))


def parquet_metadata(location: Location) -> pq.FileMetaData:
    return pq.read_metadata(str(local_copy(location)))


def map_batch(location: Location) -> pa.RecordBatch:
    """The only batch of an Arrow file, mapped into memory; its columns hold the mapping, not the file."""
    with pa.memory_map(str(local_copy(location))) as source:
        return pa.ipc.open_file(source).get_batch(0)


def open_arrow(location: Location, *, mapped: bool = True) -> pa.ipc.RecordBatchFileReader:
    """An Arrow file. The columns of its batches hold a mapping of it, or are in memory where it is not `mapped`."""
    path = str(local_copy(location))
    return pa.ipc.open_file(pa.memory_map(path) if mapped else pa.OSFile(path))


def arrow_writer(draft: Draft, schema: pa.Schema) -> pa.ipc.RecordBatchFileWriter:
    """Writes an Arrow file into a draft."""
    return pa.ipc.new_file(draft, schema)


def parquet_writer(draft: Draft, schema: pa.Schema, **options: Any) -> pq.ParquetWriter:
    """Writes Parquet into a draft; `options` are those of pyarrow."""
    return pq.ParquetWriter(draft, schema, **options)
