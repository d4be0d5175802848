"""Instances and their order, which is OLMo's."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dolma_pipeline.errors import ConfigError, DataError
from dolma_pipeline.train.data import Batches, Instances, epoch_order, read_manifest
from tests import needs
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


PACKED = {"by": "best_fit", "length": 4}


def test_packed_instances_have_masks(tmp_path: Path) -> None:
    mask = [[1, 1, 1, 1, 1, 1, 0, 0], [1, 0, 1, 0]]
    instances = Instances(write_tokens(tmp_path / "t", 8, 4, masks=mask, packed=PACKED), 4)
    assert instances.masked
    assert instances.read_mask(np.array([2, 0, 1])).tolist() == [
        [True, False, True, False],
        [True, True, True, True],
        [True, True, False, False],
    ]
    plain = Instances(write_tokens(tmp_path / "plain", 8), 4)
    assert not plain.masked
    assert plain.read_mask(np.array([1])).all()


def test_targets_are_masked_then_shifted(tmp_path: Path) -> None:
    """OLMo's get_labels: labels.masked_fill_(~label_mask, -100), then labels[..., 1:]."""
    torch = needs.module("torch")
    from dolma_pipeline.train.targets import make_batch

    mask = [[0, 1, 1, 0, 1, 0, 1, 1]]
    # An id that is that of padding is learnt where the mask says so.
    tokens = write_tokens(tmp_path / "t", 8, masks=mask, packed=PACKED, pad_token_id=6)
    ids, targets = make_batch(Instances(tokens, 4), np.array([0, 1]), torch.device("cpu"))
    assert ids.tolist() == [[0, 1, 2, 3], [4, 5, 6, 7]]
    assert targets.tolist() == [[1, 2, -100], [-100, 6, 7]]


def test_packed_for_another_length_is_not_trained_on(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as error:
        Instances(write_tokens(tmp_path / "t", 8, packed=PACKED), 8)
    assert str(error.value) == (
        f"{tmp_path / 't'}: expected instances of the sequence_length 8, found instances packed to 4; use "
        "`sequence_length: 4`, or pack with `length: 8`"
    )
    with pytest.raises(ConfigError) as error:
        Instances(write_tokens(tmp_path / "b", 8, packed={"by": "bucket", "length": 4}), 4)
    assert str(error.value) == (
        f"{tmp_path / 'b'}: expected instances of one length, 4, found buckets of several up to 4; pack with "
        "`by: best_fit` or `by: concatenate` and `length: 4`"
    )


def test_a_mask_of_another_length_is_an_error(tmp_path: Path) -> None:
    tokens = write_tokens(tmp_path / "t", 8, masks=[[1] * 7], packed=PACKED)
    with pytest.raises(DataError, match=r"part-00000\.mask: expected 8 bytes \(8 tokens of bool\), found 7"):
        Instances(tokens, 4)
    (tokens / "part-00000.mask").unlink()
    with pytest.raises(DataError, match=r"part-00000\.mask is not there, though the manifest names it"):
        Instances(tokens, 4)


def test_an_id_outside_of_the_vocabulary_is_an_error(tmp_path: Path) -> None:
    tokens = write_tokens(tmp_path / "t", 12)
    np.array([1, 2, 3, 4, 5, 6, 7, 99, 1, 1, 1, 1], dtype="<u2").tofile(tokens / "part-00000.npy")
    with pytest.raises(DataError, match=r"part-00000\.npy: token 7 is 99, outside of the vocabulary of 40 ids"):
        Instances(tokens, 4).read(np.array([1]))
