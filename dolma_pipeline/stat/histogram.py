"""Mergeable histograms of fixed buckets: of each power of two, mantissas cut to five decimals, as Dolma counts.

The bucket of a value does not depend on what other values there are, so histograms of parts add up to that of the
whole, exactly; and there are at most 50,000 of them to a power of two and sign.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from msgspec import Struct

Integers: TypeAlias = npt.NDArray[np.int64]
Floats: TypeAlias = npt.NDArray[np.float64]

PRECISION = 100_000
_SHIFT = 1 << 18
"""Mantissas lie between -PRECISION and PRECISION; a bucket's code is exponent x _SHIFT + mantissa + _SHIFT / 2."""


class Stored(Struct, frozen=True):
    """A histogram on disk; arrays as little-endian int64."""

    codes: bytes
    counts: bytes
    total: int
    sum: int | float


class Summary(Struct, frozen=True):
    """A histogram as Dolma writes it: `bins` has one edge more than there are `counts`."""

    name: str
    counts: list[int]
    bins: list[float]
    total: int
    sum: int | float


class Histogram:
    """Counts by bucket, how many values there were, and their sum (in order, so to the bit that of a simple loop)."""

    def __init__(self) -> None:
        self.codes: Integers = np.empty(0, np.int64)
        self.counts: Integers = np.empty(0, np.int64)
        self.total = 0
        self.sum: int | float = 0

    def add(self, values: npt.NDArray[Any]) -> None:
        """Counts finite numbers, int64 or float64."""
        if not len(values):
            return
        mantissas, exponents = np.frexp(values.astype(np.float64))
        codes = exponents.astype(np.int64) * _SHIFT + np.floor(mantissas * PRECISION).astype(np.int64) + _SHIFT // 2
        self._put(*np.unique(codes, return_counts=True))
        self.total += len(values)
        if np.issubdtype(values.dtype, np.integer):
            self.sum += int(values.sum())
        else:
            self.sum = float(np.cumsum(np.concatenate([[float(self.sum)], values]))[-1])

    def merge(self, other: Histogram) -> None:
        self._put(other.codes, other.counts)
        self.total += other.total
        self.sum += other.sum

    def _put(self, codes: Integers, counts: Integers) -> None:
        self.codes, where = np.unique(np.concatenate([self.codes, codes]), return_inverse=True)
        both = np.concatenate([self.counts, counts.astype(np.int64)])
        self.counts = np.zeros(len(self.codes), np.int64)
        np.add.at(self.counts, where, both)

    def buckets(self) -> tuple[Floats, Integers]:
        """The lower bound and the count of each bucket that holds anything, in order of value."""
        lower = _lower(self.codes)
        order = np.argsort(lower, kind="stable")
        return lower[order], self.counts[order]

    def edges(self) -> tuple[Floats, Integers]:
        """The same, with the upper bound of the last bucket behind the lower ones."""
        lower, counts = self.buckets()
        highest = self.codes[np.argmax(_lower(self.codes))]
        return np.concatenate([lower, _lower(np.asarray([highest + 1]))]), counts

    def summary(self, name: str, bins: int) -> Summary:
        """All buckets where they are at most `bins`, else that many of equal width."""
        if len(self.codes) <= bins:
            edges, counts = self.edges()
        else:
            lower, weights = self.buckets()
            counts, edges = np.histogram(lower, bins=bins, weights=weights)
        return Summary(name, [int(c) for c in counts], edges.tolist(), self.total, self.sum)

    def stored(self) -> Stored:
        return Stored(self.codes.astype("<i8").tobytes(), self.counts.astype("<i8").tobytes(), self.total, self.sum)

    @classmethod
    def of(cls, stored: Stored) -> Histogram:
        found = cls()
        found.codes = np.frombuffer(stored.codes, "<i8").astype(np.int64)
        found.counts = np.frombuffer(stored.counts, "<i8").astype(np.int64)
        found.total, found.sum = stored.total, stored.sum
        return found


def parts(edges: Sequence[float], counts: Sequence[int], most: int) -> list[tuple[float, float, int]]:
    """Up to `most` neighbouring ranges [low, high) of about equal counts; what fills several of them is one range."""
    reached = np.cumsum(counts)
    shares = np.arange(1, most + 1) * int(reached[-1]) / most
    ends = np.unique(np.searchsorted(reached, shares - 1e-9))
    found = []
    start = 0
    for end in ends.tolist():
        found.append((float(edges[start]), float(edges[end + 1]), int(np.sum(counts[start : end + 1]))))
        start = end + 1
    return found


def _lower(codes: Integers) -> Floats:
    exponents = np.floor_divide(codes, _SHIFT)
    mantissas = codes - exponents * _SHIFT - _SHIFT // 2
    return np.asarray(np.ldexp(mantissas / PRECISION, exponents))
