"""How often each document of a source is taken, so that a mix has the size and the proportions its budget asks for.

A document's place in the draw is a keyed hash of its id: rates depend on nothing but the documents there are, and the
same documents are drawn whatever the order, the shards and the workers.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from msgspec import Struct

from dolma_pipeline.errors import ConfigError, unknown
from dolma_pipeline.mixers.attributes import Integers
from dolma_pipeline.recipe import Budget

BINS = 1 << 16
SHIFT = 48
"""A hash belongs to the bin of its top 16 bits."""

Hashes = npt.NDArray[np.uint64]


class Rate(Struct, frozen=True):
    """Every document is taken `copies` times, and once more if its hash is below `threshold`."""

    copies: int
    threshold: int

    def take(self, hashes: Hashes) -> npt.NDArray[np.uint32]:
        """How often each document is taken."""
        more: npt.NDArray[np.bool_] = hashes < np.uint64(self.threshold)
        return np.uint32(self.copies) + more.astype(np.uint32)


class SourceHistogram(Struct):
    """Documents and size of a source by the bin of their hash; empty bins take no room."""

    bins: dict[int, tuple[int, int]] = {}

    def add(self, hashes: Hashes, sizes: Integers) -> None:
        """Counts documents in; sizes are bytes of UTF-8 text."""
        where, inverse, documents = np.unique(hashes >> np.uint64(SHIFT), return_inverse=True, return_counts=True)
        total = np.zeros(len(where), np.int64)
        np.add.at(total, inverse, sizes)
        self._add(zip(where.tolist(), documents.tolist(), total.tolist(), strict=True))

    def merge(self, other: SourceHistogram) -> None:
        """Counts in what `other` has counted."""
        self._add((b, documents, size) for b, (documents, size) in other.bins.items())

    def _add(self, counted: Iterable[tuple[int, int, int]]) -> None:
        for b, documents, size in counted:
            before = self.bins.get(b, (0, 0))
            self.bins[b] = (before[0] + documents, before[1] + size)

    @property
    def documents(self) -> int:
        return sum(documents for documents, _ in self.bins.values())

    @property
    def size(self) -> int:
        return sum(size for _, size in self.bins.values())

    def reached(self) -> Integers:
        """The size of all bins below each of 0, 1, ..., BINS."""
        sizes = np.zeros(BINS + 1, np.int64)
        for b, (_, size) in self.bins.items():
            sizes[b + 1] = size
        return np.cumsum(sizes)


def plan_budget(budget: Budget, histograms: Mapping[str, SourceHistogram], where: str) -> dict[str, Rate]:
    """The rate of each source, exact to a bin.

    Without weights every source is scaled alike. Raises ConfigError, which says what would work, where a source cannot
    give its share within `max_epochs`; `where` is the path of the mix.
    """
    where = f"{where}.budget"
    wanted = _wanted(budget, where)
    sizes = {name: h.size for name, h in sorted(histograms.items())}
    shares = _shares(budget, sizes, where)
    _afford(budget, wanted, sizes, shares, where)
    return {name: _rate(histograms[name], wanted.bytes * shares[name]) for name in sizes}


class _Wanted(NamedTuple):
    """The size of a mix, and how its budget says it."""

    bytes: float
    unit: float
    word: str

    def say(self, size: float) -> str:
        """`size` bytes in the unit of the budget, rounded down."""
        return f"{math.floor(size / self.unit):,} {self.word}"


def _wanted(budget: Budget, where: str) -> _Wanted:
    limits = []
    if budget.bytes is not None:
        limits.append(_Wanted(budget.bytes, 1.0, "bytes"))
    if budget.tokens is not None:
        limits.append(_Wanted(budget.tokens * budget.bytes_per_token, budget.bytes_per_token, "tokens"))
    if not limits:
        raise ConfigError(f"{where}: expected `tokens` or `bytes`, found neither")
    return min(limits)


def _shares(budget: Budget, sizes: Mapping[str, int], where: str) -> dict[str, float]:
    total = sum(sizes.values())
    if not budget.weights:
        return {name: size / total if total else 0.0 for name, size in sizes.items()}
    for name, weight in budget.weights.items():
        if name not in sizes:
            raise ConfigError(f"{where}.weights: {unknown('source', name, sizes)}")
        if not 0 <= weight < math.inf:
            raise ConfigError(f"{where}.weights.{name}: expected a weight of 0 or more, found {weight}")
    for name in sizes:
        if name not in budget.weights:
            raise ConfigError(f"{where}.weights: no weight for source `{name}`; 0 leaves it out")
    weights = sum(budget.weights.values())
    if weights == 0:
        raise ConfigError(f"{where}.weights: expected a weight above 0, found none")
    return {name: budget.weights[name] / weights for name in sizes}


def _afford(budget: Budget, wanted: _Wanted, sizes: Mapping[str, int], shares: Mapping[str, float], where: str) -> None:
    """ConfigError where some source would have to be repeated more often than it may."""
    if sum(sizes.values()) == 0:
        raise ConfigError(f"{where}: no text is left to sample from: the rules of the mix drop every document")
    used = {name: share for name, share in shares.items() if share > 0}
    for name, share in used.items():
        if sizes[name] == 0:
            raise ConfigError(
                f"{where}: source `{name}` has no text left for its share of {share:.4g}; weight 0 leaves it out"
            )
    epochs = {name: wanted.bytes * share / sizes[name] for name, share in used.items()}
    if max(epochs.values()) <= budget.max_epochs * (1 + 1e-9):
        return
    lines = [
        f"source `{name}` has {wanted.say(sizes[name])}, its share of {used[name]:.4g} is "
        f"{wanted.say(wanted.bytes * used[name])}: {needed:,.2f} epochs"
        for name, needed in epochs.items()
        if needed > budget.max_epochs
    ]
    largest = min(sizes[name] * budget.max_epochs / share for name, share in used.items())
    least = math.ceil(max(epochs.values()) * 100) / 100
    raise ConfigError(
        f"{where}: {'; '.join(lines)}; max_epochs is {budget.max_epochs:g}; what would work: "
        f"at most {wanted.say(largest)}, or max_epochs of at least {least:g}"
    )


def _rate(histogram: SourceHistogram, share: float) -> Rate:
    size = histogram.size
    if size == 0:
        return Rate(0, 0)
    copies = int(share // size)
    rest = share - copies * size
    reached = histogram.reached()
    edge = int(np.searchsorted(reached, rest))
    # Of the edges on both sides the nearer one; of edges with nothing between them the lowest.
    if edge > 0 and rest - reached[edge - 1] <= reached[edge] - rest:
        edge = int(np.searchsorted(reached, reached[edge - 1]))
    return Rate(copies + 1, 0) if edge == BINS else Rate(copies, edge << SHIFT)
