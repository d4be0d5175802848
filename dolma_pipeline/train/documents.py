"""From a training step back to the documents it learnt from, through the indexes of the token files."""

from __future__ import annotations

import csv
import io
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from msgspec import Struct

from dolma_pipeline.errors import DataError
from dolma_pipeline.io import fs
from dolma_pipeline.train.config import TrainerConfig
from dolma_pipeline.train.data import Batches, Indices, Instances


class DocumentSpan(Struct, frozen=True, kw_only=True):
    """The part of an instance that one document fills: tokens `start` to `end` (half-open) of the instance."""

    row: int
    """The instance, by its place in the batch."""
    start: int
    end: int
    id: str
    source: str
    """The file the document came from."""
    location: int
    """Its line there, from 1."""


def documents_of_step(config: TrainerConfig, step: int) -> list[DocumentSpan]:
    """What update number `step` (from 1) of the run `config` learnt from, in the order of the batch."""
    instances = Instances(config.tokens, config.sequence_length)
    batches = Batches(len(instances), config.batch_size, config.seed, drop_last=config.drop_last)
    return documents_of(instances, batches.batch(step))


def documents_of(instances: Instances, batch: Indices) -> list[DocumentSpan]:
    """The documents of the instances in `batch`. Reads the index of each file in question once, as a stream."""
    wanted: defaultdict[str, list[tuple[int, int]]] = defaultdict(list)
    for row, instance in enumerate(batch.tolist()):
        file, start = instances.locate(instance)
        if file.index is None:
            raise DataError(f"{instances.directory / file.path}: the manifest names no index for it")
        wanted[file.index].append((start, row))
    found: list[DocumentSpan] = []
    for index in sorted(wanted):
        found.extend(_overlaps(instances.directory / index, sorted(wanted[index]), instances.length))
    return sorted(found, key=lambda span: (span.row, span.start))


def _overlaps(path: Path, places: list[tuple[int, int]], length: int) -> Iterator[DocumentSpan]:
    """Both the index and `places` (first token, row) ascend, so that one pass meets every overlap."""
    first = 0
    for start, end, name, source, location in _rows(path):
        while first < len(places) and places[first][0] + length <= start:
            first += 1
        if first == len(places):
            return
        for place, row in places[first:]:
            if place >= end:
                break
            yield DocumentSpan(
                row=row,
                start=max(start - place, 0),
                end=min(end - place, length),
                id=name,
                source=source,
                location=location,
            )


def _rows(path: Path) -> Iterator[tuple[int, int, str, str, int]]:
    try:
        with io.TextIOWrapper(fs.open_gzip(path), encoding="utf-8", newline="") as lines:
            for start, end, name, source, location in csv.reader(lines):
                yield int(start), int(end), name, source, int(location)
    except (OSError, EOFError, ValueError) as error:
        raise DataError(f"{path}: expected rows of `start,end,id,src,loc`: {error}") from None
