"""What a place that keeps files must be able to do.

Shaped for object stores: a file appears whole when it is published (no renaming, no appending), it is the same as
before while its size and version are, and a directory is what the names in it have in common.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import IO, NamedTuple, Protocol


class Stat(NamedTuple):
    """What tells whether a file is still the same without reading it."""

    size: int
    version: str
    """Differs whenever the file was written: its time in ns on a disk, an ETag in a store."""
    is_file: bool
    """Whether it is a regular file: a pipe and a directory are none."""
    is_directory: bool


class Backend(Protocol):
    """Files under one scheme. A name that is not there raises FileNotFoundError, and the system's errors pass."""

    def stat(self, path: str) -> Stat: ...

    def look(self, paths: Sequence[str]) -> list[tuple[int, int] | None]:
        """Returns the size of each file and when it was written, in ns; None for one that `stat` would tell more of."""

    def open_input(self, path: str) -> IO[bytes]: ...

    def read_bytes(self, path: str) -> bytes: ...

    def read_range(self, path: str, start: int, length: int) -> bytes:
        """Returns the bytes from `start`; fewer than `length` only at the end of the file."""

    def list_directory(self, path: str) -> list[str]:
        """Returns the names in a directory, sorted."""

    def walk(self, path: str) -> Iterator[str]:
        """Yields the files below a directory, level by level, sorted; none where there is no directory."""

    def make_directories(self, path: str) -> None: ...

    def remove(self, path: str) -> None: ...

    def remove_tree(self, path: str, *, ignore_errors: bool = False) -> None: ...

    def copy(self, source: str, target: str) -> None: ...

    def stage(self, path: str) -> Path:
        """Returns where on this machine a file is written before it is published."""

    def publish(self, staged: Path, path: str) -> None:
        """Makes a staged file the one at `path`, whole and at once."""

    def local_copy(self, path: str) -> Path:
        """Returns a file of this machine with the same bytes, for libraries that open by name."""

    def lease(self, directory: str) -> AbstractContextManager[None]:
        """Holds a directory for one holder at a time; raises BlockingIOError while another has it."""
