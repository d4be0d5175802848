"""What one attribute file holds: the scores and the lengths of the spans of each attribute, and its texts and flags."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from msgspec import Struct

from dolma_pipeline import _native
from dolma_pipeline.engine.task import Context, Report
from dolma_pipeline.errors import DataError
from dolma_pipeline.formats.attributes import typed
from dolma_pipeline.formats.kinds import kind_of
from dolma_pipeline.formats.parquet_errors import named
from dolma_pipeline.io.arrow import open_parquet
from dolma_pipeline.io.atomic import read_msgpack, write_msgpack
from dolma_pipeline.io.cache import local_copy
from dolma_pipeline.mixers import attributes
from dolma_pipeline.stat.histogram import Histogram, Stored
from dolma_pipeline.stat.values import StoredValues, Values

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
    values: dict[str, StoredValues] = {}
    """The counts of texts and flags, by key."""


def summarize_file(config: SummarizeFile, context: Context) -> Report:
    """Counts every span of a file in one pass; memory is bounded by the buckets, not by the file."""
    wanted = re.compile(config.regex) if config.regex is not None else None
    tallies: dict[str, Histogram] = {}
    values: dict[str, Values] = {}
    unmeasured: dict[str, None] = {}
    odd = 0
    for key, found in columns_of(config.path):
        if wanted is not None and not wanted.search(key):
            continue
        if isinstance(found, Words):
            values.setdefault(key, Values(found.kind)).add(found.values)
            continue
        score = np.minimum(found.score, 1.0) if LABEL in key else found.score
        finite = np.isfinite(score)
        odd += int((~finite).sum())
        tallies.setdefault(f"{key}/score", Histogram()).add(score[finite])
        if found.length is None:
            unmeasured[key] = None
        else:
            tallies.setdefault(f"{key}/length", Histogram()).add(found.length[finite])
    summary = FileSummary(
        histograms={name: tally.stored() for name, tally in tallies.items() if tally.total},
        unmeasured=list(unmeasured),
        values={key: counts.stored() for key, counts in values.items() if counts.total},
    )
    written = write_msgpack(config.out, summary)
    warnings = [f"{config.path}: {odd} scores that are not finite were left out"] if odd else []
    return Report(outputs=[written], warnings=warnings)


def read_summary(path: str) -> FileSummary:
    summary: FileSummary = read_msgpack(path, FileSummary)
    return summary


class Numbers(NamedTuple):
    """The spans of an attribute in some rows."""

    score: npt.NDArray[np.float64]
    length: npt.NDArray[np.int64] | None
    """None where the file has only the scores."""


class Words(NamedTuple):
    """The texts or flags of an attribute in some rows; flags may be spelled."""

    kind: Literal["string", "bool"]
    values: pa.Array


def columns_of(path: str) -> Iterator[tuple[str, Numbers | Words]]:
    """Yields what a file has under each key, some rows at a time."""
    if path.endswith(".parquet"):
        yield from _parquet(path)
    else:
        yield from _lines(path)


def _lines(path: str) -> Iterator[tuple[str, Numbers | Words]]:
    scanner = _native.SpanScanner(str(local_copy(path)))
    while (batch := scanner.next_rows(ROWS)) is not None:
        key, start, end, score = (column.to_numpy() for column in batch.columns)
        # Spans of one key next to each other, each in its old order.
        order = np.argsort(key, kind="stable")
        edges = np.searchsorted(key[order], np.arange(len(scanner.keys) + 1))
        score, length = score[order], (end - start)[order]
        words = scanner.take_values()
        for number, (name, kind) in enumerate(zip(scanner.keys, scanner.kinds, strict=True)):
            if kind in ("string", "bool"):
                values = words.column("value").filter(pc.equal(words.column("key"), number))
                if len(values):
                    yield name, Words("bool" if kind == "bool" else "string", values)
                continue
            a, b = edges[number], edges[number + 1]
            if a < b:
                yield name, Numbers(score[a:b], length[a:b] if kind == "spans" else None)


def _parquet(path: str) -> Iterator[tuple[str, Numbers | Words]]:
    with named(path):
        for batch in open_parquet(path).iter_batches(batch_size=ROWS):
            batch = typed(path, batch)
            for name, column in zip(batch.schema.names, batch.columns, strict=True):
                if name != "id":
                    yield name, _column(path, name, column)


def _column(path: str, name: str, column: pa.Array) -> Numbers | Words:
    kind = kind_of(column.type)
    if kind == "string" or kind == "bool":
        return Words(kind, column)
    if kind is None and not pa.types.is_null(column.type):
        raise DataError(
            f"{path}: column `{name}`: expected scores, lists of spans, texts or booleans, found {column.type}"
        )
    if kind != "spans":
        values = attributes.to_floats(column)
        return Numbers(values[~np.isnan(values)], None)
    found = attributes.spans(column)
    return Numbers(found.score, found.end - found.start)
