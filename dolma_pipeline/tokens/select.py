"""Sampling a token file by documents: each is taken as often as its source's rate says, and becomes part of an encoded
shard, from which token files are written as from documents that were just tokenized.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec
import numpy as np
import pyarrow as pa
from msgspec import Struct
from numpy.typing import NDArray

from dolma_pipeline.engine.task import Context, Counts, Report
from dolma_pipeline.io.atomic import publishing
from dolma_pipeline.tokens.keys import order_keys, sampled_copies
from dolma_pipeline.tokens.rows import Rows
from dolma_pipeline.tokens.shard import Order, ShardFiles, copy_documents, write_index
from dolma_pipeline.tokens.source import SourceFile, check_ids, open_tokens, read_range, read_rows

BLOCK_TOKENS = 1 << 26
"""Tokens of a shard, in memory while its documents are brought into order: 128 MB of uint16."""
BLOCK_DOCUMENTS = 1 << 20
"""The most documents of a shard: about 100 MB of ids and columns."""


class SelectDocuments(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Documents of `file` into `<output>.<n>.*`, each `rate` times on average."""

    source: str
    file: SourceFile
    output: str
    rate: float
    seed: int
    order: Order
    vocab_size: int | None
    min_tokens: int = 0
    """A document of fewer is dropped, packing would have no instance for any of it: one without a token as `empty`, any
    other as `shorter_than_bucket`."""


def select_documents(config: SelectDocuments, context: Context) -> Report:
    """Writes the shards. `details`: {"shards": [ShardFiles]}.

    Memory: a block, its columns, those of its copies, and tokens. A file is read once, from start to end.
    """
    file = config.file
    counts = Counts()
    shards: list[ShardFiles] = []
    covered = 0
    for rows in _blocks(read_rows(file), max(1, int(BLOCK_DOCUMENTS / max(1.0, config.rate)))):
        first = counts.documents_in
        counts.documents_in += len(rows)
        covered += int(rows.lengths.sum())
        copies = sampled_copies(rows.ids, rows.sources, rows.lines, config.rate, config.seed)
        short = (rows.lengths < config.min_tokens) & (copies > 0)
        empty = short & (rows.lengths == 0)
        for rule, which in (("not_sampled", copies == 0), ("empty", empty), ("shorter_than_bucket", short & ~empty)):
            if which.any():
                counts.dropped[rule] = counts.dropped.get(rule, 0) + int(which.sum())
        copies[short] = 0
        counts.repeated += int(np.maximum(copies - 1, 0).sum())
        if not copies.any():
            continue
        low, high = int(rows.starts.min()), int((rows.starts + rows.lengths).max())
        # Only Megatron's index may scatter the documents of a block over more of the file than they take.
        tokens = read_range(file, low, high) if high - low <= 2 * BLOCK_TOKENS else open_tokens(file)[low:high]
        check_ids(file, tokens, low, config.vocab_size)
        rows = dataclasses.replace(rows, starts=rows.starts - low)
        chosen = np.repeat(np.arange(len(rows)), copies)
        shard = _write(config, tokens, rows, chosen, copies, first, len(shards))
        shards.append(shard)
        counts.documents_out += len(chosen)
        counts.tokens += int(rows.lengths[chosen].sum())
    warnings = []
    if covered != file.size:
        warnings.append(
            f"{file.tokens}: {abs(file.size - covered):,} of its {file.size:,} tokens are in no "
            "document and are left out"
        )
    return Report(
        counts={config.source: counts},
        outputs=[o for s in shards for o in (s.index, s.tokens)],
        details={"shards": [msgspec.to_builtins(s) for s in shards]},
        warnings=warnings,
    )


def _write(
    config: SelectDocuments,
    tokens: NDArray[np.unsignedinteger],
    rows: Rows,
    chosen: NDArray[np.int64],
    copies: NDArray[np.int64],
    first: int,
    number: int,
) -> ShardFiles:
    """One shard of the documents `chosen`; `first` is the first of the block in the file."""
    taken = pa.array(chosen)
    if config.order == "shuffle":
        keys = _keys(config, rows, copies, first)
        sequence = np.argsort(keys, kind="stable")
        chosen, keys, taken = chosen[sequence], keys[sequence], pa.array(chosen[sequence])
    else:
        keys = np.arange(len(chosen), dtype=np.uint64)
    lengths = rows.lengths[chosen]
    index, data = Path(f"{config.output}.{number}.arrow"), Path(f"{config.output}.{number}.tokens")
    with publishing(data) as published:
        copy_documents(tokens, rows.starts[chosen], lengths, published.file)
    coded = rows.sources.dictionary_encode()
    written = write_index(
        index,
        label=f"{config.source}/{config.file.name}",
        dtype=tokens.dtype,
        keys=keys,
        lengths=lengths,
        lines=rows.lines.take(taken).to_numpy(),
        ids=rows.ids.take(taken),
        sources=pa.DictionaryArray.from_arrays(coded.indices.take(taken), coded.dictionary),
    )
    return ShardFiles(index=written, tokens=published.output)


def _keys(config: SelectDocuments, rows: Rows, copies: NDArray[np.int64], first: int) -> NDArray[np.uint64]:
    """The place of each copy in the shuffle.

    It hashes the row in its file: documents that a former sampling repeated have one id, file and line.
    """
    keys = np.empty(int(copies.sum()), dtype=np.uint64)
    starts = np.cumsum(copies) - copies
    numbers = pa.array(np.arange(first, first + len(rows), dtype=np.int64))
    for copy in range(int(copies.max())):
        mine = np.flatnonzero(copies > copy)
        label = f"{config.source}/{config.file.name}#{copy}"
        rows_of = pa.array(mine)
        keys[starts[mine] + copy] = order_keys(rows.ids.take(rows_of), label, numbers.take(rows_of), config.seed)
    return keys


def _blocks(batches: Iterable[Rows], most: int) -> Iterator[Rows]:
    """The same documents in blocks of at most BLOCK_TOKENS and `most` documents, or one document."""
    waiting: list[Rows] = []
    documents = tokens = 0
    for rows in batches:
        total = np.cumsum(rows.lengths)
        low = 0
        while low < len(rows):
            before = int(total[low - 1]) if low else 0
            high = int(np.searchsorted(total, before + BLOCK_TOKENS - tokens, side="right"))
            high = min(high, low + most - documents)
            if high <= low and waiting:
                yield _joined(waiting)
                waiting, documents, tokens = [], 0, 0
                continue
            high = max(high, low + 1)
            waiting.append(rows.slice(low, high))
            documents += high - low
            tokens += int(total[high - 1]) - before
            low = high
    if waiting:
        yield _joined(waiting)


def _joined(parts: list[Rows]) -> Rows:
    return Rows(
        starts=np.concatenate([p.starts for p in parts]),
        lengths=np.concatenate([p.lengths for p in parts]),
        ids=pa.concat_arrays([p.ids for p in parts]),
        sources=pa.concat_arrays([p.sources for p in parts]),
        lines=pa.concat_arrays([p.lines for p in parts]),
    )
