"""An encoded shard: its tokens in one raw file and, in the same order, an Arrow file that says whose they are.

Both are sorted by key, so that any range of keys is one range of either file. The index maps into memory as it is.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np
import pyarrow as pa
from msgspec import Struct
from numpy.typing import NDArray

from dolma_pipeline import _native
from dolma_pipeline.engine.task import Output
from dolma_pipeline.errors import DataError
from dolma_pipeline.io.arrow import map_batch
from dolma_pipeline.io.atomic import Draft, publishing
from dolma_pipeline.io.cache import map_array, read_array
from dolma_pipeline.io.writing import Sink, write_array

Order: TypeAlias = Literal["shuffle", "input"]
COPY_TOKENS = 4 << 20
"""Tokens in memory while a shard is brought into the order of its keys."""
FIELDS = [
    pa.field("key", pa.uint64(), nullable=False),
    pa.field("start", pa.int64(), nullable=False),
    pa.field("length", pa.int64(), nullable=False),
    pa.field("line", pa.int64(), nullable=False),
    pa.field("id", pa.large_string(), nullable=False),
]
SOURCE = pa.field("src", pa.dictionary(pa.int32(), pa.large_string()), nullable=False)
"""The column of a shard whose documents come from many files; without it they come from the one of its label."""


class ShardFiles(Struct, frozen=True):
    """Where the two files of an encoded shard are, and what is in them."""

    index: Output
    tokens: Output


class ShardWriter:
    """Writes an encoded shard. Tokens wait on disk for their place in the order, only the index waits in memory."""

    def __init__(self, base: str, *, label: str, dtype: np.dtype[np.unsignedinteger], order: Order) -> None:
        self._index = Path(f"{base}.arrow")
        self._tokens = Path(f"{base}.tokens")
        self._label = label
        self._dtype = dtype
        self._order = order
        self._keys: list[NDArray[np.uint64]] = []
        self._lengths: list[NDArray[np.int64]] = []
        self._lines: list[NDArray[np.int64]] = []
        self._ids: list[pa.LargeStringArray] = []
        # Tokens that are shuffled are read again; the others are the file.
        shuffled = order == "shuffle"
        self._draft = Draft(self._tokens, step="unsorted" if shuffled else "", hashed=not shuffled)

    def add(
        self,
        ids: pa.LargeStringArray,
        lines: NDArray[np.int64],
        keys: NDArray[np.uint64],
        lengths: NDArray[np.int64],
        tokens: NDArray[np.unsignedinteger],
    ) -> None:
        """Documents in input order: id, line, key and length of each, and the tokens of all (of the shard's type)."""
        self._ids.append(ids)
        self._lines.append(lines)
        self._keys.append(keys)
        self._lengths.append(lengths)
        write_array(self._draft, tokens)

    def finish(self) -> ShardFiles:
        self._draft.close()
        keys = np.concatenate([np.zeros(0, dtype=np.uint64), *self._keys])
        lengths = np.concatenate([np.zeros(0, dtype=np.int64), *self._lengths])
        lines = np.concatenate([np.zeros(0, dtype=np.int64), *self._lines])
        ids = pa.concat_arrays([pa.array([], pa.large_string()), *self._ids])
        # Equal keys stay in input order: the order is total.
        sequence = np.argsort(keys, kind="stable")
        if self._order == "shuffle":
            with publishing(self._tokens) as published:
                if self._draft.bytes:
                    unsorted = map_array(self._draft.staged, self._dtype)
                    copy_documents(unsorted, _starts(lengths)[sequence], lengths[sequence], published.file)
            self._draft.abort()
            tokens = published.output
        else:
            tokens = self._draft.publish()
        index = write_index(
            self._index,
            label=self._label,
            dtype=self._dtype,
            keys=keys[sequence],
            lengths=lengths[sequence],
            lines=lines[sequence],
            ids=ids.take(pa.array(sequence)),
        )
        return ShardFiles(index=index, tokens=tokens)

    def abort(self) -> None:
        self._draft.abort()


def write_index(
    path: Path,
    *,
    label: str,
    dtype: np.dtype[np.unsignedinteger],
    keys: NDArray[np.uint64],
    lengths: NDArray[np.int64],
    lines: NDArray[np.int64],
    ids: pa.LargeStringArray,
    sources: pa.DictionaryArray | None = None,
) -> Output:
    """The Arrow file of a shard, columns in the order of its tokens; `sources` (int32 to large_string): SOURCE."""
    columns = [pa.array(keys), pa.array(_starts(lengths)), pa.array(lengths), pa.array(lines), ids]
    fields = list(FIELDS)
    if sources is not None:
        columns.append(sources)
        fields.append(SOURCE)
    batch = pa.RecordBatch.from_arrays(columns, schema=pa.schema(fields, {"label": label, "dtype": dtype.name}))
    with publishing(path) as published, pa.ipc.new_file(published.file, batch.schema) as writer:
        writer.write_batch(batch)
    return published.output


def copy_documents(
    tokens: NDArray[np.unsignedinteger], starts: NDArray[np.int64], lengths: NDArray[np.int64], file: Sink
) -> None:
    """Writes the documents that start there and are so long, in this order, COPY_TOKENS at a time."""
    for rows in _runs(lengths):
        write_array(file, gather(tokens, starts[rows], lengths[rows]))


def gather(
    tokens: NDArray[np.unsignedinteger], starts: NDArray[np.int64], lengths: NDArray[np.int64]
) -> NDArray[np.unsignedinteger]:
    """The documents that start there and are so long, in this order."""
    size = tokens.dtype.itemsize
    found = _native.gather_bytes(pa.array(tokens.view(np.uint8)), pa.array(size * starts), pa.array(size * lengths))
    gathered: NDArray[np.unsignedinteger] = found.to_numpy().view(tokens.dtype)
    return gathered


def _starts(lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.cumsum(lengths) - lengths


def _runs(lengths: NDArray[np.int64]) -> Iterator[slice]:
    """Consecutive documents of about COPY_TOKENS tokens."""
    number = _starts(lengths) // COPY_TOKENS
    edges = [0, *(1 + np.flatnonzero(np.diff(number))).tolist(), len(lengths)]
    for low, high in itertools.pairwise(edges):
        yield slice(low, high)


class ShardIndex:
    """An encoded shard to read: columns mapped into memory, tokens read by range."""

    def __init__(self, files: ShardFiles) -> None:
        self._index = files.index.path
        self._tokens = files.tokens.path
        try:
            # The columns hold the mapping after the file is closed, so that thousands of shards need no descriptors.
            batch = map_batch(self._index)
        except pa.ArrowInvalid as error:
            raise DataError(f"{self._index}: expected the index of an encoded shard: {error}") from None
        metadata = batch.schema.metadata or {}
        names = [f.name for f in FIELDS]
        if (
            batch.schema.names not in (names, [*names, SOURCE.name])
            or b"label" not in metadata
            or b"dtype" not in metadata
        ):
            raise DataError(f"{self._index}: expected the index of an encoded shard, found another Arrow file")
        self.label: str = metadata[b"label"].decode()
        self.dtype = np.dtype(metadata[b"dtype"].decode()).newbyteorder("<")
        self.keys: NDArray[np.uint64] = batch.column("key").to_numpy()
        self.lengths: NDArray[np.int64] = batch.column("length").to_numpy()
        self.lines: NDArray[np.int64] = batch.column("line").to_numpy()
        self.ids: pa.LargeStringArray = batch.column("id")
        self._starts: NDArray[np.int64] = batch.column("start").to_numpy()
        self.labels = [self.label]
        """The labels of the files that documents come from."""
        self.sources: NDArray[np.int32] | None = None
        """The index into `labels` of each document; None where there is one label."""
        if SOURCE.name in batch.schema.names:
            column = batch.column(SOURCE.name)
            self.labels = column.dictionary.to_pylist()
            self.sources = column.indices.to_numpy()

    def __len__(self) -> int:
        return len(self.keys)

    def token_position(self, row: int) -> int:
        """Tokens before document `row`, which may be the number of documents."""
        if row == 0:
            return 0
        return int(self._starts[row - 1] + self.lengths[row - 1])

    def read(self, low: int, high: int) -> NDArray[np.unsignedinteger]:
        """The tokens of the documents low ... high - 1, one after the other."""
        first, last = self.token_position(low), self.token_position(high)
        size = self.dtype.itemsize
        tokens = read_array(self._tokens, self.dtype, offset=first * size, count=last - first)
        if len(tokens) != last - first:
            raise DataError(
                f"{self._tokens}: expected {last} tokens or more, found {first + len(tokens)}; encode the shard again"
            )
        return tokens
