"""How often each document of a source is taken, so that a mix has the size and the proportions its budget asks for.

A document's place in the draw is a keyed hash of its id, its file and its line: rates depend on nothing but the
documents there are, and the same documents are drawn whatever the order and the workers. The id alone would not do:
where ids repeat, all documents of one id would be drawn together.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from msgspec import Struct

from dolma_pipeline import _native
from dolma_pipeline.config.recipe import Budget
from dolma_pipeline.errors import ConfigError, unknown
from dolma_pipeline.mixers.attributes import Integers

BINS = 1 << 16
SHIFT = 48
"""A hash belongs to the bin of its top 16 bits."""

Hashes = npt.NDArray[np.uint64]


def located_hashes(ids: pa.LargeStringArray, file: str, lines: pa.Int64Array, seed: int) -> Hashes:
    """A keyed hash of each document's id, file (its path below the source, without extensions) and line."""
    text = pa.large_string()
    located = pc.binary_join_element_wise(
        pc.fill_null(ids, ""), pa.scalar(file, text), lines.cast(text), pa.scalar("\0", text)
    )
    return np.asarray(_native.keyed_hash(located, seed).to_numpy(zero_copy_only=False))


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

    @property
    def largest(self) -> int:
        """The size of the largest bin."""
        return max((size for _, size in self.bins.values()), default=0)

    def reached(self) -> Integers:
        """The size of all bins below each of 0, 1, ..., BINS."""
        sizes = np.zeros(BINS + 1, np.int64)
        for b, (_, size) in self.bins.items():
            sizes[b + 1] = size
        return np.cumsum(sizes)


ASSUMED = 4.0
"""Bytes of text per token where nothing was measured."""
TOLERANCE = 0.02
"""How far what is obtained may be from what was asked before it is a warning."""


class Given(Struct, frozen=True, kw_only=True):
    """What a budget asked of a source and what it gives, in the unit of the budget; and the bytes that one unit has."""

    asked: int
    obtained: int
    unit: float
    largest: int
    """Documents that are drawn together, at most: whole documents come no nearer."""


class BudgetPlan(Struct, frozen=True, kw_only=True):
    """How often the documents of each source are taken, and what comes of it."""

    rates: dict[str, Rate]
    word: str
    """The unit: `bytes` or `tokens`."""
    sources: dict[str, Given]

    def account(self) -> dict[str, Any]:
        """Asked and obtained, in all and by source, for the manifest."""
        asked, obtained = self._totals()
        sources = {
            name: {
                "asked": g.asked,
                "obtained": g.obtained,
                "share_asked": round(g.asked / asked, 4) if asked else 0.0,
                "share_obtained": round(g.obtained / obtained, 4) if obtained else 0.0,
                **({"bytes_per_token": round(g.unit, 3)} if self.word == "tokens" else {}),
            }
            for name, g in self.sources.items()
        }
        return {"unit": self.word, "asked": asked, "obtained": obtained, "sources": sources}

    def warnings(self, where: str) -> list[str]:
        """A sentence for each source that gives another amount than it was asked for, with the reason."""
        return [
            f"{where}: source `{name}` gives {g.obtained:,} {self.word} for the {g.asked:,} it was asked for: whole "
            f"documents are drawn, and those drawn together have up to {g.largest:,} {self.word}"
            for name, g in self.sources.items()
            if abs(g.obtained - g.asked) > max(1, TOLERANCE * g.asked)
        ]

    def _totals(self) -> tuple[int, int]:
        return sum(g.asked for g in self.sources.values()), sum(g.obtained for g in self.sources.values())


def plan_budget(
    budget: Budget, histograms: Mapping[str, SourceHistogram], where: str, per_token: Mapping[str, float] | None = None
) -> BudgetPlan:
    """The rate of each source that comes nearest to what `budget` asks for.

    `per_token`: bytes of text per token of each source, where they were measured. Raises ConfigError, which says what
    would work, where a source cannot give its share within `max_epochs`; `where` is the path of the mix.
    """
    where = f"{where}.budget"
    sizes = {name: h.size for name, h in sorted(histograms.items())}
    wanted = _wanted(budget, sizes, per_token or {}, where)
    if sum(sizes.values()) == 0:
        raise ConfigError(f"{where}: no text is left to sample from: the rules of the mix drop every document")
    _afford(budget, wanted, where)
    rates = {name: _rate(histograms[name], wanted.bytes(name)) for name in sizes}
    sources = {
        name: Given(
            asked=round(wanted.total * wanted.shares[name]),
            obtained=round(_taken(histograms[name], rate) / wanted.units[name]),
            unit=wanted.units[name],
            largest=math.ceil(
                max((size for _, size in histograms[name].bins.values()), default=0) / wanted.units[name]
            ),
        )
        for name, rate in rates.items()
    }
    return BudgetPlan(rates=rates, word=wanted.word, sources=sources)


