"""All encoded shards of a split in one order, a bounded piece at a time.

The order is total: by (key, shard, row) in a shuffle, by (shard, row) otherwise. A `Mark` is a place in it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from dolma_pipeline.tokens.shard import Order, ShardIndex

DOCUMENTS = 1 << 18
"""The most documents of a chunk: about 10 MB of keys, lengths and places."""
TOKENS = 1 << 24
"""Most of a chunk whose tokens are read as well: 32 MB of uint16, and as much again for its output."""
FEW_TOKENS = 1 << 22
"""Enough of them where shards are few: memory that small is used again and again, and the copies take a third."""
READ_TOKENS = 1 << 14
"""The fewest tokens of one shard in a chunk: fewer are not worth a read from a disk."""


class Mark(Struct, frozen=True):
    """The place just before a document: its key, its shard, and its row in the shard's index."""

    key: int
    shard: int
    row: int


@dataclass(frozen=True)
class Range:
    """Consecutive rows low ... high - 1 of one shard's index."""

    shard: int
    low: int
    high: int


@dataclass(frozen=True)
class Chunk:
    """Documents that follow one another in the order, and the ranges of shards that hold just these."""

    ranges: list[Range]
    shards: NDArray[np.int64]
    rows: NDArray[np.int64]
    keys: NDArray[np.uint64]
    lengths: NDArray[np.int64]
    sequence: NDArray[np.int64]
    """Where each document is among the rows of `ranges`, taken one after the other."""

    def __len__(self) -> int:
        return len(self.rows)

    def mark(self, i: int) -> Mark:
        return Mark(key=int(self.keys[i]), shard=int(self.shards[i]), row=int(self.rows[i]))


class Merge:
    """The shards of a split, in the order of the corpus."""

    def __init__(self, shards: Sequence[ShardIndex], order: Order) -> None:
        self.shards = list(shards)
        self._order = order

    @property
    def chunk_tokens(self) -> int:
        """Tokens to read at a time."""
        return min(TOKENS, max(FEW_TOKENS, READ_TOKENS * len(self.shards)))

    @cached_property
    def labels(self) -> list[str]:
        """The labels of the files that documents come from, each once."""
        return list(dict.fromkeys(label for shard in self.shards for label in shard.labels))

    @cached_property
    def _codes(self) -> list[NDArray[np.int64]]:
        numbers = {label: i for i, label in enumerate(self.labels)}
        return [np.array([numbers[label] for label in shard.labels], dtype=np.int64) for shard in self.shards]

    def sources(self, shard: int, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """The index into `labels` of each of these documents of a shard."""
        found, codes = self.shards[shard].sources, self._codes[shard]
        return np.repeat(codes, len(rows)) if found is None else codes[found[rows]]

    def chunks(
        self,
        first: Mark | None = None,
        end: Mark | None = None,
        *,
        documents: int = DOCUMENTS,
        tokens: int | None = None,
    ) -> Iterator[Chunk]:
        """The documents from `first` (None: the very first) up to `end` (None: the last), in order.

        A chunk has at most so many documents and tokens, except where documents of one key, or one document, exceed
        them.
        """
        low = [0] * len(self.shards) if first is None else self._rows(first)
        high = [len(s) for s in self.shards] if end is None else self._rows(end)
        ranges = [Range(i, a, b) for i, (a, b) in enumerate(zip(low, high, strict=True)) if a < b]
        if self._order == "input":
            yield from self._walk(ranges, documents, tokens)
        else:
            yield from self._divide(ranges, documents, tokens)

    def read(self, chunk: Chunk) -> tuple[NDArray[np.unsignedinteger], NDArray[np.int64]]:
        """The tokens of the chunk's ranges, one read for each, and where among them each of its documents starts."""
        read = [self.shards[r.shard].read(r.low, r.high) for r in chunk.ranges]
        in_place = np.empty_like(chunk.lengths)
        in_place[chunk.sequence] = chunk.lengths
        starts = (np.cumsum(in_place) - in_place)[chunk.sequence]
        return (read[0] if len(read) == 1 else np.concatenate(read)), starts

    def _rows(self, mark: Mark) -> list[int]:
        """How many documents of each shard come before `mark`."""
        if self._order == "input":
            return [len(s) if i < mark.shard else 0 if i > mark.shard else mark.row for i, s in enumerate(self.shards)]
        key = np.uint64(mark.key)
        rows = [
            int(np.searchsorted(s.keys, key, side="right" if i < mark.shard else "left"))
            for i, s in enumerate(self.shards)
        ]
        rows[mark.shard] = mark.row
        return rows

    def _tokens(self, part: Range) -> int:
        shard = self.shards[part.shard]
        return shard.token_position(part.high) - shard.token_position(part.low)

    def _walk(self, ranges: list[Range], documents: int, tokens: int | None) -> Iterator[Chunk]:
        for whole in ranges:
            shard, low = self.shards[whole.shard], whole.low
            while low < whole.high:
                high = min(whole.high, low + documents)
                if tokens is not None:
                    total = np.cumsum(shard.lengths[low:high])
                    high = low + max(1, int(np.searchsorted(total, tokens, side="right")))
                yield self._gather([Range(whole.shard, low, high)])
                low = high

    def _divide(self, ranges: list[Range], documents: int, tokens: int | None) -> Iterator[Chunk]:
        """Halves the range of keys until a part is small enough: keys are hashes, so half the keys is half the work."""
        waiting = [ranges] if ranges else []
        while waiting:
            part = waiting.pop()
            smallest = min(int(self.shards[r.shard].keys[r.low]) for r in part)
            largest = max(int(self.shards[r.shard].keys[r.high - 1]) for r in part)
            small = sum(r.high - r.low for r in part) <= documents and (
                tokens is None or sum(self._tokens(r) for r in part) <= tokens
            )
            if small or smallest == largest:
                yield self._gather(part)
                continue
            middle = np.uint64(smallest + (largest - smallest + 1) // 2)
            before, after = [], []
            for r in part:
                cut = r.low + int(np.searchsorted(self.shards[r.shard].keys[r.low : r.high], middle))
                if cut > r.low:
                    before.append(Range(r.shard, r.low, cut))
                if cut < r.high:
                    after.append(Range(r.shard, cut, r.high))
            waiting += [after, before]

    def _gather(self, ranges: list[Range]) -> Chunk:
        rows = np.concatenate([np.arange(r.low, r.high, dtype=np.int64) for r in ranges])
        shards = np.repeat([r.shard for r in ranges], [r.high - r.low for r in ranges]).astype(np.int64)
        keys = np.concatenate([self.shards[r.shard].keys[r.low : r.high] for r in ranges])
        lengths = np.concatenate([self.shards[r.shard].lengths[r.low : r.high] for r in ranges])
        if self._order == "input":
            sequence = np.arange(len(rows), dtype=np.int64)
        else:
            # Ranges come by shard and row, which a stable sort keeps among equal keys.
            sequence = np.argsort(keys, kind="stable")
        return Chunk(
            ranges=ranges,
            shards=shards[sequence],
            rows=rows[sequence],
            keys=keys[sequence],
            lengths=lengths[sequence],
            sequence=sequence,
        )
