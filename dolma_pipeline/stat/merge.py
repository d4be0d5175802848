"""The measures of all files and shards as one: what a stat stage writes."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import msgspec
from msgspec import Struct

from dolma_pipeline import _native
from dolma_pipeline.engine.task import Context, Output, Report
from dolma_pipeline.io import fs
from dolma_pipeline.io.atomic import output, read_json, write_json
from dolma_pipeline.stat.histogram import Histogram, Summary
from dolma_pipeline.stat.page import write_page
from dolma_pipeline.stat.result import WhatIf, merge
from dolma_pipeline.stat.summaries import read_summary
from dolma_pipeline.stat.values import Values, ValueSummary

SUMMARIES = "summaries.jsonl.gz"
VALUES = "values.jsonl.gz"
WHATIF = "whatif.json"
PAGE = "report.html"
TOP = 100
"""Most frequent values of an attribute that are written."""


class MergeStat(Struct, frozen=True, kw_only=True):
    """Measures in canonical order, and the directory that the sum goes to."""

    title: str
    histograms: list[str]
    whatif: list[str]
    bins: int
    examples: int
    lengths_wanted: bool
    """Whether it is worth a warning that some are not known."""
    directory: str


def merge_stat(config: MergeStat, context: Context) -> Report:
    directory = Path(config.directory)
    outputs: list[Output] = []
    warnings: list[str] = []
    merged: dict[str, Histogram] = {}
    values: dict[str, Values] = {}
    unmeasured: dict[str, None] = {}
    for path in config.histograms:
        found = read_summary(path)
        unmeasured.update(dict.fromkeys(found.unmeasured))
        for name, stored in found.histograms.items():
            merged.setdefault(name, Histogram()).merge(Histogram.of(stored))
        for key, counts in found.values.items():
            mine = values.setdefault(key, Values(counts.kind))
            if mine.kind != counts.kind:
                warnings.append(f"attribute `{key}` is {mine.kind} in some files and {counts.kind} in others")
            mine.merge(Values.of(counts))
    # What an earlier run left here would be shown as if it were of this one.
    for name in (SUMMARIES, VALUES, WHATIF):
        fs.remove(directory / name, missing_ok=True)
    if config.histograms and not merged and not values:
        warnings.append("no attribute to describe: no key was found that the regex, if there is one, finds")
    if config.histograms:
        lines = (histogram.summary(name, config.bins) for name, histogram in merged.items())
        outputs.append(_write_lines(directory / SUMMARIES, lines))
    counted = [counts.summary(key, TOP) for key, counts in values.items()]
    if counted:
        outputs.append(_write_lines(directory / VALUES, counted))
    if unmeasured and config.lengths_wanted:
        warnings.append(
            f"the lengths of {len(unmeasured)} document attributes are not known: Parquet holds their scores alone"
        )
    whatif = merge((read_json(path, WhatIf) for path in config.whatif), config.examples) if config.whatif else None
    if whatif is not None:
        outputs.append(write_json(directory / WHATIF, whatif))
    write_page(directory / PAGE, config.title, merged, counted, whatif)
    outputs.append(output(directory / PAGE))
    return Report(outputs=outputs, warnings=warnings)


def _write_lines(path: Path, summaries: Iterable[Struct]) -> Output:
    writer = _native.LineWriter(str(path))
    try:
        for summary in summaries:
            writer.write(msgspec.json.encode(summary) + b"\n")
        size, digest = writer.finish()
    except BaseException:
        writer.abort()
        raise
    return Output(str(path), size, digest)


def read_summaries(path: Path) -> list[Summary]:
    """The lines of a summaries file, ours or Dolma's."""
    with fs.open_gzip(path) as lines:
        return [msgspec.json.decode(line, type=Summary) for line in lines]


def read_values(path: Path) -> list[ValueSummary]:
    """Returns the lines of a values file."""
    with fs.open_gzip(path) as lines:
        return [msgspec.json.decode(line, type=ValueSummary) for line in lines]
