"""Scratch files of near-duplicates: what is not one of these is refused, with what differs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from dolma_pipeline.dedupe.near_edges import Space, read_links, write_links
from dolma_pipeline.dedupe.near_files import Parts, divided, key_bounds, write_parts
from dolma_pipeline.dedupe.near_keys import SCHEMA, Hashing
from dolma_pipeline.errors import DataError

HASHING = Hashing(unit="words", ngram=5, bands=2, rows=3, seed=0)


def write_keys(path: Path, partitions: int = 2) -> Path:
    keys = np.array([1, 5, 1 << 63, (1 << 64) - 1], np.uint64)
    batch = pa.record_batch([pa.array(keys), pa.array([0, 1, 0, 1], pa.uint32())], schema=SCHEMA)
    header = HASHING.header() | {"partitions": partitions, "documents": 2}
    write_parts(str(path), divided(batch, key_bounds(keys, partitions)), SCHEMA, header)
    return path


def test_a_batch_for_each_partition(tmp_path: Path) -> None:
    for partitions, expected in ((1, [4]), (2, [2, 2]), (3, [2, 1, 1]), (64, [2, *[0] * 31, 1, *[0] * 30, 1])):
        file = Parts(str(write_keys(tmp_path / "a.keys", partitions)), HASHING.header())
        assert [file.batch(p).num_rows for p in range(len(file))] == expected
        assert file.header["documents"] == 2


def test_another_header(tmp_path: Path) -> None:
    path = write_keys(tmp_path / "a.keys")
    wanted = Hashing(unit="words", ngram=13, bands=2, rows=3, seed=4).header() | {"version": 0, "partitions": 2}
    with pytest.raises(DataError) as error:
        Parts(str(path), wanted)
    version = HASHING.header()["version"]
    assert str(error.value) == (
        f"{path}: expected the scratch file of a stage with the same settings, found another: `version` is {version} "
        "and not 0, `ngram` is 5 and not 13, `seed` is 0 and not 4; remove it and run again"
    )


def test_no_such_file(tmp_path: Path) -> None:
    path = tmp_path / "a.keys"
    path.write_bytes(b"text of another kind")
    with pytest.raises(
        DataError, match=r"a.keys: expected a scratch file of a near-duplicate stage, found another or a "
    ):
        Parts(str(path), {})
    with pa.ipc.new_file(path, SCHEMA):
        pass
    with pytest.raises(DataError) as error:
        Parts(str(path), {})
    assert str(error.value) == (
        f"{path}: expected a scratch file of a near-duplicate stage, found another or a damaged one: it has no header; "
        "remove it and run again"
    )


def test_a_truncated_file(tmp_path: Path) -> None:
    path = write_keys(tmp_path / "a.keys")
    whole = path.read_bytes()
    for length in range(0, len(whole), 7):
        path.write_bytes(whole[:length])
        with pytest.raises(DataError, match=r"a.keys: expected a scratch file of a near-duplicate stage"):
            Parts(str(path), {})


def test_a_partition_that_is_not_there(tmp_path: Path) -> None:
    path = write_keys(tmp_path / "a.keys")
    with pytest.raises(DataError, match=r"a.keys: expected the rows of partition 2, found a damaged file: "):
        Parts(str(path), {}).batch(2)


def test_links_of_a_range(tmp_path: Path) -> None:
    space = Space(documents=10, partitions=3)
    path = str(tmp_path / "a.links")
    write_links(path, np.array([9, 0, 4, 0], np.uint64), np.array([1, 3, 2, 3], np.uint64), space)
    parts = [
        list(zip(*(a.tolist() for a in read_links([path, path], space.header(), p)), strict=True)) for p in range(3)
    ]
    assert parts == [[(0, 3)], [(4, 2)], [(9, 1)]]
    with pytest.raises(DataError, match=r"found another: `documents` is 10 and not 11; "):
        read_links([path], Space(documents=11, partitions=3).header(), 0)


@pytest.mark.parametrize("most", [10_000, 2])
def test_many_files_are_not_mapped_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, most: int) -> None:
    monkeypatch.setattr("dolma_pipeline.dedupe.near_files.MOST_MAPPED", most)
    path = write_keys(tmp_path / "a.keys")
    before = len(list(Path("/proc/self/fd").iterdir()))
    batches = [Parts(str(path), HASHING.header(), files=300).batch(1) for _ in range(300)]
    assert len(list(Path("/proc/self/fd").iterdir())) < before + 10
    assert {str(path) in line for line in Path("/proc/self/maps").read_text().splitlines()} == {most > 300, False}
    assert {batch.num_rows for batch in batches} == {2}
