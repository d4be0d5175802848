"""Estimates of the similarity of 10,000 pairs: as exact as theory allows, and as those of datasketch."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from dolma_pipeline import _native
from tests import needs

PAIRS = 10_000
UNION = 100
"""Tokens that a pair has in all, each once."""
PERMUTATIONS = 112
Floats = npt.NDArray[np.float64]


def pairs() -> tuple[Floats, list[list[int]], list[list[int]]]:
    """The similarity of each pair, 0.05 to 0.95, and the tokens of its two sides."""
    rng = np.random.default_rng(20261130)
    shared = rng.integers(5, 96, PAIRS)
    tokens = rng.integers(0, 1 << 32, (PAIRS, UNION), dtype=np.int64)
    left, right = [], []
    for row, count in zip(tokens.tolist(), shared.tolist(), strict=True):
        middle = (UNION + count) // 2
        left.append(row[:middle])
        right.append(row[:count] + row[middle:])
    return shared / UNION, left, right


def deviations(first: npt.NDArray[Any], second: npt.NDArray[Any], similarity: Floats) -> Floats:
    """Estimate minus similarity, in standard errors sqrt(J (1 - J) / permutations)."""
    estimate = (first == second).mean(axis=1)
    return np.asarray((estimate - similarity) / np.sqrt(similarity * (1 - similarity) / PERMUTATIONS))


def signatures(sides: list[list[int]]) -> npt.NDArray[Any]:
    texts = pa.array([" ".join(map(str, side)) for side in sides])
    found = _native.minhash_signatures(texts, unit="words", ngram=1, permutations=PERMUTATIONS, seed=1)
    return np.asarray(found.flatten()).reshape(PAIRS, PERMUTATIONS)


def test_estimates_have_the_error_of_theory_and_of_datasketch() -> None:
    needs.module("datasketch")
    from datasketch import MinHash

    similarity, left, right = pairs()
    ours = deviations(signatures(left), signatures(right), similarity)
    options: dict[str, Any] = {"num_perm": PERMUTATIONS, "hashfunc": int}
    theirs = deviations(
        np.array([sketch.hashvalues for sketch in MinHash.bulk(left, **options)]),
        np.array([sketch.hashvalues for sketch in MinHash.bulk(right, **options)]),
        similarity,
    )
    for found in (ours, theirs):
        # The mean of 10,000 of them has a standard error of 0.01, their spread one of 0.007.
        assert abs(found.mean()) < 0.04
        assert abs(found.std() - 1) < 0.04
    assert abs(ours.mean() - theirs.mean()) < 0.05
    assert abs(ours.std() - theirs.std()) < 0.05
    # 2.6 in a thousand are beyond three standard errors where they spread as a normal distribution does.
    assert (np.abs(ours) > 3).mean() < 0.006
