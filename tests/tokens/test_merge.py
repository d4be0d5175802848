"""The order over all shards: total, and the same however it is cut into chunks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dolma_pipeline.tokens.merge import Mark, Merge
from dolma_pipeline.tokens.shard import Order, ShardIndex, ShardWriter

KEYS = [0, 1, 2, 2**63, 2**64 - 1]


def merge(directory: Path, shards: list[list[tuple[int, int]]], order: Order) -> Merge:
    """Shards of (key, length); lines count from 1."""
    indexes = []
    for number, rows in enumerate(shards):
        writer = ShardWriter(str(directory / str(number)), label=str(number), dtype=np.dtype("u1"), order=order)
        keys = [k for k, _ in rows] if order == "shuffle" else range(len(rows))
        writer.add(
            pa.array([f"{number}.{i}" for i in range(len(rows))], pa.large_string()),
            np.arange(1, len(rows) + 1),
            np.array(keys, dtype=np.uint64),
            np.array([length for _, length in rows], dtype=np.int64),
            np.zeros(sum(length for _, length in rows), dtype=np.uint8),
        )
        indexes.append(ShardIndex(writer.finish()))
    return Merge(indexes, order)


def listed(merged: Merge, first: Mark | None = None, end: Mark | None = None, **limits: int) -> list[tuple[int, ...]]:
    """(key, shard, row) of all documents."""
    found: list[tuple[int, ...]] = []
    for chunk in merged.chunks(first, end, **limits):
        assert len(chunk) > 0
        found += list(zip(chunk.keys.tolist(), chunk.shards.tolist(), chunk.rows.tolist(), strict=True))
        for i in range(len(chunk)):
            assert chunk.mark(i) == Mark(*found[len(found) - len(chunk) + i])
    return found


corpora = st.lists(st.lists(st.tuples(st.sampled_from(KEYS), st.integers(1, 5)), max_size=6), min_size=1, max_size=4)


@pytest.mark.parametrize("order", ["shuffle", "input"])
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
@given(shards=corpora, documents=st.integers(1, 7), tokens=st.integers(1, 12), data=st.data())
def test_chunks_and_ranges_are_slices_of_one_total_order(
    tmp_path: Path, order: Order, shards: list[list[tuple[int, int]]], documents: int, tokens: int, data: st.DataObject
) -> None:
    merged = merge(tmp_path, shards, order)
    whole = listed(merged)
    if order == "shuffle":
        pairs = sorted((k, s, i) for s, rows in enumerate(shards) for i, (k, _) in enumerate(sorted_rows(rows)))
        assert whole == pairs
    else:
        assert [w[1:] for w in whole] == [(s, i) for s, rows in enumerate(shards) for i in range(len(rows))]
    assert listed(merged, documents=documents) == whole
    assert listed(merged, documents=documents, tokens=tokens) == whole
    if whole:
        a = data.draw(st.integers(0, len(whole) - 1))
        b = data.draw(st.integers(a, len(whole) - 1))
        assert listed(merged, Mark(*whole[a]), Mark(*whole[b]), documents=documents) == whole[a:b]
        assert listed(merged, Mark(*whole[b]), documents=documents) == whole[b:]


def sorted_rows(rows: list[tuple[int, int]]) -> list[tuple[int, int]]:
    return sorted(rows, key=lambda row: row[0])


def test_chunks_keep_their_limits(tmp_path: Path) -> None:
    keys = np.random.default_rng(0).integers(0, 2**64, 400, dtype=np.uint64).tolist()
    shards = [[(k, 1 + i % 9) for i, k in enumerate(keys[s::4])] for s in range(4)]
    merged = merge(tmp_path, shards, "shuffle")
    assert max(len(c) for c in merged.chunks(documents=30)) <= 30
    chunks = list(merged.chunks(documents=30, tokens=50))
    assert max(int(c.lengths.sum()) for c in chunks) <= 50
    assert sum(len(c) for c in chunks) == 400
    walked = list(merge(tmp_path, shards, "input").chunks(tokens=50))
    assert max(int(c.lengths.sum()) for c in walked) <= 50


def test_a_document_over_the_limit_is_a_chunk_of_its_own(tmp_path: Path) -> None:
    for order in ("shuffle", "input"):
        merged = merge(tmp_path, [[(1, 3), (2, 90), (3, 3)]], order)
        assert [c.lengths.tolist() for c in merged.chunks(tokens=10)] == [[3], [90], [3]]


def test_no_shards_and_no_documents(tmp_path: Path) -> None:
    assert list(Merge([], "shuffle").chunks()) == []
    assert list(merge(tmp_path, [[], []], "shuffle").chunks()) == []


def test_chunks_grow_with_the_number_of_shards() -> None:
    # So that of each shard enough is read at a time.
    sizes = [Merge([None] * n, "shuffle").chunk_tokens for n in (1, 256, 512, 1024, 100_000)]  # type: ignore[list-item]
    assert sizes == [1 << 22, 1 << 22, 1 << 23, 1 << 24, 1 << 24]
