"""Attribute files of the pieces of a file of documents, joined to the attribute file of the whole."""

from __future__ import annotations

from collections.abc import Sequence

from dolma_pipeline.formats.attributes import AttributeWriter
from dolma_pipeline.formats.other_texts import KEY, joined_digest, recorded
from dolma_pipeline.formats.parquet_errors import named
from dolma_pipeline.formats.parquet_join import join_parquet
from dolma_pipeline.io.arrow import open_parquet
from dolma_pipeline.io.atomic import Output, publish_joined


def join_attributes(parts: Sequence[str], path: str) -> Output:
    """Writes the rows of `parts`, which `AttributeWriter` has written with `of_piece`, to `path`.

    The bytes are copied. Only where columns differ from one part to another are Parquet files written anew.
    """
    if not path.endswith(".parquet"):
        return publish_joined(parts, path)
    digests = [recorded(part) for part in parts]
    known = [d for d in digests if d is not None]
    metadata = {KEY: joined_digest(known)} if len(known) == len(parts) else {}
    return join_parquet(parts, path, metadata) or _written_anew(parts, path, metadata.get(KEY))


def _written_anew(parts: Sequence[str], path: str, record: str | None) -> Output:
    """Joins files whose columns differ; a column that a part lacks is null for its documents."""
    writer = AttributeWriter(path, declared=False)
    writer.record = record
    try:
        for part in parts:
            with named(part):
                for batch in open_parquet(part).iter_batches():
                    columns = {n: batch.column(n) for n in batch.schema.names if n != "id"}
                    writer.write_rows(batch.column("id"), columns)
        return writer.finish()
    except BaseException:
        writer.abort()
        raise
