"""Real documents with copies of known kinds: what is found, and that nothing else is marked."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.near_duplicates import THRESHOLD, jaccard, make, measure, originals, shingles
from dolma_pipeline.formats.documents import read_documents


@pytest.mark.data
def test_copies_of_real_documents(shared_data: Path, tmp_path: Path) -> None:
    texts = originals(sorted(map(str, shared_data.glob("*/documents/*.jsonl.gz"))), 800)
    pairs = make(tmp_path, texts)
    rows, _ = measure(tmp_path, {"memory": 0})
    marked = {id: row["duplicate_of"] for id, row in rows.items() if row["duplicate"] is not None}
    alike = {copy: original for copy, (_, original, similarity) in pairs.items() if similarity >= THRESHOLD}
    found = sum(copy in marked or original in marked for copy, original in alike.items())
    assert len(alike) > 300
    assert found / len(alike) >= 0.99
    exact = {copy: original for copy, (kind, original, _) in pairs.items() if kind == "exact copy"}
    assert all(copy in marked or original in marked for copy, original in exact.items())
    # Words of others may by chance be the document's own.
    unlike = {copy: original for copy, (_, original, similarity) in pairs.items() if similarity < THRESHOLD}
    assert len(unlike) > 300
    assert [c for c, original in unlike.items() if marked.get(c) == original or marked.get(original) == c] == []


@pytest.mark.data
def test_what_is_marked_is_as_similar_as_the_rule_says(shared_data: Path, tmp_path: Path) -> None:
    texts = originals(sorted(map(str, shared_data.glob("*/documents/*.jsonl.gz"))), 400)
    make(tmp_path, texts)
    rows, _ = measure(tmp_path, {})
    sets = {}
    for path in sorted((tmp_path / "documents").iterdir()):
        for batch in read_documents(path):
            for id, text in zip(batch.id.to_pylist(), batch.text.to_pylist(), strict=True):
                sets[id] = shingles(text)
    for id, row in rows.items():
        if row["duplicate"] is not None:
            assert row["similarity"] == jaccard(sets[id], sets[row["duplicate_of"]]) >= THRESHOLD
            assert rows[row["duplicate_of"]]["duplicate"] is None
