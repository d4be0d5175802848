"""Writing a part: a headerless file of token ids, and a table of the documents in it."""

from __future__ import annotations

import csv
import gzip
import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import msgspec
import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from dolma_pipeline.errors import StageError
from dolma_pipeline.storage import atomic_path, output
from dolma_pipeline.task import Context, Report
from dolma_pipeline.tokens.manifest import TokenFile
from dolma_pipeline.tokens.merge import TOKENS, Chunk, Merge
from dolma_pipeline.tokens.parts import Parts, read_parts
from dolma_pipeline.tokens.shard import ShardIndex


class WritePart(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Part `number` of the plan at `plan`, into `directory`."""

    plan: str
    number: int
    directory: str


def part_name(number: int) -> str:
    """`part-00000`, without extension."""
    return f"part-{number:05d}"


def write_part(config: WritePart, context: Context) -> Report:
    """Writes `part-NNNNN.npy` and `part-NNNNN.csv.gz`. `details`: {"file": TokenFile}.

    Memory: the indexes are mapped, and of the tokens a chunk at a time is read and put in order.
    """
    parts, merge = _loaded(config.plan, context)
    part = parts.parts[config.number]
    base = Path(config.directory) / part_name(config.number)
    tokens_path, index_path = base.with_suffix(".npy"), base.with_suffix(".csv.gz")
    documents = tokens = 0
    with atomic_path(index_path) as index, atomic_path(tokens_path) as raw:
        with raw.open("wb") as file, csv_rows(index) as rows:
            for chunk in merge.chunks(part.first, part.end, tokens=TOKENS):
                _copy_tokens(merge, chunk, file)
                rows.writerows(_rows(merge, chunk, tokens))
                documents += len(chunk)
                tokens += int(chunk.lengths.sum())
        if (documents, tokens) != (part.documents, part.tokens):
            raise StageError(
                f"{tokens_path}: expected {part.documents} documents of {part.tokens} tokens as {config.plan} has it, "
                f"found {documents} of {tokens}: the encoded shards have changed since; run again"
            )
    written = [output(tokens_path), output(index_path)]
    found = TokenFile(
        path=tokens_path.name,
        index=index_path.name,
        tokens=tokens,
        documents=documents,
        bytes=written[0].bytes,
        blake3=written[0].blake3,
    )
    return Report(outputs=written, details={"file": msgspec.to_builtins(found)})


def _loaded(plan: str, context: Context) -> tuple[Parts, Merge]:
    def load() -> tuple[Parts, Merge]:
        parts = read_parts(plan)
        return parts, Merge([ShardIndex(s) for s in parts.shards], parts.order)

    stat = Path(plan).stat()
    return context.load(("parts", plan, stat.st_size, stat.st_mtime_ns), load)


def _copy_tokens(merge: Merge, chunk: Chunk, file: IO[bytes]) -> None:
    """One read for each shard of the chunk, then documents in order: no seek for a document."""
    read: list[NDArray[np.unsignedinteger]] = [merge.shards[r.shard].read(r.low, r.high) for r in chunk.ranges]
    joined = np.concatenate(read)
    in_place = np.empty_like(chunk.lengths)
    in_place[chunk.sequence] = chunk.lengths
    starts = (np.cumsum(in_place) - in_place)[chunk.sequence]
    documents = zip(starts.tolist(), chunk.lengths.tolist(), strict=True)
    np.concatenate([joined[start : start + length] for start, length in documents]).tofile(file)


def _rows(merge: Merge, chunk: Chunk, first: int) -> Iterator[tuple[int, int, str, str, int]]:
    """start, end, id, src, loc of each document; `first`: tokens of the part before the chunk."""
    ids: list[str] = []
    lines: list[int] = []
    for r in chunk.ranges:
        shard = merge.shards[r.shard]
        ids += shard.ids.slice(r.low, r.high - r.low).to_pylist()
        lines += shard.lines[r.low : r.high].tolist()
    ends = first + np.cumsum(chunk.lengths)
    places = zip((ends - chunk.lengths).tolist(), ends.tolist(), chunk.shards.tolist(), strict=True)
    for (start, end, shard), i in zip(places, chunk.sequence.tolist(), strict=True):
        yield start, end, ids[i], merge.shards[shard].label, lines[i]


@contextmanager
def csv_rows(path: Path) -> Iterator[Any]:
    """A csv writer into a gzip file whose bytes depend on the rows alone: no time and no name in its header."""
    with (
        path.open("wb") as raw,
        gzip.GzipFile(filename="", mode="wb", compresslevel=6, fileobj=raw, mtime=0) as packed,
        io.TextIOWrapper(packed, encoding="utf-8", newline="") as text,
    ):
        yield csv.writer(text, lineterminator="\n")
