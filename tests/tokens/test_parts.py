"""Parts: filled in order, never cut, never empty, the same from any number of chunks."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dolma_pipeline.config.recipe import Pack
from dolma_pipeline.engine.task import Context
from dolma_pipeline.errors import StageError
from dolma_pipeline.tokens.merge import Chunk, Mark, Merge
from dolma_pipeline.tokens.packing import packed_tokens
from dolma_pipeline.tokens.parts import (
    Part,
    PlanParts,
    choose_parts,
    plan_packed_parts,
    plan_parts,
    read_parts,
    share,
)
from dolma_pipeline.tokens.shard import Order, ShardFiles, ShardIndex, ShardWriter


def shard(base: Path, lengths: list[int], dtype: str = "u1") -> ShardFiles:
    """In input order, documents of these lengths."""
    writer = ShardWriter(str(base), label=base.name, dtype=np.dtype(dtype), order="input")
    writer.add(
        pa.array([str(i) for i in range(len(lengths))], pa.large_string()),
        np.arange(1, len(lengths) + 1),
        np.arange(1, len(lengths) + 1).astype(np.uint64),
        np.array(lengths, dtype=np.int64),
        np.zeros(sum(lengths), dtype=np.dtype(dtype)),
    )
    return writer.finish()


def sizes(parts: list[Part]) -> list[tuple[int, int]]:
    return [(p.documents, p.tokens) for p in parts]


@pytest.mark.parametrize(
    ("lengths", "expected"),
    [
        ([3, 3, 4], [(3, 10)]),
        ([3, 3, 4, 1], [(3, 10), (1, 1)]),
        ([3, 3, 5, 5, 6], [(2, 6), (2, 10), (1, 6)]),
        ([10, 10], [(1, 10), (1, 10)]),
        ([11], [(1, 11)]),
        ([2, 25, 2], [(1, 2), (1, 25), (1, 2)]),
        ([25, 30, 1], [(1, 25), (1, 30), (1, 1)]),
        ([], []),
    ],
)
def test_filled_until_the_next_document_would_not_fit(
    tmp_path: Path, lengths: list[int], expected: list[tuple[int, int]]
) -> None:
    assert sizes(plan_parts(Merge([ShardIndex(shard(tmp_path / "a", lengths))], "input"), 10)) == expected


@pytest.mark.parametrize(("max_bytes", "expected"), [(None, 1), (20, 1), (19, 2), (12, 2), (11, 3), (1, 4)])
def test_bytes_limit_a_file_where_that_is_fewer(tmp_path: Path, max_bytes: int | None, expected: int) -> None:
    files = [shard(tmp_path / "a", [3, 3, 2, 2], "<u2")]
    plan = PlanParts(shards=files, order="input", max_tokens=10, max_bytes=max_bytes, path=str(tmp_path / "plan.json"))
    assert choose_parts(plan, Context()).details["parts"] == expected


def test_marks_follow_one_another_over_shards(tmp_path: Path) -> None:
    shards = [ShardIndex(shard(tmp_path / n, s)) for n, s in (("a", [4, 4]), ("b", []), ("c", [4, 4]))]
    assert plan_parts(Merge(shards, "input"), 12) == [
        Part(first=Mark(1, 0, 0), end=Mark(2, 2, 1), documents=3, tokens=12),
        Part(first=Mark(2, 2, 1), end=None, documents=1, tokens=4),
    ]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
@given(lengths=st.lists(st.integers(1, 15), max_size=30), most=st.integers(1, 20), chunk=st.integers(1, 9))
def test_as_one_document_after_the_other(tmp_path: Path, lengths: list[int], most: int, chunk: int) -> None:
    expected: list[list[int]] = []
    for n in lengths:
        if expected and sum(expected[-1]) + n <= most:
            expected[-1].append(n)
        else:
            expected.append([n])
    merged = Merge([ShardIndex(shard(tmp_path / "a", lengths))], "input")
    found = plan_parts(_Chunked(merged, chunk), most)  # type: ignore[arg-type]
    assert sizes(found) == [(len(p), sum(p)) for p in expected]


class _Chunked:
    """A merge in chunks of another size."""

    def __init__(self, merged: Merge, documents: int) -> None:
        self._merged = merged
        self._documents = documents

    def chunks(self) -> object:
        return self._merged.chunks(documents=self._documents)


def test_the_plan_is_written_with_the_digests_of_its_shards(tmp_path: Path) -> None:
    files = [shard(tmp_path / "a", [4, 4]), shard(tmp_path / "b", [4])]
    path = str(tmp_path / "parts.json")
    report = choose_parts(PlanParts(shards=files, order="input", max_tokens=8, path=path), Context())
    assert report.details == {"parts": 2}
    assert [o.path for o in report.outputs] == [path]
    plan = read_parts(path)
    assert (plan.order, plan.shards, sizes(plan.parts)) == ("input", files, [(2, 8), (1, 4)])
    assert len(plan.shards[0].tokens.blake3) == 64


@given(lengths=st.lists(st.integers(0, 30), max_size=40), files=st.integers(1, 8))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=40)
def test_no_more_files_than_asked_for(tmp_path_factory: pytest.TempPathFactory, lengths: list[int], files: int) -> None:
    work = tmp_path_factory.mktemp("share")
    indexes = [ShardIndex(shard(work / "a", lengths))]
    found = plan_parts(Merge(indexes, "input"), share(indexes, files))
    assert len(found) <= files
    assert sum(p.tokens for p in found) == sum(lengths)


def test_shards_of_two_types_do_not_go_together(tmp_path: Path) -> None:
    files = [shard(tmp_path / "a", [4]), shard(tmp_path / "b", [4], "<u2")]
    with pytest.raises(StageError, match=r"p\.json: expected shards of one type, found uint16, uint8; encode"):
        choose_parts(PlanParts(shards=files, order="input", max_tokens=8, path=str(tmp_path / "p.json")), Context())


@pytest.mark.parametrize(
    ("lengths", "pack", "expected"),
    [
        # Two of 6 do not fit an instance of 10: three instances hold no more than three documents.
        ([6] * 7, Pack(length=10), [(3, 18, 30), (3, 18, 30), (1, 6, 10)]),
        ([6, 4, 6, 4, 6, 4, 6, 4], Pack(length=10), [(6, 30, 30), (2, 10, 10)]),
        ([35, 2], Pack(length=10), [(1, 35, 40), (1, 2, 10)]),
        ([35, 2], Pack(length=10, long_documents="truncate"), [(2, 37, 20)]),
        ([25, 6, 35], Pack(length=10, by="concatenate"), [(1, 25, 30), (1, 6, 10), (1, 35, 40)]),
        ([15, 1, 16], Pack(length=8, by="bucket", min_length=4), [(2, 16, 20), (1, 16, 16)]),
        ([15, 5, 16, 4], Pack(length=8, by="bucket", min_length=4, rest="drop"), [(2, 20, 16), (2, 20, 20)]),
        ([], Pack(length=10), []),
    ],
)
def test_a_packed_part_counts_its_padding(
    tmp_path: Path, lengths: list[int], pack: Pack, expected: list[tuple[int, int, int]]
) -> None:
    merge = Merge([ShardIndex(shard(tmp_path / "a", lengths))], "input")
    assert [(p.documents, p.tokens, p.packed) for p in plan_packed_parts(merge, pack, 30)] == expected


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
@given(
    lengths=st.lists(st.integers(1, 30), max_size=40),
    most=st.integers(16, 90),
    chunk=st.integers(1, 9),
    pack=st.sampled_from(
        [Pack(length=16), Pack(length=9, by="concatenate"), Pack(length=16, by="bucket", min_length=4)]
    ),
)
def test_packed_parts_follow_one_another_whatever_the_chunks(
    tmp_path: Path, lengths: list[int], most: int, chunk: int, pack: Pack
) -> None:
    merge = Merge([ShardIndex(shard(tmp_path / n, lengths[i::2])) for i, n in enumerate("ab")], "input")
    found = plan_packed_parts(merge, pack, most, documents=chunk)
    assert found == plan_packed_parts(merge, pack, most)
    assert sum(p.documents for p in found) == len(lengths)
    assert [p.first for p in found[1:]] == [p.end for p in found[:-1]]
    assert not found or found[-1].end is None
    for part in found:
        inside = np.concatenate([c.lengths for c in merge.chunks(part.first, part.end)])
        assert (len(inside), inside.sum(), packed_tokens(inside, pack)) == (part.documents, part.tokens, part.packed)
        assert part.packed <= most or part.documents == 1


def test_packed_parts_are_nearly_full(tmp_path: Path) -> None:
    lengths = 1 + np.random.default_rng(1).lognormal(4, 1.2, 20_000).astype(np.int64) % 3000
    merge = Merge([ShardIndex(shard(tmp_path / "a", lengths.tolist()))], "input")
    found = plan_packed_parts(merge, Pack(length=256), 256 * 1000)
    assert len(found) > 8
    assert all(0.97 * 256_000 < p.packed <= 256_000 for p in found[:-1])


class CountingMerge(Merge):
    """Counts the documents that it hands out."""

    handed_out = 0

    def chunks(self, *arguments: Any, **options: Any) -> Iterator[Chunk]:
        for chunk in super().chunks(*arguments, **options):
            self.handed_out += len(chunk)
            yield chunk


@pytest.mark.parametrize("order", ["input", "shuffle"])
def test_planning_small_packed_parts_takes_each_document_a_few_times(tmp_path: Path, order: Order) -> None:
    """And not all that are left for each part: 250 parts of 2,000 documents were half a million."""
    merge = CountingMerge([ShardIndex(shard(tmp_path / "a", [3] * 2000))], order)
    found = plan_packed_parts(merge, Pack(length=8), 32)
    assert (len(found), sum(p.documents for p in found)) == (250, 2000)
    assert merge.handed_out <= 2000 + 4 * 2000
