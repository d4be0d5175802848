"""Columns of attributes as numpy sees them.

Every attribute of numbers is a list of spans with scores; a number for the document is one span over the whole text. So
what a rule says does not depend on which of the two forms a file holds (JSON lines know only spans). Texts and flags
are no numbers: they are there or not, and compared as what they are.
"""

from __future__ import annotations

from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

Floats: TypeAlias = npt.NDArray[np.float64]
Integers: TypeAlias = npt.NDArray[np.int64]


class Spans(NamedTuple):
    """The m spans of n documents, in the order of the documents; offsets in code points, half-open."""

    counts: Integers
    """Spans of each document, [n]."""
    start: Integers
    end: Integers
    score: Floats

    @property
    def row(self) -> Integers:
        """The document of each span, [m]."""
        return np.repeat(np.arange(len(self.counts)), self.counts)


def one_array(column: pa.Array | pa.ChunkedArray) -> pa.Array:
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column


def scores(column: pa.Array | pa.ChunkedArray) -> Floats | None:
    """The number of each document, NaN where it has none; None for an attribute of spans.

    Raises TypeError for texts and flags.
    """
    if column.null_count == len(column):
        return np.full(len(column), np.nan)
    if pa.types.is_floating(column.type) or pa.types.is_integer(column.type):
        return to_floats(column)
    if is_plain(column):
        raise TypeError(f"expected numbers or spans, found {column.type}")
    return None


def is_plain(column: pa.Array | pa.ChunkedArray) -> bool:
    """Whether these are texts or flags."""
    return bool(pa.types.is_large_string(column.type) or pa.types.is_boolean(column.type))


def there(column: pa.Array) -> npt.NDArray[np.bool_]:
    """Whether each document has a value that is no null."""
    return np.asarray(one_array(column).is_valid().to_numpy(zero_copy_only=False))


def to_floats(column: pa.Array | pa.ChunkedArray) -> Floats:
    """Numbers as float64, NaN for null; a whole number above 2^53 is rounded."""
    return np.asarray(one_array(column).cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False))


def to_integers(column: pa.Array | pa.ChunkedArray) -> Integers:
    """Whole numbers as int64; there must be no nulls."""
    return np.asarray(one_array(column).cast(pa.int64()).to_numpy(zero_copy_only=False))


def spans(column: pa.Array | pa.ChunkedArray, lengths: Integers | None = None) -> Spans:
    """The spans of a column; `lengths` (code points of each text) are needed of a document attribute only."""
    array = one_array(column)
    if (values := scores(array)) is not None:
        there = ~np.isnan(values)
        ends = np.zeros(len(values), np.int64) if lengths is None else lengths
        return Spans(there.astype(np.int64), np.zeros(int(there.sum()), np.int64), ends[there], values[there])
    counts = np.asarray(pc.fill_null(pc.list_value_length(array), 0).to_numpy(zero_copy_only=False), np.int64)
    items = array.flatten()

    def field(name: str) -> npt.NDArray[Any]:
        return np.asarray(items.field(name).to_numpy(zero_copy_only=False))

    start, end = (field(name).astype(np.int64, copy=False) for name in ("start", "end"))
    return Spans(counts, start, end, field("score"))


def count(column: pa.Array) -> Floats:
    """Spans of each document; a text or flag counts as one."""
    if is_plain(column):
        return there(column).astype(np.float64)
    if (values := scores(column)) is not None:
        return (~np.isnan(values)).astype(np.float64)
    return spans(column).counts.astype(np.float64)


def first(column: pa.Array) -> Floats:
    """The score of each document's first span: what Dolma's filters call `[0][2]`; NaN where there is none."""
    if (values := scores(column)) is not None:
        return values
    return _reduce(spans(column), lambda score, begins: score[begins])


def maximum(column: pa.Array) -> Floats:
    """The highest score of each document; NaN where there is none."""
    if (values := scores(column)) is not None:
        return values
    return _reduce(spans(column), np.fmax.reduceat)


def total(column: pa.Array) -> Floats:
    """The sum of the scores of each document; 0 where there are none."""
    if (values := scores(column)) is not None:
        return np.nan_to_num(values, nan=0.0)
    found = spans(column)
    sums = _reduce(found, np.add.reduceat)
    sums[found.counts == 0] = 0.0
    return sums


def present(column: pa.Array) -> npt.NDArray[np.bool_]:
    """Whether any span of each document has a score other than zero; a text that is not empty, a flag that is true."""
    if pa.types.is_large_string(column.type):
        return np.asarray(pc.fill_null(pc.not_equal(column, ""), False).to_numpy(zero_copy_only=False))
    if pa.types.is_boolean(column.type):
        return np.asarray(pc.fill_null(column, False).to_numpy(zero_copy_only=False))
    if (values := scores(column)) is not None:
        return np.asarray(~np.isnan(values) & (values != 0))
    found = spans(column)
    hits = np.where(np.isnan(found.score), 0.0, found.score) != 0
    found_any = _reduce(found._replace(score=hits.astype(np.float64)), np.fmax.reduceat)
    return np.asarray(found_any == 1.0)


def covered(column: pa.Array, lengths: Integers) -> Floats:
    """The share of each text's code points that spans cover, overlaps counted once; 0 of an empty text."""
    if (values := scores(column)) is not None:
        return (~np.isnan(values) & (lengths > 0)).astype(np.float64)
    found = spans(column)
    row, limit = found.row, int(lengths.max(initial=0)) + 1
    start = np.clip(found.start, 0, lengths[row]) + row * limit
    end = np.clip(found.end, 0, lengths[row]) + row * limit
    order = np.argsort(start, kind="stable")
    start, end = start[order], end[order]
    # Texts lie one behind the other, so one running maximum serves all of them: no span reaches into the next text.
    reached = np.maximum.accumulate(np.concatenate([[0], end]))[:-1]
    fresh = np.maximum(end - np.maximum(start, reached), 0)
    size = np.bincount(row[order], weights=fresh, minlength=len(lengths))
    return np.divide(size, lengths, out=np.zeros(len(lengths)), where=lengths > 0)


def _reduce(found: Spans, reduce: Any) -> Floats:
    """`reduce(scores, first span of each document that has any)`; NaN for the others."""
    result = np.full(len(found.counts), np.nan)
    there = found.counts > 0
    if there.any():
        begins = np.concatenate([[0], np.cumsum(found.counts[there])[:-1]])
        result[there] = reduce(found.score, begins)
    return result
