"""Connected components: rounds of stars find what a plain search finds, and one task finds the same."""

from __future__ import annotations

import math
import random
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dolma_pipeline.dedupe.near_components import components_of, large_star, small_star
from dolma_pipeline.dedupe.near_edges import distinct, stars
from dolma_pipeline.dedupe.near_files import Ordinals, first_of, partition_of

Pairs = list[tuple[int, int]]


def searched(pairs: Pairs) -> dict[int, int]:
    """The smallest document that each is linked to over any number of others, by walking along the links."""
    beside: dict[int, set[int]] = {}
    for one, two in pairs:
        beside.setdefault(one, set()).add(two)
        beside.setdefault(two, set()).add(one)
    found: dict[int, int] = {}
    for start in sorted(beside):
        open_ = [start] if start not in found else []
        while open_:
            node = open_.pop()
            if node not in found:
                found[node] = start
                open_ += beside[node]
    return found


def both_ends(pairs: Pairs) -> tuple[Ordinals, Ordinals]:
    one, two = (np.array([pair[end] for pair in pairs], np.uint64) for end in (0, 1))
    return distinct(np.concatenate([one, two]), np.concatenate([two, one]))


def in_rounds(pairs: Pairs) -> tuple[dict[int, int], int]:
    """The components, and the number of rounds until one changed nothing."""
    nodes, others = both_ends(pairs)
    rounds = 0
    while True:
        rounds += 1
        large = large_star(nodes, others)
        small = small_star(*distinct(large.nodes, large.others))
        nodes, others = small.nodes, small.others
        nodes, others = distinct(np.concatenate([nodes, others]), np.concatenate([others, nodes]))
        if not large.changed + small.changed:
            break
    found: dict[int, int] = {}
    for node, other in zip(nodes.tolist(), others.tolist(), strict=True):
        found.setdefault(node, min(node, other))
    return found, rounds


LINKS = st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40)).filter(lambda p: p[0] != p[1]), max_size=60)


@settings(max_examples=300, deadline=None)
@given(LINKS)
def test_rounds_and_one_task_find_what_a_search_finds(pairs: Pairs) -> None:
    expected = searched(pairs)
    assert in_rounds(pairs)[0] == expected
    nodes, components = components_of(*both_ends(pairs))
    assert dict(zip(nodes.tolist(), components.tolist(), strict=True)) == expected


@pytest.mark.parametrize("shuffled", [False, True])
def test_a_chain_of_a_thousand(shuffled: bool) -> None:
    places = list(range(1000))
    if shuffled:
        random.Random(1).shuffle(places)
    found, rounds = in_rounds(list(pairwise(places)))
    assert found == dict.fromkeys(range(1000), 0)
    assert rounds == (9 if shuffled else 11)
    assert rounds < math.log2(1000) ** 2


def test_stars_of_keys() -> None:
    keys = np.array([5, 9, 5, 9, 5, 7, 1, 1], np.uint64)
    ordinals = np.array([3, 3, 8, 8, 4, 2, 6, 6], np.uint64)
    first, other = stars(keys, ordinals)
    assert list(zip(first.tolist(), other.tolist(), strict=True)) == [(3, 4), (3, 8)]


def test_pairs_of_large_numbers_are_sorted_and_distinct() -> None:
    far = (1 << 40) + 1
    nodes, others = distinct(np.array([far, 2, far, 2, far], np.uint64), np.array([3, far, 1, far, 3], np.uint64))
    assert list(zip(nodes.tolist(), others.tolist(), strict=True)) == [(2, far), (far, 1), (far, 3)]


@given(st.integers(1, 10**11), st.integers(1, 4096), st.data())
def test_partitions_are_ranges(documents: int, partitions: int, data: st.DataObject) -> None:
    ordinal = data.draw(st.integers(0, documents - 1))
    partition = partition_of(ordinal, documents, partitions)
    assert 0 <= partition < partitions
    assert first_of(partition, documents, partitions) <= ordinal < first_of(partition + 1, documents, partitions)
