"""Writing a sharded checkpoint so that the same run writes the same bytes, and a full disk is called that."""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

from torch.distributed.checkpoint import FileSystemWriter
from torch.distributed.checkpoint.filesystem import FileSystem
from torch.distributed.checkpoint.metadata import StorageMeta

from dolma_pipeline.errors import StageError


class _Watched:
    """A file that remembers the first error of the system: PyTorch's serializer replaces it by one of its own."""

    def __init__(self, stream: io.IOBase, files: _Files) -> None:
        self._stream = stream
        self._files = files

    def write(self, data: Any) -> int:
        try:
            return cast(int, self._stream.write(data))
        except OSError as error:
            self._files.error = self._files.error or error
            raise

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


class _Files(FileSystem):
    error: OSError | None = None

    @contextlib.contextmanager
    def create_stream(self, path: str | os.PathLike[str], mode: str) -> Iterator[io.IOBase]:
        try:
            with super().create_stream(path, mode) as stream:
                yield cast(io.IOBase, _Watched(stream, self))
        except OSError as error:
            self.error = self.error or error
            raise


class CheckpointWriter(FileSystemWriter):
    """PyTorch's writer without the random id that it puts into the metadata, in one file for each rank."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory, single_file_per_rank=True, thread_count=1)
        self.fs = _Files()

    def storage_meta(self) -> StorageMeta | None:
        return StorageMeta()

    def failure(self, checkpoint: Path, error: BaseException) -> Exception:
        """Returns what to raise for `error` of a save: that of the system if there was one."""
        cause = cast(_Files, self.fs).error or (error if isinstance(error, OSError) else None)
        if cause is not None and cause.errno is not None:
            return OSError(cause.errno, os.strerror(cause.errno), str(checkpoint))
        reason = " ".join(str(error).split()) or type(error).__name__
        return StageError(f"{checkpoint}: the checkpoint could not be written: {reason}")
