"""Instances and their order, which is OLMo's."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dolma_pipeline.errors import ConfigError, DataError
from dolma_pipeline.train.data import Batches, Instances, epoch_order, read_manifest
from tests.train.train_toys import write_tokens


def test_instances_are_cut_per_file_and_tails_left_out(tmp_path: Path) -> None:
    instances = Instances(write_tokens(tmp_path / "t", 10, 3, 9), 4)
    assert len(instances) == 4
    assert instances.read(np.array([0, 3, 2])).tolist() == [[0, 1, 2, 3], [6, 7, 8, 9], [2, 3, 4, 5]]
    assert [(f.path, start) for f, start in map(instances.locate, range(4))] == [
        ("part-00000.npy", 0),
        ("part-00000.npy", 4),
        ("part-00002.npy", 0),
        ("part-00002.npy", 4),
    ]


def test_the_order_is_that_of_numpys_pcg64() -> None:
    """OLMo shuffles arange(n, dtype=uint32) with Generator(PCG64(seed + epoch))."""
    order = [6, 4, 2, 7, 9, 1, 8, 5, 3, 0]
    assert epoch_order(10, 6198, 2, 4, drop_last=True).tolist() == order[:8]
    assert epoch_order(10, 6198, 2, 4, drop_last=False).tolist() == [*order, *order[:2]]


def test_ranks_share_a_batch_and_an_epoch_visits_each_instance_once() -> None:
    batches = Batches(12, 4, seed=1)
    first = [batches.batch(step).tolist() for step in (1, 2, 3)]
    assert sorted(i for batch in first for i in batch) == list(range(12))
    assert batches.batch(4).tolist() != first[0]
    assert batches.part(2, 0, 2).tolist() == first[1][0::2]
    assert batches.part(2, 1, 2).tolist() == first[1][1::2]


def test_what_is_wrong_is_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"expected a directory of tokens, found no manifest\.json in it"):
        read_manifest(tmp_path)
    short = write_tokens(tmp_path / "short", 5, 7)
    with pytest.raises(ConfigError, match="no file holds an instance of 8 tokens; the longest has 7"):
        Instances(short, 8)
    with pytest.raises(ConfigError, match="an epoch of 2 instances has no whole batch of 3; use a batch_size of at mo"):
        Batches(2, 3, seed=0)
    (short / "part-00001.npy").write_bytes(b"\1\0")
    with pytest.raises(DataError, match=r"part-00001\.npy: expected 14 bytes \(7 tokens of uint16\), found 2"):
        Instances(short, 4)


def test_an_id_outside_of_the_vocabulary_is_an_error(tmp_path: Path) -> None:
    tokens = write_tokens(tmp_path / "t", 12)
    np.array([1, 2, 3, 4, 5, 6, 7, 99, 1, 1, 1, 1], dtype="<u2").tofile(tokens / "part-00000.npy")
    with pytest.raises(DataError, match=r"part-00000\.npy: token 7 is 99, outside of the vocabulary of 40 ids"):
        Instances(tokens, 4).read(np.array([1]))
