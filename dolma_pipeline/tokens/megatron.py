"""Megatron's indexed dataset: `X.bin`, token ids one after the other, and `X.idx`, which says whose they are.

X.idx, little-endian (megatron.core.datasets.indexed_dataset, version 1):

    9 bytes  MMIDIDX\\0\\0          uint64  version, 1              uint8   code of the type of a token
    uint64   sequences             uint64  document indices, one more than documents
    int32    length of each sequence, in tokens
    int64    where each sequence begins, in bytes
    int64    document indices: document d has the sequences from index d up to index d + 1
    int8     mode of each sequence, of multimodal data alone

Documents written here have one sequence each.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dolma_pipeline.errors import DataError
from dolma_pipeline.io import fs
from dolma_pipeline.io.atomic import Output, publishing
from dolma_pipeline.io.cache import map_array
from dolma_pipeline.io.writing import write_array
from dolma_pipeline.tokens.rows import BATCH, Rows, numbered

MAGIC = b"MMIDIDX\0\0"
VERSION = 1
HEADER = struct.Struct("<9sQBQQ")
TYPES = {1: "uint8", 2: "int8", 3: "int16", 4: "int32", 5: "int64", 6: "float64", 7: "float32", 8: "uint16"}
CODES = {"uint8": 1, "uint16": 8, "uint32": 4, "uint64": 5}
"""Types that Megatron lacks are written as the signed ones of their size."""
LARGEST = {"uint8": 2**8 - 1, "uint16": 2**16 - 1, "uint32": 2**31 - 1, "uint64": 2**63 - 1}
LONGEST = 2**31 - 1
"""Tokens of a sequence."""


class MegatronIndex:
    """An .idx file, mapped into memory; raises DataError for what is not such a file."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        size = fs.stat(self.path).size
        with fs.open_input(self.path) as file:
            head = file.read(HEADER.size)
        if not head.startswith(MAGIC):
            raise DataError(
                f"{path}: expected an index that begins with `MMIDIDX`, found {bytes(head[:9])!r}: it is not Megatron's"
            )
        if len(head) < HEADER.size:
            raise DataError(f"{path}: expected a header of {HEADER.size} bytes, found {len(head)}: the file was cut")
        _, version, code, sequences, indices = HEADER.unpack(head)
        if version != VERSION:
            raise DataError(f"{path}: expected version {VERSION}, found {version}")
        self.type = TYPES.get(code, f"code {code}")
        if "int" not in self.type:
            raise DataError(f"{path}: expected token ids of a whole-number type, found `{self.type}`")
        expected = HEADER.size + 12 * sequences + 8 * indices
        if size not in (expected, expected + sequences):
            raise DataError(
                f"{path}: expected {expected} bytes for {sequences} sequences and {indices} document indices, found "
                f"{size}: the file was cut or changed"
            )
        self.multimodal = sequences > 0 and size > expected
        self.lengths = self._array("<i4", sequences, HEADER.size)
        self.pointers = self._array("<i8", sequences, HEADER.size + 4 * sequences)
        self.indices = self._array("<i8", indices, HEADER.size + 12 * sequences)
        if not indices or self.indices[0] != 0 or self.indices[-1] != sequences:
            raise self._disorder()

    @property
    def dtype(self) -> str:
        """The unsigned type of the same size."""
        return self.type if self.type.startswith("u") else f"u{self.type}"

    @property
    def signed(self) -> bool:
        return not self.type.startswith("u")

    @property
    def documents(self) -> int:
        return len(self.indices) - 1

    def _disorder(self) -> DataError:
        return DataError(
            f"{self.path}: expected document indices that rise from 0 to {len(self.lengths)}, the sequences there are"
        )

    def _array(self, dtype: str, count: int, offset: int) -> NDArray[np.int64]:
        if not count:
            return np.empty(0, dtype=dtype)
        return map_array(self.path, dtype, offset=offset, count=count)

    def rows(self, name: str, tokens: int) -> Iterator[Rows]:
        """Its documents, `tokens` being those of the .bin; sequences of a document are one text."""
        size = np.dtype(self.dtype).itemsize
        for low in range(0, self.documents, BATCH):
            bounds = np.asarray(self.indices[low : low + BATCH + 1])
            first, last = int(bounds[0]), int(bounds[-1])
            # Looked at here and not on opening, which a plan does with every file.
            if last > len(self.lengths) or (np.diff(bounds) < 0).any():
                raise self._disorder()
            lengths = self.lengths[first:last].astype(np.int64)
            pointers = np.asarray(self.pointers[first:last])
            ends = pointers // size + lengths
            wrong = (lengths < 0) | (pointers < 0) | (pointers % size != 0) | (ends > tokens)
            if wrong.any():
                i = int(np.argmax(wrong))
                raise DataError(
                    f"{self.path}: sequence {first + i}: expected a range within the {tokens} tokens of the .bin, "
                    f"found {lengths[i]} tokens from byte {pointers[i]}"
                )
            total = np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(lengths)])
            sizes = total[bounds[1:] - first] - total[bounds[:-1] - first]
            # A document without a sequence begins nowhere; any place does.
            begins = np.minimum(bounds[:-1] - first, max(0, last - first - 1))
            starts = pointers[begins] // size if last > first else np.zeros(len(sizes), dtype=np.int64)
            joined = np.ones(len(lengths), dtype=np.bool_)
            joined[1:] = pointers[1:] // size == ends[:-1]
            heads = bounds[:-1][np.diff(bounds) > 0] - first
            joined[heads] = True
            if not joined.all():
                i = int(np.argmin(joined))
                raise DataError(
                    f"{self.path}: sequence {first + i}: expected the sequences of a document one after the other, "
                    f"found it at byte {pointers[i]}, where the one before it ends at {ends[i - 1] * size}"
                )
            yield numbered(name, starts, sizes, low)


def write_index(path: Path, dtype: str, lengths: NDArray[np.int64]) -> Output:
    """An .idx of documents of one sequence each, which fill the .bin; 20 bytes a document are in memory."""
    if len(lengths) and int(lengths.max()) > LONGEST:
        i = int(np.argmax(lengths))
        raise DataError(
            f"{path}: document {i}: expected at most {LONGEST} tokens, which is what Megatron's index can say, found "
            f"{lengths[i]}"
        )
    size = np.dtype(dtype).itemsize
    with publishing(path) as published:
        file = published.file
        file.write(HEADER.pack(MAGIC, VERSION, CODES[dtype], len(lengths), len(lengths) + 1))
        write_array(file, lengths.astype("<i4"))
        write_array(file, ((np.cumsum(lengths) - lengths) * size).astype("<i8"))
        write_array(file, np.arange(len(lengths) + 1, dtype="<i8"))
    return published.output
