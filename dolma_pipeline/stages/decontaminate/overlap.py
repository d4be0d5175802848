"""How much of an item stands in a document: its words in the same order, rare words counting more.

The method follows `decon` of AI2 (https://github.com/allenai/decon): n-grams lead to items, the parts of an item are
scored by the weight of what is found, and the parts are weighted. It differs in that all n-grams lead to items, not
every tenth, and in that a part is compared word by word, so that a changed word costs its own weight alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from dolma_pipeline.stages.decontaminate.index import Places, Postings, word_weights
from dolma_pipeline.stages.decontaminate.items import Item, Tokens

Weights = npt.NDArray[np.float64]
SHARES = {
    (True, True): (0.7, 0.2, 0.1),
    (True, False): (0.75, 0.25, 0.0),
    (False, True): (0.85, 0.0, 0.15),
    (False, False): (1.0, 0.0, 0.0),
}
"""The shares of question, answer and passage in the score, by whether an item has an answer and a passage."""
LONG_QUESTION = 20
"""Words from which a question counts in full; a shorter one counts for half and more."""
SHORT_ANSWER = 3
"""An answer of at most so many words must stand there as it is."""
NEAR = 50
"""Words between a question and a short answer, at most."""
AROUND = 100
"""Words around a question, at least, in which a longer answer or a passage is looked for."""
FEWEST = 0.1
"""A document is compared with an item if it has this share of the n-grams that lead to the item."""
BUCKET = 16
"""Places of one item in a document that differ by less are one."""


class Match(NamedTuple):
    """An item in a document."""

    row: int
    item: int
    score: float
    begin: int
    """The words of the document in which the question stands: from this one up to `end`."""
    end: int


class Overlap:
    """Finds items in documents."""

    def __init__(self, items: Sequence[Item], ngram: int, threshold: float) -> None:
        self._items = items
        self._threshold = threshold
        self._postings = Postings(items, ngram)
        self._words, self._weights = word_weights(items)
        self._cache: dict[int, tuple[Weights, Weights, Weights]] = {}

    def find(self, tokens: Tokens, offsets: Places, hashes: Tokens) -> list[Match]:
        """Returns the matches in a batch, by document and item.

        `tokens`: the words of all documents, those of each from its place in `offsets` on; `hashes`: their n-grams.
        """
        hits, grams = self._postings.look_up(hashes)
        rows = np.searchsorted(offsets, hits, side="right") - 1
        inside = hits + self._postings.length <= offsets[rows + 1]
        hits, grams, rows = hits[inside], grams[inside], rows[inside]
        which, items, places = self._postings.expand(grams)
        matches = []
        starts, owners = hits[which] - places, rows[which]
        enough = self._enough(owners, items)
        for row, item, start in _candidates(owners[enough], items[enough], starts[enough]):
            words = tokens[offsets[row] : offsets[row + 1]]
            match = self._score(int(row), int(item), int(start - offsets[row]), words)
            if match is not None:
                matches.append(match)
        return matches

    def _enough(self, rows: Places, items: Places) -> npt.NDArray[np.bool_]:
        """Which hits are those of a document that has enough n-grams of an item to be worth a comparison."""
        if not len(rows):
            return np.zeros(0, np.bool_)
        _, inverse, counts = np.unique(
            rows * np.int64(len(self._items)) + items, return_inverse=True, return_counts=True
        )
        found: npt.NDArray[np.bool_] = counts[inverse] >= FEWEST * self._postings.leading[items]
        return found

    def _score(self, row: int, number: int, start: int, words: Tokens) -> Match | None:
        item = self._items[number]
        question, answer, passage = item.tokens
        of_question, of_answer, of_passage = self._of(number)
        shares = SHARES[bool(len(answer)), bool(len(passage))]
        confidence = _confidence(item)
        # What the question must have, if the other parts were found in full.
        least = (self._threshold - shares[1] - shares[2]) / (shares[0] * confidence)
        slack = max(8, len(question) // 4)
        low, high = max(0, start - slack), max(0, start + len(question) + slack)
        window = words[low:high]
        total = of_question.sum()
        if of_question[np.isin(question, window)].sum() < least * total:
            return None
        found, begin, end = in_order(question, of_question, window)
        if found < least * total:
            return None
        score = shares[0] * confidence * found / total
        begin, end = low + begin, low + end
        if len(answer):
            score += shares[1] * _answer(answer, of_answer, words, begin, end)
        if len(passage):
            score += shares[2] * _around(passage, of_passage, words, begin, end)
        return Match(row, number, float(score), begin, end) if score >= self._threshold else None

    def _of(self, number: int) -> tuple[Weights, Weights, Weights]:
        """The weights of the words of an item."""
        found = self._cache.get(number)
        if found is None:
            question, answer, passage = (
                self._weights[np.searchsorted(self._words, part)] for part in self._items[number].tokens
            )
            found = self._cache[number] = (question, answer, passage)
        return found


def _confidence(item: Item) -> float:
    return 0.5 + 0.5 * min(1.0, len(item.tokens[0]) / LONG_QUESTION)


def largest_score(item: Item) -> float:
    """Returns the score of a document that has all of an item."""
    shares = SHARES[bool(len(item.tokens[1])), bool(len(item.tokens[2]))]
    return shares[0] * _confidence(item) + shares[1] + shares[2]


def _candidates(rows: Places, items: Places, starts: Places) -> npt.NDArray[np.int64]:
    """(document, item, place) of each pair, once, at the place at which most n-grams say that the item begins."""
    if not len(rows):
        return np.empty((0, 3), np.int64)
    keys = np.stack([rows, items, starts // BUCKET])
    found, inverse, counts = np.unique(keys, axis=1, return_inverse=True, return_counts=True)
    first = np.full(found.shape[1], np.iinfo(np.int64).max)
    np.minimum.at(first, inverse.reshape(-1), starts)
    order = np.lexsort((found[2], -counts, found[1], found[0]))
    pairs = found[:2, order]
    new = np.ones(len(order), np.bool_)
    new[1:] = (pairs[:, 1:] != pairs[:, :-1]).any(axis=0)
    chosen = order[new]
    return np.stack([found[0, chosen], found[1, chosen], first[chosen]], axis=1)


def in_order(part: Tokens, weights: Weights, window: Tokens) -> tuple[float, int, int]:
    """Returns the largest weight of words of `part` that stand in `window` in the same order, and where they do.

    The range goes from the first to behind the last of them. It is the weighted longest common subsequence, in time
    and memory len(part) * len(window).
    """
    if not len(part) or not len(window):
        return 0.0, 0, 0
    best = np.zeros((len(part) + 1, len(window) + 1))
    for n, (word, weight) in enumerate(zip(part, weights, strict=True)):
        row = best[n].copy()
        np.maximum(row[1:], best[n, :-1] + weight * (window == word), out=row[1:])
        np.maximum.accumulate(row, out=best[n + 1])
    total = float(best[-1, -1])
    if total == 0.0:
        return 0.0, 0, 0
    n, at = len(part), int(np.argmax(best[-1] == best[-1, -1]))
    end = begin = at
    while n and at:
        if best[n, at] == best[n - 1, at]:
            n -= 1
        elif best[n, at] == best[n, at - 1]:
            at -= 1
        else:
            n, at = n - 1, at - 1
            begin = at
    return total, begin, end


def _answer(answer: Tokens, weights: Weights, words: Tokens, begin: int, end: int) -> float:
    if len(answer) > SHORT_ANSWER:
        return _around(answer, weights, words, begin, end)
    reach = NEAR + len(answer)
    near = (words[max(0, begin - reach) : begin], words[end : end + reach])
    return 1.0 if any(_holds(part, answer) for part in near) else 0.0


def _holds(words: Tokens, run: Tokens) -> bool:
    there = np.ones(max(0, len(words) - len(run) + 1), np.bool_)
    for n, word in enumerate(run):
        there &= words[n : n + len(there)] == word
    return bool(there.any())


def _around(part: Tokens, weights: Weights, words: Tokens, begin: int, end: int) -> float:
    """The share of a part that stands behind the question, or before it."""
    reach = max(AROUND, 2 * len(part))
    behind, _, _ = in_order(part, weights, words[end : end + reach])
    before, _, _ = in_order(part, weights, words[max(0, begin - reach) : begin])
    return max(behind, before) / float(weights.sum())
