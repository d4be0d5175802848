"""Parts: filled in order, never cut, never empty, the same from any number of chunks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dolma_pipeline.errors import StageError
from dolma_pipeline.task import Context
from dolma_pipeline.tokens.merge import Mark, Merge
from dolma_pipeline.tokens.parts import Part, PlanParts, choose_parts, plan_parts, read_parts, share
from dolma_pipeline.tokens.shard import ShardFiles, ShardIndex, ShardWriter


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
