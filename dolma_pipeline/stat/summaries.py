"""The histograms of one attribute file: of each attribute the scores and the lengths of its spans."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from msgspec import Struct

from dolma_pipeline import _native
from dolma_pipeline.engine.task import Context, Report
from dolma_pipeline.errors import DataError
from dolma_pipeline.formats.parquet_errors import named
from dolma_pipeline.io.arrow import open_parquet
from dolma_pipeline.io.atomic import read_msgpack, write_msgpack
from dolma_pipeline.io.cache import local_copy
from dolma_pipeline.mixers import attributes
from dolma_pipeline.stat.histogram import Histogram, Stored

ROWS = 16_384
"""Read at a time."""
LABEL = "__label__"
"""In the key of a fastText score, which may be a little over 1: it counts as 1, as in Dolma."""


class SummarizeFile(Struct, frozen=True, kw_only=True):
    """An attribute file, and where its histograms go."""

    path: str
    regex: str | None
    out: str


class FileSummary(Struct, frozen=True, kw_only=True):
    """The histograms of a file by name, `<key>/score` and `<key>/length`, in order of appearance."""

    histograms: dict[str, Stored]
    unmeasured: list[str]
    """Attributes of which only the scores are known: document attributes in Parquet have no spans."""


def summarize_file(config: SummarizeFile, context: Context) -> Report:
    """Counts every span of a file in one pass; memory is bounded by the buckets, not by the file."""
    wanted = re.compile(config.regex) if config.regex is not None else None
    tallies: dict[str, Histogram] = {}
    unmeasured: dict[str, None] = {}
    odd = 0
    for key, score, length in spans_by_key(config.path):
        if wanted is not None and not wanted.search(key):
            continue
        if LABEL in key:
            score = np.minimum(score, 1.0)
        finite = np.isfinite(score)
        odd += int((~finite).sum())
        tallies.setdefault(f"{key}/score", Histogram()).add(score[finite])
        if length is None:
            unmeasured[key] = None
        else:
            tallies.setdefault(f"{key}/length", Histogram()).add(length[finite])
    summary = FileSummary(
        histograms={name: tally.stored() for name, tally in tallies.items() if tally.total},
        unmeasured=list(unmeasured),
    )
    written = write_msgpack(config.out, summary)
    warnings = [f"{config.path}: {odd} scores that are not finite were left out"] if odd else []
    return Report(outputs=[written], warnings=warnings)


def read_summary(path: str) -> FileSummary:
    summary: FileSummary = read_msgpack(path, FileSummary)
    return summary


def spans_by_key(path: str) -> Iterator[tuple[str, npt.NDArray[np.float64], npt.NDArray[np.int64] | None]]:
    """(key, scores, lengths) of the spans of a file, some rows at a time; no lengths where the file has none."""
    if path.endswith(".parquet"):
        yield from _parquet(path)
    else:
        yield from _lines(path)


def _lines(path: str) -> Iterator[tuple[str, npt.NDArray[np.float64], npt.NDArray[np.int64] | None]]:
    scanner = _native.SpanScanner(str(local_copy(path)))
    while (batch := scanner.next_rows(ROWS)) is not None:
        key, start, end, score = (column.to_numpy() for column in batch.columns)
        # Spans of one key next to each other, each in its old order.
        order = np.argsort(key, kind="stable")
        edges = np.searchsorted(key[order], np.arange(len(scanner.keys) + 1))
        score, length = score[order], (end - start)[order]
        for number, name in enumerate(scanner.keys):
            a, b = edges[number], edges[number + 1]
            if a < b:
                yield name, score[a:b], length[a:b]


def _parquet(path: str) -> Iterator[tuple[str, npt.NDArray[np.float64], npt.NDArray[np.int64] | None]]:
    with named(path):
        for batch in open_parquet(path).iter_batches(batch_size=ROWS):
            for name, column in zip(batch.schema.names, batch.columns, strict=True):
                if name != "id":
                    yield (name, *_column(path, name, column))


def _column(path: str, name: str, column: Any) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64] | None]:
    if (values := attributes.scores(column)) is not None:
        return values[~np.isnan(values)], None
    if not pa.types.is_list(column.type) and not pa.types.is_large_list(column.type):
        raise DataError(f"{path}: column `{name}`: expected scores or lists of spans, found {column.type}")
    found = attributes.spans(column)
    return found.score, found.end - found.start
