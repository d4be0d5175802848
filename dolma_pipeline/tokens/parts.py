"""Where one token file ends and the next begins: a function of the shards' keys and lengths alone."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
from msgspec import Struct
from msgspec.structs import replace
from numpy.typing import NDArray

from dolma_pipeline.config.recipe import Pack, Tokenizer
from dolma_pipeline.engine.task import Context, Output, Report
from dolma_pipeline.errors import ConfigError, StageError
from dolma_pipeline.io.atomic import read_json, write_json
from dolma_pipeline.tokens.engine import loaded_engine
from dolma_pipeline.tokens.merge import DOCUMENTS, Chunk, Mark, Merge
from dolma_pipeline.tokens.packing import kept_tokens, packed_tokens
from dolma_pipeline.tokens.shard import Order, ShardFiles, ShardIndex
from dolma_pipeline.tokens.vocabulary import special_ids

MOST_DOCUMENTS = 1 << 23
"""The most documents of a packed part, whose pieces are all in memory, about 100 bytes each."""


class Part(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The documents of one token file: from `first` up to `end` (None: to the last)."""

    first: Mark
    end: Mark | None
    documents: int
    tokens: int
    packed: int = 0
    """Tokens of its files when they are packed, padding included."""


class Parts(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The plan of a split's token files, with all that is needed to write any of them."""

    order: Order
    shards: list[ShardFiles]
    parts: list[Part]
    pack: Pack | None = None
    pad: int | None = None
    """The id that fills instances."""


class Packing(Struct, frozen=True, kw_only=True):
    """How parts are packed, and the tokenizer that says which id fills instances."""

    pack: Pack
    tokenizer_path: str
    tokenizer: Tokenizer
    where: str
    """The `$.path` of the stage, for what is wrong with it."""


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
    packing: Packing | None = None


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
    merge = Merge(shards, config.order)
    if config.packing is None:
        parts = Parts(order=config.order, shards=config.shards, parts=plan_parts(merge, most))
    else:
        pack, pad = config.packing.pack, _pad(config.packing, context)
        if most < pack.length:
            raise ConfigError(
                f"{config.packing.where}.pack.length: expected at most {most}, the tokens that the most bytes of a "
                f"file leave to it, found {pack.length}: an instance is in one file"
            )
        planned = plan_packed_parts(merge, pack, most)
        parts = Parts(order=config.order, shards=config.shards, parts=planned, pack=pack, pad=pad)
    directory = Path(config.path).parent
    # Relative, so that a run that is moved does not read from where it was.
    written = write_json(config.path, _with_paths(parts, lambda path: os.path.relpath(path, directory)))
    return Report(outputs=[written], details={"parts": len(parts.parts)})


def _pad(packing: Packing, context: Context) -> int | None:
    special = special_ids(loaded_engine(context, packing.tokenizer_path, choice="reference"), packing.tokenizer)
    if special.pad is None and packing.pack.pads:
        raise ConfigError(
            f"{packing.where}.tokenizer.pad: expected a token to fill instances with, found none; that of `eos` would "
            "do"
        )
    if special.pad is not None and special.pad == special.eos and not packing.pack.label_mask:
        raise ConfigError(
            f"{packing.where}.pack.label_mask: expected `true` where `pad` is `eos`, found false: padding could not be "
            "told from ends of documents"
        )
    return special.pad


def plan_packed_parts(merge: Merge, pack: Pack, max_tokens: int, *, documents: int = DOCUMENTS) -> list[Part]:
    """As many documents to each part as its files hold with their padding, or nearly so.

    How many that are only packing can tell: the documents that would fit without padding are packed, and of these the
    share that does. A document that takes more than `max_tokens` is a part of its own.
    """
    parts: list[Part] = []
    first: Mark | None = None
    step = documents
    while True:
        chunks: list[Chunk] = []
        size = count = 0
        for chunk in merge.chunks(first, documents=step):
            chunks.append(chunk)
            size += int(kept_tokens(chunk.lengths, pack).sum())
            count += len(chunk)
            # One more than can fit, so that where the part ends is known.
            if count > 1 and (size > max_tokens or count > MOST_DOCUMENTS):
                break
        if not chunks:
            return parts
        lengths = np.concatenate([c.lengths for c in chunks])
        fitting, packed = _fitting(lengths, pack, max_tokens)
        end = _mark(chunks, fitting)
        parts.append(
            Part(
                first=chunks[0].mark(0),
                end=end,
                documents=fitting,
                tokens=int(lengths[:fitting].sum()),
                packed=packed,
            )
        )
        if end is None:
            return parts
        # Where parts are small, a full chunk would be looked at again and again.
        first, step = end, min(documents, 2 * fitting)


def _fitting(lengths: NDArray[np.int64], pack: Pack, max_tokens: int) -> tuple[int, int]:
    """How many documents fit, and the tokens that they take."""
    total = np.cumsum(kept_tokens(lengths, pack))
    fitting = max(1, min(int(np.searchsorted(total, max_tokens, side="right")), MOST_DOCUMENTS))
    while True:
        packed = packed_tokens(lengths[:fitting], pack)
        if packed <= max_tokens or fitting == 1:
            return fitting, packed
        share = int(total[fitting - 1]) * max_tokens // packed
        fitting = max(1, min(fitting - 1, int(np.searchsorted(total, share, side="right"))))


def _mark(chunks: list[Chunk], document: int) -> Mark | None:
    """The place before a document of the chunks; None behind the last, where the order ends too."""
    for chunk in chunks:
        if document < len(chunk):
            return chunk.mark(document)
        document -= len(chunk)
    return None


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
    return _with_paths(parts, lambda file: os.path.normpath(Path(path).parent / file))


def _with_paths(parts: Parts, path: Callable[[str], str]) -> Parts:
    def moved(file: Output) -> Output:
        return replace(file, path=path(file.path))

    return replace(parts, shards=[ShardFiles(moved(s.index), moved(s.tokens)) for s in parts.shards])
