"""Files of this machine, or of a file system that it has mounted."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import stat as modes
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO

from dolma_pipeline.io.backend import Stat
from dolma_pipeline.io.writing import temporary_path

LOCK = ".lock"


class LocalFiles:
    """The backend of `file`."""

    def stat(self, path: str) -> Stat:
        # A resumed run asks this of a million files, and making a `Path` costs more than the question.
        found = os.stat(path)  # noqa: PTH116
        mode = found.st_mode
        return Stat(found.st_size, str(found.st_mtime_ns), modes.S_ISREG(mode), modes.S_ISDIR(mode))

    def look(self, paths: Sequence[str]) -> list[tuple[int, int] | None]:
        from dolma_pipeline import _native

        return _native.look_at_files(paths)

    def open_input(self, path: str) -> IO[bytes]:
        return Path(path).open("rb")

    def read_bytes(self, path: str) -> bytes:
        return Path(path).read_bytes()

    def read_range(self, path: str, start: int, length: int) -> bytes:
        with Path(path).open("rb") as file:
            file.seek(start)
            return file.read(length)

    def list_directory(self, path: str) -> list[str]:
        return sorted(os.listdir(path))  # noqa: PTH208

    def walk(self, path: str) -> Iterator[str]:
        for root, directories, names in os.walk(path):
            directories.sort()
            yield from (os.path.join(root, name) for name in sorted(names))  # noqa: PTH118

    def make_directories(self, path: str) -> None:
        Path(path).mkdir(parents=True, exist_ok=True)

    def remove(self, path: str) -> None:
        Path(path).unlink()

    def remove_tree(self, path: str, *, ignore_errors: bool = False) -> None:
        shutil.rmtree(path, ignore_errors=ignore_errors)

    def copy(self, source: str, target: str) -> None:
        shutil.copyfile(source, target)

    def stage(self, path: str) -> Path:
        return temporary_path(path)

    def publish(self, staged: Path, path: str) -> None:
        staged.replace(path)

    def local_copy(self, path: str) -> Path:
        return Path(path)

    @contextlib.contextmanager
    def lease(self, directory: str) -> Iterator[None]:
        """The system lets go of it however the holder ends."""
        with (Path(directory) / LOCK).open("a") as handle:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield
