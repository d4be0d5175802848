"""Random numbers that a rerun draws again."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from dolma_pipeline import _native
from dolma_pipeline.formats.documents import Documents
from dolma_pipeline.taggers.registry import load_taggers
from tests.taggers.toys import documents


def numbers(count: int, seed: int | None = None) -> list[float]:
    ((_, column),) = load_taggers(["random_number_v1"], seed=seed).tag(documents(["x"] * count)).items()
    return column.to_pylist()  # type: ignore[no-any-return]


def test_numbers_depend_on_seed_and_place_only() -> None:
    assert numbers(3, 5) == numbers(9, 5)[:3] == [0.95492, 0.81346, 0.4359]
    assert numbers(3, 5) != numbers(3, 6)
    assert numbers(3) == numbers(3, 17)


def test_documents_of_one_id_have_numbers_of_their_own() -> None:
    same = documents(["x"] * 100)
    records = same.records.set_column(0, "id", pa.array(["same"] * 100, pa.large_string()))
    loaded = load_taggers(["random_number_v1"])
    ((_, first),) = loaded.tag(Documents(records, "a")).items()
    ((_, second),) = loaded.tag(Documents(records, "b")).items()
    assert len({*first.to_pylist(), *second.to_pylist()}) == 200


def test_numbers_are_uniform_and_their_own() -> None:
    found = np.array(numbers(20_000, 1))
    assert found.min() >= 0
    assert found.max() < 1
    assert abs(found.mean() - 0.5) < 0.01
    counts, _ = np.histogram(found, bins=10, range=(0, 1))
    assert counts.min() > 1800
    ids = pa.array([f"d{i}" for i in range(20_000)], pa.large_string())
    mixing = _native.keyed_hash(ids, 1).to_numpy() / 2.0**64
    assert abs(np.corrcoef(found, mixing)[0, 1]) < 0.03
