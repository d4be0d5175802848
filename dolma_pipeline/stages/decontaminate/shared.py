"""The two simple methods: shared n-grams, and shared paragraphs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dolma_pipeline import _native
from dolma_pipeline.stages.decontaminate.index import Places, Postings
from dolma_pipeline.stages.decontaminate.items import Item, Tokens, flat_words
from dolma_pipeline.stages.decontaminate.overlap import Match

LONG_PARAGRAPH = 12
"""A paragraph of more words than this is compared: the rule of Paloma (arXiv 2312.10523)."""


class SharedNgrams:
    """Finds documents that share n-grams with the question of an item. The score is the share of the item's n-grams."""

    def __init__(self, items: Sequence[Item], ngram: int, threshold: float) -> None:
        self._threshold = threshold
        self._postings = Postings(items, ngram)

    def find(self, tokens: Tokens, offsets: Places, hashes: Tokens) -> list[Match]:
        """Returns the matches in a batch, by document and item: see Overlap.find."""
        hits, grams = self._postings.look_up(hashes)
        rows = np.searchsorted(offsets, hits, side="right") - 1
        inside = hits + self._postings.length <= offsets[rows + 1]
        hits, grams, rows = hits[inside], grams[inside], rows[inside]
        which, items, _ = self._postings.expand(grams)
        triples = np.unique(np.stack([rows[which], items, grams[which]]), axis=1) if len(which) else None
        if triples is None:
            return []
        pairs, counts = np.unique(triples[:2], axis=1, return_counts=True)
        begins = np.full(pairs.shape[1], np.iinfo(np.int64).max)
        ends = np.zeros(pairs.shape[1], np.int64)
        of_pair = {(r, i): n for n, (r, i) in enumerate(pairs.T.tolist())}
        for row, item, hit in zip(rows[which].tolist(), items.tolist(), hits[which].tolist(), strict=True):
            n = of_pair[row, item]
            begins[n] = min(begins[n], hit - offsets[row])
            ends[n] = max(ends[n], hit - offsets[row] + self._postings.length)
        scores = counts / self._postings.distinct[pairs[1]]
        return [
            Match(row, item, score, begin, end)
            for (row, item), score, begin, end in zip(
                pairs.T.tolist(), scores.tolist(), begins.tolist(), ends.tolist(), strict=True
            )
            if score >= self._threshold
        ]


def has_long_paragraph(item: Item) -> bool:
    """Whether one of the paragraphs of an item is long enough to be compared."""
    return any(_long_paragraphs(item))


def _long_paragraphs(item: Item) -> Iterator[str]:
    for part in (item.question, item.answer, item.passage):
        yield from (line for line in part.split("\n") if len(line.split()) > LONG_PARAGRAPH)


class SharedParagraphs:
    """Finds documents that have a paragraph of an item, byte by byte. Paragraphs are lines."""

    def __init__(self, items: Sequence[Item]) -> None:
        owners: dict[str, int] = {}
        for number, item in enumerate(items):
            found = pa.array(list(_long_paragraphs(item)), pa.large_string())
            for identifier in _native.content_ids(found).to_pylist():
                owners.setdefault(identifier, number)
        self._ids = pa.array(list(owners), pa.large_string())
        self._owners = list(owners.values())

    def find_in(self, texts: pa.Array) -> list[Match]:
        """Returns the matches in a batch; `begin` and `end` count the words of the document."""
        lines = pc.split_pattern(texts, "\n")
        flat, offsets = lines.values, lines.offsets.to_numpy()
        found = pc.index_in(_native.content_ids(flat), self._ids)
        matches = []
        for at in np.flatnonzero(found.is_valid().to_numpy(zero_copy_only=False)).tolist():
            row = int(np.searchsorted(offsets, at, side="right")) - 1
            before = flat.slice(int(offsets[row]), at - int(offsets[row]))
            begin = len(flat_words(before)[0])
            length = len(flat_words(flat.slice(at, 1))[0])
            matches.append(Match(row, self._owners[found[at].as_py()], 1.0, begin, begin + length))
        return matches
