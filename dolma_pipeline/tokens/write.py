"""Writing a part: a headerless file of token ids, and a table of the documents in it."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import pyarrow as pa
from msgspec import Struct

from dolma_pipeline._native import LineWriter
from dolma_pipeline.engine.task import Context, Output, Report
from dolma_pipeline.errors import StageError
from dolma_pipeline.io import fs
from dolma_pipeline.io.atomic import publishing
from dolma_pipeline.io.writing import Sink, write_array
from dolma_pipeline.tokens.manifest import TokenFile
from dolma_pipeline.tokens.merge import Chunk, Merge
from dolma_pipeline.tokens.packed import write_packed
from dolma_pipeline.tokens.parts import Parts, read_parts
from dolma_pipeline.tokens.shard import ShardIndex, gather


class WritePart(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Part `number` of the plan at `plan`, into `directory`."""

    plan: str
    number: int
    directory: str
    as_dolma: bool = False


def part_name(config: WritePart) -> str:
    """`part-00000`, or `part-0-00000` as the first worker of Dolma 1.2.1 calls it; without extension."""
    return f"part-{'0-' if config.as_dolma else ''}{config.number:05d}"


def write_part(config: WritePart, context: Context) -> Report:
    """Writes `part-NNNNN.npy` and `part-NNNNN.csv.gz`. `details`: {"files": [TokenFile]}; packed ones: see packed.py.

    Memory: the indexes are mapped, and of the tokens a chunk at a time is read and put in order.
    """
    parts, merge = _loaded(config.plan, context)
    part = parts.parts[config.number]
    if parts.pack is not None:
        return write_packed(parts, merge, part, part_name(config), Path(config.directory))
    base = Path(config.directory) / part_name(config)
    tokens_path, index_path = base.with_suffix(".npy"), base.with_suffix(".csv.gz")
    documents = tokens = 0
    index = LineWriter(str(index_path))
    try:
        with publishing(tokens_path) as published:
            for chunk in merge.chunks(part.first, part.end, tokens=merge.chunk_tokens):
                _copy_tokens(merge, chunk, published.file)
                _write_rows(merge, chunk, tokens, index)
                documents += len(chunk)
                tokens += int(chunk.lengths.sum())
            if (documents, tokens) != (part.documents, part.tokens):
                raise StageError(
                    f"{tokens_path}: expected {part.documents} documents of {part.tokens} tokens as {config.plan} has "
                    f"it, found {documents} of {tokens}: the encoded shards have changed since; run again"
                )
        size, digest = index.finish()
    except BaseException:
        index.abort()
        raise
    written = [published.output, Output(path=str(index_path), bytes=size, blake3=digest)]
    found = TokenFile(
        path=tokens_path.name,
        index=index_path.name,
        tokens=tokens,
        documents=documents,
        bytes=written[0].bytes,
        blake3=written[0].blake3,
    )
    return Report(outputs=written, details={"files": [msgspec.to_builtins(found)]})


def _loaded(plan: str, context: Context) -> tuple[Parts, Merge]:
    def load() -> tuple[Parts, Merge]:
        parts = read_parts(plan)
        return parts, Merge([ShardIndex(s) for s in parts.shards], parts.order)

    return context.load(("parts", plan, *fs.stat(plan)), load)


def _copy_tokens(merge: Merge, chunk: Chunk, file: Sink) -> None:
    """One read for each shard of the chunk, then documents in order: no seek for a document."""
    tokens, starts = merge.read(chunk)
    write_array(file, gather(tokens, starts, chunk.lengths))


def _write_rows(merge: Merge, chunk: Chunk, first: int, index: LineWriter) -> None:
    """start, end, id, src, loc of each document; `first`: tokens of the part before the chunk."""
    slices = [(merge.shards[r.shard], r) for r in chunk.ranges]
    ids = pa.concat_arrays([shard.ids.slice(r.low, r.high - r.low) for shard, r in slices])
    lines = np.concatenate([shard.lines[r.low : r.high] for shard, r in slices])
    # Only the files that documents of the chunk come from: a resharded corpus may have a million of them.
    each = [merge.sources(r.shard, np.arange(r.low, r.high)) for r in chunk.ranges]
    sources, files = np.unique(np.concatenate(each), return_inverse=True)
    ends = first + np.cumsum(chunk.lengths)
    index.write_token_rows(
        pa.array(ends - chunk.lengths),
        pa.array(ends),
        ids.take(pa.array(chunk.sequence)),
        pa.array(files[chunk.sequence]),
        [merge.labels[i] for i in sources.tolist()],
        pa.array(lines[chunk.sequence]),
    )
