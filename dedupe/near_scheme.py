"""Bands and rows: which similarities they find.

A document has one key for each of b bands, made of r minima. Two documents whose sets of shingles have the Jaccard
similarity s agree in a minimum with probability s, so they share at least one key with probability 1 - (1 - s^r)^b.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from dolma_pipeline.config.recipe_minhash import MinHash

PRESETS = {"thorough": (20, 5), "fineweb": (14, 8), "dolma3": (26, 11)}
MOST_PERMUTATIONS = 256
"""Most minima per document in a scheme that a threshold chooses."""
FOUND = 0.9
"""Share of the pairs at a threshold that the scheme it chooses finds."""
LEAST_FOUND = 0.8
"""Share of the pairs at the threshold of verification below which a scheme is refused."""
CURVE = (0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95)
"""The similarities at which the curve is shown."""


class Scheme(NamedTuple):
    """How many keys a document has, and how many minima each is made of."""

    bands: int
    rows: int

    def found(self, similarity: float) -> float:
        """The probability that two documents of this similarity share a key."""
        return float(1.0 - (1.0 - similarity**self.rows) ** self.bands)

    def __str__(self) -> str:
        return f"{self.bands} bands of {self.rows} rows"

    def curve(self) -> str:
        """What the scheme finds: `0.5: 5.3 %, 0.6: 21.1 %, ...`."""
        return ", ".join(f"{s:g}: {self.found(s):.1%}".replace("%", " %") for s in CURVE)


def scheme_of(config: MinHash) -> Scheme | None:
    """The bands and rows of a stage; None where no scheme of MOST_PERMUTATIONS finds FOUND of the pairs asked for."""
    if config.threshold is not None:
        return for_threshold(config.threshold)
    if config.bands is not None and config.rows is not None:
        return Scheme(config.bands, config.rows)
    return Scheme(*PRESETS[config.preset or "thorough"])


def for_threshold(threshold: float) -> Scheme | None:
    """The scheme with the longest bands, and so the fewest unlike pairs, that finds FOUND of the pairs at `threshold`.

    None where none of at most MOST_PERMUTATIONS minima does.
    """
    if not 0 < threshold < 1:
        return None
    for rows in range(MOST_PERMUTATIONS, 0, -1):
        share = threshold**rows
        if share * MOST_PERMUTATIONS < 1e-6:
            continue
        bands = max(1, math.ceil(math.log1p(-FOUND) / math.log1p(-share)))
        if bands * rows <= MOST_PERMUTATIONS:
            return Scheme(bands, rows)
    return None
