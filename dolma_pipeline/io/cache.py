"""Files on this machine for libraries that open by name or map memory, and room for what nobody keeps."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dolma_pipeline.io.schemes import backend
from dolma_pipeline.io.url import Location

if TYPE_CHECKING:
    from numpy.typing import DTypeLike, NDArray


def local_copy(location: Location) -> Path:
    """A file of this machine with the same bytes: the file itself where it is one."""
    files, path = backend(location)
    return files.local_copy(path)


def map_array(location: Location, dtype: DTypeLike, *, offset: int = 0, count: int | None = None) -> NDArray[Any]:
    """The numbers in a file from byte `offset`, mapped into memory to be read."""
    import numpy as np  # the command line starts without it

    shape = None if count is None else (count,)
    return np.memmap(local_copy(location), dtype=dtype, mode="r", offset=offset, shape=shape)


def read_array(location: Location, dtype: DTypeLike, *, offset: int = 0, count: int = -1) -> NDArray[Any]:
    """The numbers in a file from byte `offset`, read; fewer than `count` if the file ends before."""
    import numpy as np

    return np.fromfile(local_copy(location), dtype=dtype, count=count, offset=offset)


@contextlib.contextmanager
def scratch_directory(prefix: str) -> Iterator[Path]:
    """A directory that is removed with all that is in it."""
    with tempfile.TemporaryDirectory(prefix=prefix) as directory:
        yield Path(directory)
