"""The safetensors file format: an 8-byte length, a JSON header of names, types, shapes and offsets, then the data.

Written and read here, a tensor at a time, so that neither needs the package nor the memory for a whole model.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import msgspec
import numpy as np
import torch
from msgspec import Struct
from torch import Tensor

from dolma_pipeline.errors import DataError
from dolma_pipeline.io import fs
from dolma_pipeline.io.atomic import atomic_path, open_staged
from dolma_pipeline.io.cache import read_array

TYPES = {"F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}


class Entry(Struct, frozen=True):
    """A tensor in the header."""

    dtype: str
    shape: list[int]
    data_offsets: tuple[int, int]


def write_tensors(
    path: Path,
    shapes: Mapping[str, Sequence[int]],
    tensors: Iterable[tuple[str, Tensor]],
    metadata: Mapping[str, str],
) -> None:
    """Writes float32 tensors, laid out in the order of `shapes` and coming in any order; atomically."""
    header: dict[str, object] = {"__metadata__": dict(metadata)}
    starts: dict[str, int] = {}
    end = 0
    for name, shape in shapes.items():
        starts[name], end = end, end + 4 * math.prod(shape)
        header[name] = Entry("F32", list(shape), (starts[name], end))
    encoded = msgspec.json.encode(header)
    # Readers map the data into memory: it starts at a multiple of eight.
    encoded += b" " * (-len(encoded) % 8)
    with atomic_path(path) as staged, open_staged(staged) as out:
        out.write(len(encoded).to_bytes(8, "little"))
        out.write(encoded)
        missing = set(shapes)
        for name, tensor in tensors:
            missing.remove(name)
            out.seek(8 + len(encoded) + starts[name])
            out.write(tensor.detach().to("cpu", torch.float32).contiguous().numpy().astype("<f4", copy=False).tobytes())
        if missing:
            raise ValueError(f"no values for {', '.join(sorted(missing))}")


class TensorFile:
    """A safetensors file whose tensors are read as they are asked for; raises DataError for a damaged header."""

    def __init__(self, path: Path) -> None:
        self.path = path
        size = fs.stat(path).size
        with fs.open_input(path) as handle:
            length = int.from_bytes(handle.read(8), "little")
            if size < 8 + length:
                raise DataError(f"{path}: expected a header of {length:,} bytes, found a file of {size:,}")
            raw = handle.read(length)
        try:
            header = msgspec.json.decode(raw, type=dict[str, msgspec.Raw])
            header.pop("__metadata__", None)
            self.entries = {name: msgspec.json.decode(value, type=Entry) for name, value in header.items()}
        except msgspec.DecodeError as error:
            raise DataError(f"{path}: not a safetensors header: {error}") from None
        self._start = 8 + length
        for name, entry in self.entries.items():
            self._check(name, entry, size - self._start)

    def _check(self, name: str, entry: Entry, available: int) -> None:
        dtype = TYPES.get(entry.dtype)
        if dtype is None:
            raise DataError(f"{self.path}: `{name}` is of type {entry.dtype}, expected one of {', '.join(TYPES)}")
        start, end = entry.data_offsets
        if not 0 <= start <= end <= available or end - start != math.prod(entry.shape) * dtype.itemsize:
            raise DataError(
                f"{self.path}: `{name}` lies at {start}:{end}, which does not hold {entry.shape} in the file"
            )

    def read(self, name: str) -> Tensor:
        entry = self.entries[name]
        start, end = entry.data_offsets
        data = read_array(self.path, np.uint8, offset=self._start + start, count=end - start)
        return torch.from_numpy(data).view(TYPES[entry.dtype]).reshape(entry.shape)
