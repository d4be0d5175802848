"""The attribute file of a shard, from the verdicts on its documents."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from msgspec import Struct

from dolma_pipeline.dedupe.near_edges import Space, partitions_of
from dolma_pipeline.dedupe.near_files import Parts
from dolma_pipeline.dedupe.near_verify import SCHEMA, verdicts_header
from dolma_pipeline.engine.file_list import read_list
from dolma_pipeline.engine.reading import ROWS
from dolma_pipeline.engine.task import Context, Counts, Report
from dolma_pipeline.errors import StageError
from dolma_pipeline.formats.attributes import AttributeWriter
from dolma_pipeline.formats.kinds import Kind
from dolma_pipeline.formats.other_texts import recorded
from dolma_pipeline.formats.parquet_errors import named
from dolma_pipeline.formats.piece import Piece
from dolma_pipeline.io.arrow import open_parquet

KINDS: dict[str, Kind] = {
    "duplicate": "float64",
    "cluster_id": "int64",
    "cluster_size": "int64",
    "cluster_rank": "int64",
    "duplicate_of": "string",
    "similarity": "float64",
    "containment": "float64",
    "rule": "string",
}
"""The attributes of a document: `duplicate` is 1.0 or null."""


class NearColumns(Struct, frozen=True, kw_only=True):
    """Write the attributes of a shard."""

    source: str
    ids: str
    verdicts: str
    """The list of the verdicts of all partitions."""
    space: Space
    first: int
    """Number of documents before the first one of the shard, or of the piece of it."""
    documents: int
    path: str
    any_id: bool = False
    piece: Piece | None = None


def write_columns(config: NearColumns, context: Context) -> Report:
    verdicts = _verdicts(config)
    gone = int((verdicts.column("cluster_rank").to_numpy() > 0).sum())
    places = np.full(config.documents, -1, np.int64)
    rows = verdicts.column("ordinal").to_numpy() - np.uint64(config.first)
    places[rows.astype(np.intp)] = np.arange(len(rows))
    writer = AttributeWriter(config.path, with_source=False, any_id=config.any_id)
    writer.record = recorded(config.ids)
    writer.of_piece = config.piece is not None
    count = 0
    try:
        for ids in _ids(config.ids):
            part = places[count : count + ids.num_rows]
            count += ids.num_rows
            if count > config.documents:
                break
            columns = _columns(verdicts.take(pa.array(part, mask=part < 0)))
            writer.write_rows(ids.column("id"), columns, lengths=ids.column("chars"))
        if count != config.documents:
            raise StageError(
                f"{config.ids}: expected a row for each of {config.documents} documents, found {count}; remove it and "
                f"run again"
            )
        written = writer.finish()
    except BaseException:
        writer.abort()
        raise
    details = {ROWS: count} if config.piece is not None else {}
    counts = {config.source: Counts(edited={"duplicate": gone})}
    return Report(outputs=[written], counts=counts, details=details)


def _verdicts(config: NearColumns) -> pa.RecordBatch:
    """The verdicts on the documents of the shard."""
    first, last = np.uint64(config.first), np.uint64(config.first + config.documents)
    found = [SCHEMA.empty_table()]
    partitions = partitions_of(config.space, config.first, config.documents)
    for path in read_list(config.verdicts) if len(partitions) else []:
        file = Parts(path, verdicts_header(config.space))
        for partition in partitions:
            batch = file.batch(partition)
            ordinals = batch.column("ordinal").to_numpy()
            begin, end = np.searchsorted(ordinals, np.array([first, last]))
            found.append(pa.Table.from_batches([batch.slice(int(begin), int(end - begin))], SCHEMA))
    return (pa.concat_tables(found).combine_chunks().to_batches() or [pa.RecordBatch.from_pylist([], SCHEMA)])[0]


def _columns(verdicts: pa.RecordBatch) -> dict[str, pa.Array]:
    """The attributes of some documents; one without a verdict is alone."""
    ranks = pc.fill_null(verdicts.column("cluster_rank"), 0)
    columns = {name: verdicts.column(name) for name in KINDS if name != "duplicate"}
    columns["cluster_size"] = pc.fill_null(columns["cluster_size"], 1)
    columns["cluster_rank"] = ranks
    duplicate = pc.if_else(pc.greater(ranks, 0), pa.scalar(1.0), pa.scalar(None, pa.float64()))
    return {"duplicate": duplicate, **columns}


def _ids(path: str) -> Iterator[pa.RecordBatch]:
    with named(path):
        file = open_parquet(path)
        if "chars" in file.schema_arrow.names:
            yield from file.iter_batches(batch_size=65_536)
