"""The measures of all files and shards as one: what a stat stage writes."""

from __future__ import annotations

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

SUMMARIES = "summaries.jsonl.gz"
WHATIF = "whatif.json"
PAGE = "report.html"


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
    unmeasured: dict[str, None] = {}
    for path in config.histograms:
        found = read_summary(path)
        unmeasured.update(dict.fromkeys(found.unmeasured))
        for name, stored in found.histograms.items():
            merged.setdefault(name, Histogram()).merge(Histogram.of(stored))
    # What an earlier run left here would be shown as if it were of this one.
    for name in (SUMMARIES, WHATIF):
        fs.remove(directory / name, missing_ok=True)
    if config.histograms and not merged:
        warnings.append("no attribute to describe: no key was found that the regex, if there is one, finds")
    if config.histograms:
        outputs.append(_write_summaries(directory / SUMMARIES, merged, config.bins))
    if unmeasured and config.lengths_wanted:
        warnings.append(
            f"the lengths of {len(unmeasured)} document attributes are not known: Parquet holds their scores alone"
        )
    whatif = merge((read_json(path, WhatIf) for path in config.whatif), config.examples) if config.whatif else None
    if whatif is not None:
        outputs.append(write_json(directory / WHATIF, whatif))
    write_page(directory / PAGE, config.title, merged, whatif)
    outputs.append(output(directory / PAGE))
    return Report(outputs=outputs, warnings=warnings)


def _write_summaries(path: Path, merged: dict[str, Histogram], bins: int) -> Output:
    writer = _native.LineWriter(str(path))
    try:
        for name, histogram in merged.items():
            writer.write(msgspec.json.encode(histogram.summary(name, bins)) + b"\n")
        size, digest = writer.finish()
    except BaseException:
        writer.abort()
        raise
    return Output(str(path), size, digest)


def read_summaries(path: Path) -> list[Summary]:
    """The lines of a summaries file, ours or Dolma's."""
    with fs.open_gzip(path) as lines:
        return [msgspec.json.decode(line, type=Summary) for line in lines]