class _Wanted(NamedTuple):
    """A limit of a budget: so much in all, of which each source gives its share."""

    total: int
    word: str
    units: dict[str, float]
    """Bytes of each source's text that are one of what is counted."""
    shares: dict[str, float]
    amounts: dict[str, float]
    """What each source has."""

    def bytes(self, name: str) -> float:
        return self.total * self.shares[name] * self.units[name]

    def say(self, amount: float) -> str:
        return f"{math.floor(amount):,} {self.word}"


def _wanted(budget: Budget, sizes: Mapping[str, int], per_token: Mapping[str, float], where: str) -> _Wanted:
    """The limit that asks for least, where the budget has two."""
    limits = []
    fixed = budget.bytes_per_token
    for total, word, units in (
        (budget.bytes, "bytes", dict.fromkeys(sizes, 1.0)),
        (budget.tokens, "tokens", {name: fixed or per_token.get(name) or ASSUMED for name in sizes}),
    ):
        if total is not None:
            amounts = {name: size / units[name] for name, size in sizes.items()}
            limits.append(_Wanted(total, word, units, _shares(budget, amounts, where), amounts))
    if not limits:
        raise ConfigError(f"{where}: expected `tokens` or `bytes`, found neither")
    return min(limits, key=lambda limit: sum(limit.bytes(name) for name in sizes))


def _shares(budget: Budget, amounts: Mapping[str, float], where: str) -> dict[str, float]:
    total = sum(amounts.values())
    if not budget.weights:
        return {name: amount / total if total else 0.0 for name, amount in amounts.items()}
    for name, weight in budget.weights.items():
        if name not in amounts:
            raise ConfigError(f"{where}.weights: {unknown('source', name, amounts)}")
        if not 0 <= weight < math.inf:
            raise ConfigError(f"{where}.weights.{name}: expected a weight of 0 or more, found {weight}")
    for name in amounts:
        if name not in budget.weights:
            raise ConfigError(f"{where}.weights: no weight for source `{name}`; 0 leaves it out")
    weights = sum(budget.weights.values())
    if weights == 0:
        raise ConfigError(f"{where}.weights: expected a weight above 0, found none")
    return {name: budget.weights[name] / weights for name in amounts}


def _afford(budget: Budget, wanted: _Wanted, where: str) -> None:
    """Raises ConfigError where some source would have to be repeated more often than it may."""
    amounts = wanted.amounts
    used = {name: share for name, share in wanted.shares.items() if share > 0}
    for name, share in used.items():
        if amounts[name] == 0:
            raise ConfigError(
                f"{where}: source `{name}` has no text left for its share of {share:.4g}; weight 0 leaves it out"
            )
    epochs = {name: wanted.total * share / amounts[name] for name, share in used.items()}
    if max(epochs.values()) <= budget.max_epochs * (1 + 1e-9):
        return
    lines = [
        f"source `{name}` has {wanted.say(amounts[name])}, its share of {used[name]:.4g} is "
        f"{wanted.say(wanted.total * used[name])}: {needed:,.2f} epochs"
        for name, needed in epochs.items()
        if needed > budget.max_epochs
    ]
    largest = min(amounts[name] * budget.max_epochs / share for name, share in used.items())
    least = math.ceil(max(epochs.values()) * 100) / 100
    raise ConfigError(
        f"{where}: {'; '.join(lines)}; max_epochs is {budget.max_epochs:g}; what would work: "
        f"at most {wanted.say(largest)}, or max_epochs of at least {least:g}"
    )


def _taken(histogram: SourceHistogram, rate: Rate) -> int:
    """Bytes of text that `rate` takes: thresholds lie between bins, so that this is exact."""
    return rate.copies * histogram.size + int(histogram.reached()[rate.threshold >> SHIFT])


def _rate(histogram: SourceHistogram, share: float) -> Rate:
    size = histogram.size
    if size == 0:
        return Rate(0, 0)
    copies = int(share // size)
    rest = share - copies * size
    reached = histogram.reached()
    edge = int(np.searchsorted(reached, rest))
    # The nearer of the edges on both sides; among edges with nothing between them the lowest.
    if edge > 0 and rest - reached[edge - 1] <= reached[edge] - rest:
        edge = int(np.searchsorted(reached, reached[edge - 1]))
    return Rate(copies + 1, 0) if edge == BINS else Rate(copies, edge << SHIFT)
