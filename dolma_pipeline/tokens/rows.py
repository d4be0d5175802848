"""Which tokens of a file are which document: rows of its csv.gz, a bounded batch at a time.

A file of Dolma's form without one is divided after each EOS, as OLMo-core does it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pyarrow import csv

from dolma_pipeline.errors import DataError
from dolma_pipeline.io import fs
from dolma_pipeline.io.arrow import open_stream

BLOCK_BYTES = 8 << 20
"""Bytes of CSV that are read at once, longer than any row."""
BATCH = 1 << 16
"""Documents of a batch where there is no CSV to say."""
SCAN_TOKENS = 1 << 22
NAMES = ("start", "end", "id", "src", "loc")
TYPES = {
    "start": pa.int64(),
    "end": pa.int64(),
    "id": pa.large_string(),
    "src": pa.large_string(),
    "loc": pa.int64(),
}


@dataclass(frozen=True)
class Rows:
    """Documents that follow one another in a token file: tokens start ... start + length - 1, line `lines` of `src`."""

    starts: NDArray[np.int64]
    lengths: NDArray[np.int64]
    ids: pa.LargeStringArray
    sources: pa.LargeStringArray
    lines: pa.Int64Array

    def __len__(self) -> int:
        return len(self.starts)

    def slice(self, low: int, high: int) -> Rows:
        """Documents low ... high - 1."""
        size = high - low
        return Rows(
            starts=self.starts[low:high],
            lengths=self.lengths[low:high],
            ids=self.ids.slice(low, size),
            sources=self.sources.slice(low, size),
            lines=self.lines.slice(low, size),
        )


def read_csv(path: str | Path, tokens: int, documents: int | None = None) -> Iterator[Rows]:
    """The rows of `start,end,id,src,loc` in a csv.gz; `tokens` and `documents` are those of the file.

    Raises DataError with its number for a row that is none, begins before the last one ends, or ends beyond the tokens.
    It does so for fewer or more rows than `documents` too: a gzip cut between two members reads like a shorter one.
    """
    number, last = 0, 0
    for batch in _batches(Path(path)):
        starts = batch.column("start").to_numpy()
        ends = batch.column("end").to_numpy()
        before = np.concatenate([[last], ends[:-1]])
        wrong = (starts < before) | (ends < starts) | (ends > tokens)
        if wrong.any():
            i = int(np.argmax(wrong))
            raise DataError(
                f"{path}: row {number + i + 1}: expected a range within {before[i]} to {tokens}, after the document "
                f"before it and within the tokens, found {starts[i]} to {ends[i]}"
            )
        yield Rows(
            starts=starts,
            lengths=ends - starts,
            ids=batch.column("id"),
            sources=batch.column("src"),
            lines=batch.column("loc"),
        )
        number, last = number + len(starts), int(ends[-1])
    if documents not in (None, number):
        raise DataError(
            f"{path}: expected {documents} documents, as the manifest says, found {number}: the file was cut or changed"
        )


def _batches(path: Path) -> Iterator[pa.RecordBatch]:
    try:
        with open_stream(path, compression="gzip") as stream:
            # An index without a row is one of no document; the CSV reader takes it for a mistake.
            first = stream.read(1)
        if not first:
            return
        with open_stream(path, compression="gzip") as stream:
            reader = csv.open_csv(
                stream,
                read_options=csv.ReadOptions(column_names=list(NAMES), block_size=BLOCK_BYTES, use_threads=False),
                parse_options=csv.ParseOptions(newlines_in_values=True),
                convert_options=csv.ConvertOptions(column_types=TYPES, null_values=[]),
            )
            for batch in reader:
                if len(batch):
                    yield batch
    except FileNotFoundError:
        raise DataError(f"{path}: expected the index of a token file, found none") from None
    except (pa.ArrowInvalid, OSError) as error:
        raise DataError(f"{path}: expected rows of start,end,id,src,loc in gzip: {error}") from None


def numbered(name: str, starts: NDArray[np.int64], lengths: NDArray[np.int64], first: int) -> Rows:
    """Documents without ids: `<name>-<n>`, counted from 0 over the file; `first` is that of these."""
    numbers = pa.array(np.arange(first, first + len(starts), dtype=np.int64))
    text = pa.large_string()
    ids = pc.binary_join_element_wise(pa.scalar(name, text), numbers.cast(text), pa.scalar("-", text))
    sources = pa.array([name], text).take(pa.array(np.zeros(len(starts), dtype=np.int64)))
    return Rows(starts=starts, lengths=lengths, ids=ids, sources=sources, lines=pc.add(numbers, 1))


def by_ends(name: str, ends: NDArray[np.unsignedinteger], tokens: int, where: str) -> Iterator[Rows]:
    """Documents that fill a file from its start, by where each one ends."""
    last = 0
    for low in range(0, len(ends), BATCH):
        mine = ends[low : low + BATCH].astype(np.int64)
        starts = np.concatenate([[last], mine[:-1]])
        wrong = (mine < starts) | (mine > tokens)
        if wrong.any():
            i = int(np.argmax(wrong))
            raise DataError(
                f"{where}: document {low + i}: expected an end from {starts[i]}, where the one before it ends, to "
                f"{tokens}, the tokens there are, found {ends[low + i]}"
            )
        yield numbered(name, starts, mine - starts, low)
        last = int(mine[-1])


WIDTHS = {1: "uint8", 2: "uint16", 4: "uint32", 8: "uint64"}
LOOKED_AT = 8


def indexed_dtype(pairs: Iterable[tuple[Path, Path]]) -> str | None:
    """The type of the tokens by which each file has as many as its csv.gz says; None where they say no one type.

    `pairs` are token files with their indexes, of which a few are looked at, the smallest that are not empty.
    """
    filled = [(fs.stat(tokens).size, index) for tokens, index in pairs if fs.stat(tokens).size and fs.is_file(index)]
    found = set()
    for size, index in sorted(filled)[:LOOKED_AT]:
        end = max((int((rows.starts + rows.lengths).max()) for rows in read_csv(index, size) if len(rows)), default=0)
        found.add(WIDTHS.get(size // end) if end and size % end == 0 else None)
    return found.pop() if len(found) == 1 else None


def by_eos(name: str, tokens: NDArray[np.unsignedinteger], eos: int) -> Iterator[Rows]:
    """Documents that each end with `eos`; what follows the last one is a document too."""
    first, number = 0, 0
    for low in range(0, len(tokens), SCAN_TOKENS):
        ends = low + 1 + np.flatnonzero(tokens[low : low + SCAN_TOKENS] == eos).astype(np.int64)
        if low + SCAN_TOKENS >= len(tokens) and (not len(ends) or ends[-1] < len(tokens)):
            ends = np.append(ends, len(tokens))
        if not len(ends):
            continue
        starts = np.concatenate([[first], ends[:-1]])
        yield numbered(name, starts, ends - starts, number)
        first, number = int(ends[-1]), number + len(ends)
