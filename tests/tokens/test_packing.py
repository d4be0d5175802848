"""Packing: exact places, the twin's, and what holds for any documents."""

from __future__ import annotations

from collections import Counter, defaultdict

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dolma_pipeline import _native
from dolma_pipeline.config.recipe import Pack
from dolma_pipeline.tokens.packing import Layout, kept_tokens, lay_out, packed_tokens
from tests.tokens import packing_twin as twin

LENGTHS = st.lists(st.integers(1, 40), max_size=60)


def layouts(lengths: list[int], pack: Pack, keys: list[int] | None = None) -> list[Layout]:
    """In input order, or shuffled by `keys`."""
    found = np.array(lengths, dtype=np.int64)
    order = "input" if keys is None else "shuffle"
    return lay_out(found, np.array(keys or [0] * len(found), dtype=np.uint64), pack, order)  # type: ignore[arg-type]


def shown(layout: Layout) -> list[list[twin.Piece]]:
    """Pieces by instance, in their places there."""
    found: list[list[twin.Piece]] = [[] for _ in range(layout.instances)]
    p = layout.pieces
    for i in np.argsort(layout.places).tolist():
        found[int(layout.places[i]) // layout.length].append((int(p.documents[i]), int(p.starts[i]), int(p.lengths[i])))
    return found


def test_the_native_packer_by_hand() -> None:
    # 7 opens an instance, so do 6 and 5; 4 goes to the 6, 3 to the 7, 2 to the 5.
    instances, offsets, openers = _native.pack_best_fit(pa.array([4, 2, 7, 5, 6, 3], pa.int64()), 10)
    assert instances.to_pylist() == [1, 2, 0, 2, 1, 0]
    assert offsets.to_pylist() == [0, 0, 0, 2, 4, 7]
    assert openers.to_pylist() == [2, 4, 3]


@pytest.mark.parametrize(
    ("lengths", "capacity", "text"),
    [
        ([1, 9], 8, "expected lengths from 1 to 8, found 9 at 1"),
        ([0], 8, "expected lengths from 1 to 8, found 0 at 0"),
        ([1], 0, "expected instances of 1 to 1048576 tokens, found 0"),
        ([1, None], 8, "expected at most 4294967295 lengths, none of them null"),
    ],
)
def test_what_cannot_be_packed_is_a_value_error(lengths: list[int | None], capacity: int, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        _native.pack_best_fit(pa.array(lengths, pa.int64()), capacity)
    with pytest.raises(ValueError, match="expected int64, found Int32"):
        _native.pack_best_fit(pa.array([1], pa.int32()), 8)


@settings(deadline=None, max_examples=200)
@given(lengths=st.lists(st.integers(1, 200), max_size=120), capacity=st.integers(1, 200))
def test_the_native_packer_is_its_twin(lengths: list[int], capacity: int) -> None:
    lengths = [min(n, capacity) for n in lengths]
    instances, offsets, openers = _native.pack_best_fit(pa.array(lengths, pa.int64()), capacity)
    assert instances.to_pylist() == twin.best_fit(lengths, capacity)
    filled: Counter[int] = Counter()
    for n, instance, offset in zip(lengths, instances.to_pylist(), offsets.to_pylist(), strict=True):
        assert offset == filled[instance]
        filled[instance] += n
    assert all(n <= capacity for n in filled.values())
    assert [instances.to_pylist()[i] for i in openers.to_pylist()] == list(range(len(openers)))


def test_best_fit() -> None:
    (found,) = layouts([4, 2, 7, 25, 6, 3], Pack(length=10))
    assert shown(found) == [
        [(2, 0, 7), (5, 0, 3)],
        [(3, 0, 10)],
        [(3, 10, 10)],
        [(1, 0, 2), (3, 20, 5)],
        [(0, 0, 4), (4, 0, 6)],
    ]
    assert (found.tokens, found.padding, found.fill().tolist()) == (50, 3, [10, 10, 10, 7, 10])


def test_long_documents_may_lose_their_tails() -> None:
    pack = Pack(length=10, long_documents="truncate")
    (found,) = layouts([4, 25, 6], pack)
    assert shown(found) == [[(1, 0, 10)], [(0, 0, 4), (2, 0, 6)]]
    assert kept_tokens(np.array([4, 25, 6]), pack).tolist() == [4, 10, 6]


def test_concatenation_is_cut_where_instances_end() -> None:
    (found,) = layouts([4, 25, 6, 5], Pack(length=10, by="concatenate"))
    assert shown(found) == [[(0, 0, 4), (1, 0, 6)], [(1, 6, 10)], [(1, 16, 9), (2, 0, 1)], [(2, 1, 5), (3, 0, 5)]]
    (found,) = layouts([4, 9], Pack(length=10, by="concatenate"))
    assert (shown(found), found.padding) == ([[(0, 0, 4), (1, 0, 6)], [(1, 6, 3)]], 7)


def test_buckets_hold_the_powers_of_two_of_a_length() -> None:
    pack = Pack(length=16, by="bucket", min_length=4)
    found = layouts([45, 3, 8], pack)
    assert {x.length: shown(x) for x in found} == {
        4: [[(0, 40, 4)], [(0, 44, 1)], [(1, 0, 3)]],
        8: [[(0, 32, 8)], [(2, 0, 8)]],
        16: [[(0, 0, 16)], [(0, 16, 16)]],
    }
    assert [x.padding for x in found] == [4, 0, 0]
    dropped = layouts([45, 3, 8], Pack(length=16, by="bucket", min_length=4, rest="drop"))
    assert [shown(x) for x in dropped] == [[[(0, 40, 4)]], *[shown(x) for x in found[1:]]]


def test_a_shuffle_goes_by_a_hash_of_the_longest_piece_of_an_instance() -> None:
    lengths = [3, 4, 6, 27, *range(1, 11), 60]
    keys = [n * n << 55 for n in range(15)]
    (found,) = layouts(lengths, Pack(length=10), keys)
    longest = [max(instance, key=lambda piece: piece[2]) for instance in shown(found)]
    hashes = [twin.piece_key(keys[document], start) for document, start, _ in longest]
    assert len(hashes) > 10
    assert hashes == sorted(hashes)


def test_instances_of_a_long_document_do_not_stand_in_a_row() -> None:
    keys = [i << 56 for i in range(100)]
    (found,) = layouts([4] * 50 + [400] + [4] * 49, Pack(length=4), keys)
    places = [i for i, (piece,) in enumerate(shown(found)) if piece[0] == 50]
    assert len(places) == 100
    assert max(places) - min(places) > 180
    assert 30 < sum(p < 100 for p in places) < 70


def test_the_beginning_of_a_file_is_as_full_as_its_end() -> None:
    """Instances of many short documents, and those of one long document, are everywhere."""
    rng = np.random.default_rng(1)
    lengths = np.minimum(256, 1 + rng.lognormal(4, 1.2, 20_000).astype(np.int64))
    keys = np.sort(rng.integers(0, 2**63, 20_000).astype(np.uint64))
    (found,) = lay_out(lengths, keys, Pack(length=256), "shuffle")
    counted = np.bincount(found.places // 256, minlength=found.instances)
    first, last = np.array_split(counted, 2)
    assert first.mean() == pytest.approx(last.mean(), rel=0.1)


@settings(deadline=None, max_examples=150)
@given(
    lengths=LENGTHS,
    seed=st.integers(0, 5),
    pack=st.sampled_from(
        [
            Pack(length=16),
            Pack(length=7),
            Pack(length=16, long_documents="truncate"),
            Pack(length=9, by="concatenate"),
            Pack(length=16, by="bucket", min_length=2),
            Pack(length=16, by="bucket", min_length=16),
            Pack(length=8, by="bucket", min_length=4, rest="drop"),
        ]
    ),
)
def test_each_token_has_one_place_and_instances_are_filled_from_the_front(
    lengths: list[int], seed: int, pack: Pack
) -> None:
    keys = None if seed == 0 else np.random.default_rng(seed).integers(0, 2**62, len(lengths)).tolist()
    found = layouts(lengths, pack, keys)
    covered: defaultdict[int, list[tuple[int, int]]] = defaultdict(list)
    for layout in found:
        assert layout.pieces.documents.tolist() == sorted(layout.pieces.documents.tolist())
        for instance in shown(layout):
            assert 0 < sum(n for _, _, n in instance) <= layout.length
            for document, start, n in instance:
                covered[document].append((start, n))
        ends = {int(p) % layout.length + int(n) for p, n in zip(layout.places, layout.pieces.lengths, strict=True)}
        starts = {int(p) % layout.length for p in layout.places}
        assert starts - {0} <= ends
        assert layout.fill().max() <= layout.length
    kept = kept_tokens(np.array(lengths, dtype=np.int64), pack).tolist()
    for document, n in enumerate(kept):
        edges = [0, *(start + size for start, size in sorted(covered[document]))]
        assert [start for start, _ in sorted(covered[document])] == edges[:-1]
        assert edges[-1] == n
        if pack.by != "concatenate":
            assert sorted(covered[document]) == twin.pieces(lengths[document], pack)
    assert sum(x.tokens for x in found) == packed_tokens(np.array(lengths, dtype=np.int64), pack)
    if pack.by == "best_fit":
        sizes = [size for n in lengths for _, size in twin.pieces(n, pack)]
        assert sum(x.instances for x in found) == len(set(twin.best_fit(sizes, pack.length)))
