"""Histograms: the twin counts value by value, as Dolma does; parts add up to the whole."""

from __future__ import annotations

import math
import random
from collections import Counter

import numpy as np
import pytest

from dolma_pipeline.stat.histogram import Histogram, Summary, parts


def twin(values: list[float]) -> list[tuple[float, int]]:
    """(lower bound, count) of each bucket."""
    counts = Counter((math.floor(math.frexp(v)[0] * 100_000), math.frexp(v)[1]) for v in values)
    return sorted((m / 100_000 * 2**e, n) for (m, e), n in counts.items())


def numbers(seed: int) -> list[float]:
    rng = random.Random(seed)
    exact = [0.0, -0.0, 1.0, -1.0, 67.0, 0.1, -0.25, 1e-300, 1e300, 5e-324]
    return exact + [round(rng.gauss(0, 10 ** rng.randint(-4, 6)), 5) for _ in range(3000)]


def histogram(values: list[float]) -> Histogram:
    made = Histogram()
    made.add(np.asarray(values))
    return made


def test_buckets_are_those_of_the_twin() -> None:
    values = numbers(1)
    lower, counts = histogram(values).buckets()
    assert list(zip(lower.tolist(), counts.tolist(), strict=True)) == twin(values)


def test_parts_add_up_to_the_whole_and_survive_the_disk() -> None:
    values = numbers(2)
    whole, sum_ = Histogram(), 0.0
    for i in range(0, len(values), 700):
        whole.merge(Histogram.of(histogram(values[i : i + 700]).stored()))
    for value in values:
        sum_ += value
    once = histogram(values)
    assert whole.codes.tolist() == once.codes.tolist()
    assert whole.counts.tolist() == once.counts.tolist()
    assert whole.total == len(values)
    assert once.sum == sum_


def test_whole_numbers_add_up_exactly() -> None:
    made = Histogram()
    made.add(np.asarray([2**53, 1, 1]))
    assert (made.sum, type(made.sum)) == (2**53 + 2, int)


def test_summary_of_few_buckets_has_them_all() -> None:
    assert histogram([3.0, 67.0, -0.25, 3.0]).summary("n", 1000) == Summary(
        "n", [1, 2, 1], [-0.25, 3.0, 66.99904, 67.00032], 4, 72.75
    )


def test_summary_of_many_buckets_has_equal_widths() -> None:
    made = histogram([float(v) for v in range(100)]).summary("n", 10)
    assert made.counts == [10] * 10
    assert made.bins == pytest.approx([9.9 * i for i in range(11)], abs=0.01)


def test_ranges_of_about_equal_counts() -> None:
    edges, counts = [0.0, 1.0, 2.0, 3.0, 4.0, 5.0], [50, 10, 10, 10, 20]
    assert parts(edges, counts, 4) == [(0.0, 1.0, 50), (1.0, 4.0, 30), (4.0, 5.0, 20)]
    assert parts([7.0, 7.1], [3], 10) == [(7.0, 7.1, 3)]
