"""A near-duplicate beside the document that stays for it: the words in which they differ."""

from __future__ import annotations

import difflib

from dolma_pipeline.engine.corpus import Shard
from dolma_pipeline.explanation.find import Found, documents_of
from dolma_pipeline.explanation.story import Difference, Pair

MOST_WORDS = 5000
"""Words of each text that are compared: the comparison takes time by their square at worst."""
MOST_DIFFERENCES = 10


def pair_of(shards: list[Shard], found: Found, kept: str) -> Pair | None:
    """Returns the pair of a document and the one with the id `kept`; None if there is no such document any more.

    Of several documents with this id, the one whose text is most like this one's counts.
    """
    pairs = [_pair(found, other, kept) for other in documents_of(shards, kept) if other.place != found.place]
    return max(pairs, key=lambda pair: pair.words_in_common, default=None)


def _pair(found: Found, other: Found, kept: str) -> Pair:
    mine, theirs = found.text.split()[:MOST_WORDS], other.text.split()[:MOST_WORDS]
    blocks = difflib.SequenceMatcher(a=mine, b=theirs, autojunk=False).get_opcodes()
    changed = [
        Difference(here=" ".join(mine[a:b]), there=" ".join(theirs[c:d]))
        for what, a, b, c, d in blocks
        if what != "equal"
    ]
    same = sum(b - a for what, a, b, _, _ in blocks if what == "equal")
    return Pair(
        kept=kept,
        place=str(other.place),
        differences=changed[:MOST_DIFFERENCES],
        words_in_common=round(same / max(1, len(mine)), 4),
    )
