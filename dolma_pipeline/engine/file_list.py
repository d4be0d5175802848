"""Lists of files that one phase has written and every task of a later phase reads.

A task that reads the files of all shards names their list instead of the files, so that its message stays small and a
plan grows with shards plus partitions, not with their product. The run writes a list just before the phase that reads
it; a plan only computes what the list will hold.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping

import msgspec
from msgspec import Struct

from dolma_pipeline.errors import DataError
from dolma_pipeline.io import fs
from dolma_pipeline.io.atomic import write_bytes


class FileList(Struct, frozen=True, kw_only=True):
    """A list to write before a phase begins."""

    path: str
    files: tuple[str, ...]
    """The files in the order in which tasks read them; earlier phases of the run write them."""

    def content(self, known: Mapping[str, str]) -> bytes:
        """Returns the list as JSON lines `["RELATIVE PATH", "BLAKE3"]`, where `known` has the BLAKE3 of each file.

        The paths are relative to the list, so that its bytes do not depend on where the work directory is. Raises
        FileNotFoundError if a file is not written yet.
        """
        directory = os.path.dirname(self.path)  # noqa: PTH120 - a path for each of a million files
        lines = []
        for file in self.files:
            if file not in known:
                raise FileNotFoundError(file)
            lines.append(msgspec.json.encode((relative(file, directory), known[file])))
        return b"\n".join([*lines, b""])

    def digest(self, known: Mapping[str, str]) -> str:
        """Returns 32 hex digits that stand for the list and the content of its files."""
        return hashlib.blake2b(self.content(known), digest_size=16).hexdigest()

    def write(self, known: Mapping[str, str]) -> None:
        """Writes the list; it is made again by every run that needs it, so it need not survive a power cut."""
        write_bytes(self.path, self.content(known), durable=False)


def relative(file: str, directory: str) -> str:
    """Returns the path of `file` from `directory`; both are absolute."""
    above, ups = directory, 0
    while not file.startswith(f"{above}/"):
        above, ups = above.rpartition("/")[0], ups + 1
    return "../" * ups + file[len(above) + 1 :]


def read_list(path: str) -> list[str]:
    """Returns the absolute paths of the files in a list. Raises DataError if the file is not a list."""
    directory = os.path.dirname(path)  # noqa: PTH120
    files = []
    for number, line in enumerate(fs.read_bytes(path).splitlines(), 1):
        try:
            name, _ = msgspec.json.decode(line, type=tuple[str, str])
        except msgspec.DecodeError as error:
            raise DataError(f"{path}:{number}: expected a path and its BLAKE3, found something else: {error}") from None
        files.append(os.path.normpath(os.path.join(directory, name)))  # noqa: PTH118
    return files
