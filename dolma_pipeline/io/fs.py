"""What one does with files that are there: look, read, list, copy, remove. How new ones are written: see atomic.py.

All functions take a Url, a path as text or a Path. `Url.local` spells out `~`, where a name of the user comes in.
"""

from __future__ import annotations

import contextlib
import errno
import gzip
import io
import os
import shutil
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import IO

from dolma_pipeline.io.backend import Stat
from dolma_pipeline.io.schemes import BACKENDS, backend, place
from dolma_pipeline.io.url import LOCAL, Location

_NAMES_NOTHING = frozenset({errno.ENOENT, errno.ENOTDIR, errno.EBADF, errno.ELOOP})


def stat(location: Location) -> Stat:
    """The size and version of a file; raises FileNotFoundError if it is not there."""
    files, path = backend(location)
    return files.stat(path)


def look(paths: Sequence[str]) -> list[tuple[int, int] | None]:
    """The size of each of many files and when it was written, in ns.

    It is None for one that is not there, or cannot be looked at: `stat` says why. A resumed run asks this of a million
    files, and so they are looked at in several threads, and by their names in a directory that is opened once.
    """
    if any("://" in path for path in paths):
        return [_look(path) for path in paths]
    return BACKENDS[LOCAL].look(paths)


def _look(path: str) -> tuple[int, int] | None:
    files, name = backend(path)
    return files.look([name])[0]


def find_stat(location: Location) -> Stat | None:
    """The same; None if nothing is there, or only a link that leads nowhere."""
    try:
        return stat(location)
    except OSError as error:
        if error.errno not in _NAMES_NOTHING:
            raise
    except ValueError:
        # A name that no file system can hold, such as one with a zero byte.
        pass
    return None


def exists(location: Location) -> bool:
    return find_stat(location) is not None


def is_file(location: Location) -> bool:
    found = find_stat(location)
    return found is not None and found.is_file


def is_directory(location: Location) -> bool:
    found = find_stat(location)
    return found is not None and found.is_directory


def is_taken(location: Location) -> bool:
    """Whether anything has this name, be it a link that leads nowhere."""
    return os.path.lexists(place(location))


def may_write(location: Location) -> bool:
    return os.access(Path(place(location)), os.W_OK)


def open_input(location: Location) -> IO[bytes]:
    files, path = backend(location)
    return files.open_input(path)


def open_gzip(location: Location) -> gzip.GzipFile:
    """Opens a file in gzip for what is in it."""
    return _Gzip(open_input(location))


class _Gzip(gzip.GzipFile):
    """Closes the file that it reads."""

    def __init__(self, file: IO[bytes]) -> None:
        super().__init__(fileobj=file, mode="rb")
        self._below = file

    def close(self) -> None:
        super().close()
        self._below.close()


def open_journal(location: Location) -> IO[bytes]:
    """Opens a file to add to its end while a run lasts. Only a disk can: a store publishes it when the run ends."""
    return Path(place(location)).open("ab")


def read_bytes(location: Location) -> bytes:
    files, path = backend(location)
    return files.read_bytes(path)


def read_text(location: Location, errors: str = "strict") -> str:
    """The text of a file in UTF-8, its line ends as `\\n`."""
    return io.TextIOWrapper(io.BytesIO(read_bytes(location)), encoding="utf-8", errors=errors).read()


def read_range(location: Location, start: int, length: int) -> bytes:
    """The bytes from `start`; fewer than `length` only at the end of the file."""
    files, path = backend(location)
    return files.read_range(path, start, length)


def list_directory(location: Location) -> list[Path]:
    """All that is in a directory, sorted by name; raises FileNotFoundError if it is not there."""
    files, path = backend(location)
    return [Path(path, name) for name in files.list_directory(path)]


def walk(location: Location) -> Iterator[Path]:
    """The files below a directory, those of each directory sorted; none if it is not there."""
    files, path = backend(location)
    return map(Path, files.walk(path))


def find(location: Location, pattern: str) -> list[Path]:
    """All below a directory that matches `pattern` as pathlib has it, sorted; links to directories are not followed."""
    return sorted(Path(place(location)).glob(pattern))


def make_directories(location: Location) -> None:
    """Makes a directory and those above it, where they are not there."""
    files, path = backend(location)
    files.make_directories(path)


def remove(location: Location, *, missing_ok: bool = False) -> None:
    files, path = backend(location)
    with contextlib.suppress(*([FileNotFoundError] if missing_ok else [])):
        files.remove(path)


def remove_directory(location: Location) -> None:
    """Removes a directory that is empty; raises OSError for any other."""
    Path(place(location)).rmdir()


def remove_tree(location: Location, *, ignore_errors: bool = False) -> None:
    """Removes a directory and all that is in it."""
    files, path = backend(location)
    files.remove_tree(path, ignore_errors=ignore_errors)


def copy(source: Location, target: Location) -> None:
    """Copies the bytes of a file over what has the name `target`; `atomic.publish_copy` does it whole or not at all."""
    files, path = backend(source)
    files.copy(path, place(target))


def link_or_copy(source: Location, target: Location) -> None:
    """Gives a file a second name, which must be free; where the file system cannot, copies it."""
    try:
        os.link(place(source), place(target))
    except FileExistsError:
        raise
    except OSError:
        shutil.copyfile(place(source), place(target))


def move(source: Location, target: Location) -> None:
    """Gives a file or directory of this run another name, for good or to put it aside. Nothing is published by it."""
    Path(place(source)).rename(place(target))


def resolve(location: Location, *, strict: bool = False) -> Path:
    """The absolute path without links; `strict` raises FileNotFoundError if nothing is there."""
    return Path(place(location)).resolve(strict=strict)


@lru_cache(maxsize=4096)
def _real_directory(path: str) -> str:
    return os.path.realpath(path)


def real_path(path: str) -> str:
    """The path of a file without links to directories in it; the file itself may be a link."""
    directory, name = os.path.split(path if path.startswith("/") else str(Path(path).absolute()))
    return f"{_real_directory(directory).rstrip('/')}/{name}"
