"""Encoded shards: sorted by key on disk, read back by range."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from dolma_pipeline.errors import DataError
from dolma_pipeline.tokens import shard
from dolma_pipeline.tokens.shard import Order, ShardFiles, ShardIndex, ShardWriter
from tests import needs

DTYPE = np.dtype("<u2")


def write(base: Path, rows: list[tuple[str, int, int, list[int]]], order: Order = "shuffle") -> ShardFiles:
    """Rows of id, line, key and tokens, in batches of two."""
    writer = ShardWriter(str(base), label="s/f", dtype=DTYPE, order=order)
    for i in range(0, len(rows), 2):
        ids, lines, keys, tokens = zip(*rows[i : i + 2], strict=True)
        writer.add(
            pa.array(ids, pa.large_string()),
            np.array(lines, dtype=np.int64),
            np.array(keys, dtype=np.uint64),
            np.array([len(t) for t in tokens], dtype=np.int64),
            np.array([i for t in tokens for i in t], dtype=DTYPE),
        )
    return writer.finish()


ROWS = [("x", 1, 2**64 - 1, [1, 2, 3]), ("y", 2, 7, [4]), ("z", 4, 7, [5, 6]), ("x", 5, 0, [7, 8, 9, 10])]


@pytest.mark.parametrize("copy_tokens", [1, 3, 1000])
def test_sorted_by_key_with_equal_keys_in_input_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, copy_tokens: int
) -> None:
    monkeypatch.setattr(shard, "COPY_TOKENS", copy_tokens)
    files = write(tmp_path / "a", ROWS)
    assert np.fromfile(files.tokens.path, DTYPE).tolist() == [7, 8, 9, 10, 4, 5, 6, 1, 2, 3]
    index = ShardIndex(files)
    assert (index.label, index.dtype, len(index)) == ("s/f", DTYPE, 4)
    assert index.keys.tolist() == [0, 7, 7, 2**64 - 1]
    assert index.ids.to_pylist() == ["x", "y", "z", "x"]
    assert (index.lines.tolist(), index.lengths.tolist()) == ([5, 2, 4, 1], [4, 1, 2, 3])
    assert [index.token_position(i) for i in range(5)] == [0, 4, 5, 7, 10]
    assert index.read(1, 3).tolist() == [4, 5, 6]
    assert index.read(2, 2).tolist() == []


def test_input_order_stays(tmp_path: Path) -> None:
    files = write(tmp_path / "a", [(i, line, line, t) for i, line, _, t in ROWS], "input")
    assert np.fromfile(files.tokens.path, DTYPE).tolist() == list(range(1, 11))
    assert ShardIndex(files).ids.to_pylist() == ["x", "y", "z", "x"]


def test_an_empty_shard(tmp_path: Path) -> None:
    index = ShardIndex(write(tmp_path / "a", []))
    assert len(index) == 0
    assert index.read(0, 0).tolist() == []


def test_nothing_but_the_two_files_remains(tmp_path: Path) -> None:
    write(tmp_path / "a", ROWS)
    writer = ShardWriter(str(tmp_path / "b"), label="s/f", dtype=DTYPE, order="shuffle")
    writer.abort()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.arrow", "a.tokens"]


def test_files_that_are_not_those_of_a_shard(tmp_path: Path) -> None:
    files = write(tmp_path / "a", ROWS)
    index = ShardIndex(files)
    with Path(files.tokens.path).open("r+b") as file:
        file.truncate(12)
    with pytest.raises(DataError, match=r"a\.tokens: expected 7 tokens or more, found 6; encode the shard again"):
        index.read(1, 3)
    Path(files.index.path).write_bytes(b"ARROW1")
    with pytest.raises(DataError, match=r"a\.arrow: expected the index of an encoded shard: "):
        ShardIndex(files)
    with pa.OSFile(files.index.path, "wb") as sink, pa.ipc.new_file(sink, pa.schema([("id", pa.int8())])) as writer:
        writer.write_batch(pa.RecordBatch.from_pydict({"id": pa.array([1], pa.int8())}))
    with pytest.raises(DataError, match=r"a\.arrow: expected the index of an encoded shard, found another Arrow file"):
        ShardIndex(files)


def test_shards_that_are_open_need_no_file_descriptors(tmp_path: Path) -> None:
    descriptors = Path("/proc/self/fd")
    if not descriptors.is_dir():
        needs.skip("no /proc", "Linux")
    files = write(tmp_path / "a", ROWS)
    before = len(list(descriptors.iterdir()))
    indexes = [ShardIndex(files) for _ in range(50)]
    assert len(list(descriptors.iterdir())) == before
    assert indexes[49].keys.tolist() == [0, 7, 7, 2**64 - 1]
