"""Columns of spans from plain arrays."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from dolma_pipeline import _native
from dolma_pipeline.formats.attributes import SPANS


def spans(
    rows: npt.ArrayLike, starts: npt.ArrayLike, ends: npt.ArrayLike, scores: npt.ArrayLike, count: int
) -> pa.ListArray:
    """list<struct<start, end, score>> of `count` documents from spans in the order of their rows; five decimals."""
    offsets = np.zeros(count + 1, np.int32)
    np.cumsum(np.bincount(np.asarray(rows, np.int64), minlength=count), out=offsets[1:])
    values = [
        pa.array(np.asarray(starts, np.int64)),
        pa.array(np.asarray(ends, np.int64)),
        _native.round_scores(pa.array(np.asarray(scores, np.float64))),
    ]
    item = SPANS.value_type
    return pa.ListArray.from_arrays(
        pa.array(offsets), pa.StructArray.from_arrays(values, fields=list(item)), type=SPANS
    )
