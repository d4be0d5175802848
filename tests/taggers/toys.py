"""Small batches of documents, and columns as plain values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from dolma_pipeline.formats.documents import Documents

Shown = dict[str, Any]
"""attribute -> score, or [(start, end, score), ...]."""


def documents(texts: Sequence[str], raw: Sequence[bytes] | None = None) -> Documents:
    """Documents `d0`, `d1`, ... of source `toy`."""
    columns = {
        "id": pa.array([f"d{i}" for i in range(len(texts))], pa.large_string()),
        "text": pa.array(texts, pa.large_string()),
        "source": pa.array(["toy"] * len(texts), pa.large_string()),
        "line": pa.array(range(1, len(texts) + 1), pa.int64()),
    }
    if raw is not None:
        columns["raw"] = pa.array(raw, pa.large_binary())
    return Documents(pa.RecordBatch.from_pydict(columns))


def rows(columns: Mapping[str, pa.Array]) -> list[Shown]:
    """A dict per document, without its absent scores."""
    length = len(next(iter(columns.values())))
    found: list[Shown] = [{} for _ in range(length)]
    for name, column in columns.items():
        for row, value in zip(found, column.to_pylist(), strict=True):
            if isinstance(value, list):
                row[name] = [(s["start"], s["end"], s["score"]) for s in value]
            elif value is not None:
                row[name] = value
    return found
