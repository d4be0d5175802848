"""Scratch files of near-duplicates: Arrow files with a batch for each partition, and a header that says what they are.

A task on one partition reads one batch of each file, and nothing else of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from dolma_pipeline.engine.task import Output
from dolma_pipeline.errors import DataError
from dolma_pipeline.io.arrow import arrow_writer, open_arrow
from dolma_pipeline.io.atomic import publishing

Ordinals = npt.NDArray[np.uint64]
"""Documents of the corpus, numbered in canonical order: by priority of the source, file and row."""
HEADER = b"dolma_pipeline.near"
MOST_MAPPED = 10_000
"""Most files of which a task holds a mapping; a process may have 65,530 of them on Linux."""
BATCH_KEYS = 1 << 64
"""Number of different band keys."""


def write_parts(path: str, batches: Iterable[pa.RecordBatch], schema: pa.Schema, header: Mapping[str, Any]) -> Output:
    """Writes a file of `batches`, one for each partition in order; `header` is small, and JSON."""
    kept = {HEADER: msgspec.json.encode(dict(header))}
    with publishing(path) as published, arrow_writer(published.file, schema.with_metadata(kept)) as writer:
        for batch in batches:
            writer.write_batch(batch)
    return published.output


class Parts:
    """A file that `write_parts` has written. Raises DataError if it is none, or one with another header.

    `expected`: the values that its header must have; it may have others beside them. `files`: how many files the task
    reads; a process may not have a mapping of each of very many.
    """

    def __init__(self, path: str, expected: Mapping[str, Any], *, files: int = 1) -> None:
        self.path = path
        try:
            self._reader = open_arrow(path, mapped=files <= MOST_MAPPED)
            found = (self._reader.schema.metadata or {})[HEADER]
        except (pa.ArrowInvalid, KeyError) as error:
            why = "it has no header" if isinstance(error, KeyError) else str(error).rstrip(".")
            raise DataError(
                f"{path}: expected a scratch file of a near-duplicate stage, found another or a damaged one: {why}; "
                f"remove it and run again"
            ) from None
        self.header: dict[str, Any] = msgspec.json.decode(found)
        different = [
            f"`{key}` is {self.header.get(key)!r} and not {value!r}"
            for key, value in expected.items()
            if self.header.get(key) != value
        ]
        if different:
            raise DataError(
                f"{path}: expected the scratch file of a stage with the same settings, found another: "
                f"{', '.join(different)}; remove it and run again"
            )

    def __len__(self) -> int:
        return int(self._reader.num_record_batches)

    def batch(self, number: int) -> pa.RecordBatch:
        """The rows of one partition. Raises DataError if they cannot be read."""
        try:
            return self._reader.get_batch(number)
        except (pa.ArrowInvalid, OSError, ValueError) as error:
            raise DataError(
                f"{self.path}: expected the rows of partition {number}, found a damaged file: "
                f"{str(error).rstrip('.')}; remove it and run again"
            ) from None


def divided(batch: pa.RecordBatch, bounds: Sequence[int]) -> Iterable[pa.RecordBatch]:
    """The parts of a batch: part n has the rows from `bounds[n]` to `bounds[n + 1]`."""
    return (batch.slice(begin, end - begin) for begin, end in pairwise(bounds))


def ordinal_bounds(ordinals: Ordinals, documents: int, partitions: int) -> list[int]:
    """Where each partition begins in sorted `ordinals`, and their number at the end: see `first_of`."""
    firsts = [first_of(p, documents, partitions) for p in range(1, partitions)]
    return [0, *np.searchsorted(ordinals, np.array(firsts, np.uint64)).tolist(), len(ordinals)]


def first_of(partition: int, documents: int, partitions: int) -> int:
    """The first document of a partition; partitions are ranges of documents of about one size."""
    return -(-partition * documents // partitions)


def partition_of(ordinal: int, documents: int, partitions: int) -> int:
    """The partition that has a document."""
    return ordinal * partitions // documents


def key_bounds(keys: npt.NDArray[np.uint64], partitions: int) -> list[int]:
    """Where each partition begins in sorted band keys, and their number at the end."""
    firsts = [first_of(p, BATCH_KEYS, partitions) for p in range(1, partitions)]
    return [0, *np.searchsorted(keys, np.array(firsts, np.uint64)).tolist(), len(keys)]
