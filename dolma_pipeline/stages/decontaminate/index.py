"""The n-grams of all evaluation items, and where they stand in them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from dolma_pipeline.stages.decontaminate.items import Item, Tokens

Places = npt.NDArray[np.int64]

_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)
_MIX = np.uint64(0xFF51AFD7ED558CCD)
_SHIFT = np.uint64(33)
FILTER_BITS = 24
"""A table of 2^24 flags, by the low bits of a hash, tells at once of most n-grams that no item has them: 16 MB."""
COMMON = 256
"""An n-gram that more items have than this does not lead to them, unless they have few others."""
FEW = 4
"""Every item is found by its rarest n-grams, this many at least, however many items have them."""


def ngram_hashes(tokens: Tokens, length: int) -> Tokens:
    """Returns the hash of each `length` tokens in a row."""
    count = len(tokens) - length + 1
    if count <= 0:
        return np.empty(0, np.uint64)
    found = tokens[:count].copy()
    for n in range(1, length):
        found *= _MULTIPLIER
        found += tokens[n : n + count]
    found ^= found >> _SHIFT
    found *= _MIX
    found ^= found >> _SHIFT
    return found


class Postings:
    """Where n-grams stand in items: those that lead from a document to items, and how rare each is."""

    def __init__(self, items: Sequence[Item], length: int) -> None:
        self.length = length
        hashes = [ngram_hashes(item.tokens[0], length) for item in items]
        counts = np.array([len(h) for h in hashes], np.int64)
        flat = np.concatenate(hashes) if hashes else np.empty(0, np.uint64)
        owner = np.repeat(np.arange(len(items)), counts)
        place = np.arange(len(flat)) - np.repeat(np.cumsum(counts) - counts, counts)
        self.grams, of_gram = np.unique(flat, return_inverse=True)
        """The distinct n-grams, sorted."""
        pairs = np.unique(np.stack([of_gram, owner]), axis=1) if len(flat) else np.empty((2, 0), np.int64)
        self.items_with = np.bincount(pairs[0], minlength=len(self.grams))
        """Number of items that have each of them."""
        self.distinct = np.bincount(pairs[1], minlength=len(items))
        """Number of distinct n-grams of each item."""
        leads = self._leads(of_gram, owner)
        self.leading = np.bincount(owner[leads], minlength=len(items))
        """Number of n-grams that lead to each item."""
        order = np.flatnonzero(leads)[np.argsort(of_gram[leads], kind="stable")]
        self.items: Places = owner[order]
        """The items that n-grams lead to, by n-gram, and in an item in order."""
        self.places: Places = place[order]
        """Where the n-gram begins in the question."""
        self.begins = np.searchsorted(of_gram[order], np.arange(len(self.grams) + 1))
        self._flags = np.zeros(1 << FILTER_BITS, np.bool_)
        self._flags[self._low(self.grams)] = True

    def _leads(self, of_gram: Places, owner: Places) -> npt.NDArray[np.bool_]:
        rarity = self.items_with[of_gram]
        order = np.lexsort((rarity, owner))
        first = np.searchsorted(owner[order], owner[order], side="left")
        few = np.zeros(len(owner), np.bool_)
        few[order] = np.arange(len(owner)) - first < FEW
        return (rarity <= COMMON) | few

    @staticmethod
    def _low(hashes: Tokens) -> Places:
        return (hashes & np.uint64((1 << FILTER_BITS) - 1)).astype(np.int64)

    def look_up(self, hashes: Tokens) -> tuple[Places, Places]:
        """Returns which of `hashes` items have, and the numbers of these n-grams."""
        maybe = np.flatnonzero(self._flags[self._low(hashes)])
        if not len(maybe) or not len(self.grams):
            return np.empty(0, np.int64), np.empty(0, np.int64)
        wanted = hashes[maybe]
        found = np.searchsorted(self.grams, wanted)
        found[found == len(self.grams)] = 0
        there = self.grams[found] == wanted
        return maybe[there], found[there]

    def expand(self, grams: Places) -> tuple[Places, Places, Places]:
        """Returns a row for each item that n-grams lead to: the place in `grams`, the item, the place in the item."""
        begins, ends = self.begins[grams], self.begins[grams + 1]
        counts = ends - begins
        rows = np.repeat(np.arange(len(grams)), counts)
        within = np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts)
        at = begins[rows] + within
        return rows, self.items[at], self.places[at]


def word_weights(items: Sequence[Item]) -> tuple[Tokens, npt.NDArray[np.float64]]:
    """Returns the words of all items, sorted, and the weight of each: the fewer items have it, the more it counts.

    The weight is log(1 + N / n), with N items of which n have the word.
    """
    distinct = [np.unique(np.concatenate(item.tokens)) for item in items]
    flat = np.concatenate(distinct) if distinct else np.empty(0, np.uint64)
    words, counts = np.unique(flat, return_counts=True)
    return words, np.log1p(len(items) / counts)
