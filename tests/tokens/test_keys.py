"""Keys: choices that hang on a document and a seed, and on nothing else."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from dolma_pipeline.tokens.keys import chosen, derived_seed, held_out, order_keys, sample_keys, sampled_copies


def strings(values: list[str]) -> pa.LargeStringArray:
    return pa.array(values, pa.large_string())


def integers(values: list[int]) -> pa.Int64Array:
    return pa.array(values, pa.int64())


IDS = strings([f"d{i}" for i in range(10_000)])


def test_a_key_hangs_on_id_file_line_and_seed() -> None:
    base = order_keys(strings(["a"]), "s/f", integers([1]), 17)[0]
    others = [
        order_keys(strings(["b"]), "s/f", integers([1]), 17)[0],
        order_keys(strings(["a"]), "s/g", integers([1]), 17)[0],
        order_keys(strings(["a"]), "s/f", integers([2]), 17)[0],
        order_keys(strings(["a"]), "s/f", integers([1]), 18)[0],
    ]
    assert len({int(k) for k in [base, *others]}) == 5


def test_a_key_does_not_hang_on_the_batch() -> None:
    lines = integers(list(range(10_000)))
    whole = order_keys(IDS, "s/f", lines, 17)
    assert np.array_equal(order_keys(IDS.slice(5000, 7), "s/f", lines.slice(5000, 7), 17), whole[5000:5007])


def test_keys_stay_what_they_are() -> None:
    assert derived_seed(17, "order") == 4_335_896_772_368_097_625
    assert order_keys(strings(["a"]), "s/f", integers([1]), 17).tolist() == [5_822_763_050_126_739_801]


def test_held_out_is_the_share_asked_for_and_grows_with_it() -> None:
    tenth, fifth = held_out(IDS, IDS, 0.1, 17), held_out(IDS, IDS, 0.2, 17)
    assert 900 < tenth.sum() < 1100
    assert 1850 < fifth.sum() < 2150
    assert not (tenth & ~fifth).any()
    assert not held_out(IDS, IDS, 0.0, 17).any()
    assert held_out(IDS, IDS, 1.0, 17).all()


def test_copies_are_held_out_together_and_equal_ids_apart() -> None:
    texts = strings([f"text {i // 2}" for i in range(10_000)])
    same = strings(["same"] * 10_000)
    for ids in (same, None):
        aside = held_out(ids, texts, 0.25, 17)
        assert 2_200 < aside.sum() < 2_800
        # Two copies have one id and one text.
        assert np.array_equal(aside[::2], aside[1::2])
    # The id counts as well as the text.
    assert 2_200 < held_out(IDS, strings(["one text"] * 10_000), 0.25, 17).sum() < 2_800


def test_chosen_at_the_ends_of_the_range() -> None:
    hashes = np.array([0, 2**63 - 1, 2**63, 2**64 - 1], dtype=np.uint64)
    assert chosen(hashes, 0.5).tolist() == [True, True, False, False]
    assert chosen(hashes, 1.0).tolist() == [True] * 4


def test_choices_for_different_purposes_are_independent() -> None:
    aside = held_out(IDS, IDS, 0.5, 17)
    drawn = chosen(sample_keys(IDS, 17), 0.5)
    assert 0.45 < (aside == drawn).mean() < 0.55


def test_copies_hang_on_id_file_line_and_seed() -> None:
    """Two documents that differ in any of these are drawn apart: both come in a quarter of the cases, not in half."""
    files, lines = strings(["f"] * 10_000), integers([1] * 10_000)
    base = sampled_copies(IDS, files, lines, 0.5, 17)
    assert set(base.tolist()) == {0, 1}
    others = [
        sampled_copies(strings([f"e{i}" for i in range(10_000)]), files, lines, 0.5, 17),
        sampled_copies(IDS, strings(["g"] * 10_000), lines, 0.5, 17),
        sampled_copies(IDS, files, integers([2] * 10_000), 0.5, 17),
        sampled_copies(IDS, files, lines, 0.5, 18),
    ]
    for other in others:
        assert 2_300 < int((base & other).sum()) < 2_700
    assert np.array_equal(
        sampled_copies(IDS.slice(50, 7), files.slice(50, 7), lines.slice(50, 7), 0.5, 17), base[50:57]
    )


def test_copies_are_the_rate_in_all() -> None:
    files, lines = strings(["f"] * 10_000), integers([1] * 10_000)
    assert sampled_copies(IDS, files, lines, 3, 17).tolist() == [3] * 10_000
    assert sampled_copies(IDS, files, lines, 0, 17).tolist() == [0] * 10_000
    found = sampled_copies(IDS, files, lines, 2.25, 17)
    assert set(found.tolist()) == {2, 3}
    assert 22_200 < int(found.sum()) < 22_800
