"""Where one token file ends and the next begins: a function of the shards' keys and lengths alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from msgspec import Struct

from dolma_pipeline.errors import StageError
from dolma_pipeline.storage import output, read_json, write_json
from dolma_pipeline.task import Context, Report
from dolma_pipeline.tokens.merge import Chunk, Mark, Merge
from dolma_pipeline.tokens.shard import Order, ShardFiles, ShardIndex


class Part(Struct, frozen=True, kw_only=True):
    """The documents of one token file: from `first` up to `end` (None: to the last)."""

    first: Mark
    end: Mark | None
    documents: int
    tokens: int


class Parts(Struct, frozen=True, kw_only=True):
    """The plan of a split's token files, with all that is needed to write any of them."""

    order: Order
    shards: list[ShardFiles]
    parts: list[Part]


class PlanParts(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Divide `shards` (in the order of the corpus) into files of at most so much; the plan goes to `path`.

    `max_files`: as many files at most, of about the same size, instead.
    """

    shards: list[ShardFiles]
    order: Order
    max_tokens: int
    path: str
    max_bytes: int | None = None
    max_files: int | None = None


def choose_parts(config: PlanParts, context: Context) -> Report:
    """Writes the `Parts`. They hold the digests of the shards, so that a changed shard makes every part stale."""
    shards = [ShardIndex(s) for s in config.shards]
    if len({s.dtype for s in shards}) > 1:
        found = ", ".join(sorted({s.dtype.name for s in shards}))
        raise StageError(f"{config.path}: expected shards of one type, found {found}; encode them again")
    most = config.max_tokens
    if config.max_bytes is not None and shards:
        most = min(most, max(1, config.max_bytes // shards[0].dtype.itemsize))
    if config.max_files is not None:
        most = share(shards, config.max_files)
    parts = plan_parts(Merge(shards, config.order), most)
    write_json(config.path, Parts(order=config.order, shards=config.shards, parts=parts))
    return Report(outputs=[output(config.path)], details={"parts": len(parts)})


def share(shards: list[ShardIndex], files: int) -> int:
    """The most tokens of a file for which no more than `files` are needed.

    A file is closed when the next document does not fit: it then lacks less than the longest document.
    """
    total = sum(s.token_position(len(s)) for s in shards)
    longest = max((int(s.lengths.max()) for s in shards if len(s)), default=0)
    return max(1, -(-total // files) + longest)


def plan_parts(merge: Merge, max_tokens: int) -> list[Part]:
    """Fills each part in turn until the next document would exceed `max_tokens`; never cuts one, leaves none empty.

    A document longer than `max_tokens` is a part of its own.
    """
    planner = _Planner(max_tokens)
    for chunk in merge.chunks():
        planner.add(chunk)
    return planner.finish()


class _Planner:
    def __init__(self, max_tokens: int) -> None:
        self._max_tokens = max_tokens
        self._parts: list[Part] = []
        self._first: Mark | None = None
        self._documents = 0
        self._tokens = 0

    def add(self, chunk: Chunk) -> None:
        total = np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(chunk.lengths)])
        i = 0
        while i < len(chunk):
            if self._first is None:
                self._first = chunk.mark(i)
            room = self._max_tokens - self._tokens
            fitting = int(np.searchsorted(total, total[i] + room, side="right")) - 1
            if self._documents == 0:
                fitting = max(fitting, i + 1)
            if fitting <= i:
                self._close(chunk.mark(i))
                continue
            self._documents += fitting - i
            self._tokens += int(total[fitting] - total[i])
            i = fitting

    def _close(self, end: Mark | None) -> None:
        if self._first is not None:
            self._parts.append(Part(first=self._first, end=end, documents=self._documents, tokens=self._tokens))
        self._first, self._documents, self._tokens = None, 0, 0

    def finish(self) -> list[Part]:
        self._close(None)
        return self._parts


def read_parts(path: str | Path) -> Parts:
    """The plan that `choose_parts` wrote."""
    parts: Parts = read_json(path, Parts)
    return parts
