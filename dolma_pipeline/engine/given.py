"""The files that a run was given: whether they are still what they were, while it runs and afterwards."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from msgspec import Struct

from dolma_pipeline.engine.ledger import GivenFile, given_file
from dolma_pipeline.errors import StageError
from dolma_pipeline.io import fs
from dolma_pipeline.io.atomic import read_json, write_json
from dolma_pipeline.report.units import counted

NAME = "sources.json"
MOST_FILES = 5
"""Number of files that are named one by one."""


class GivenFiles(Struct, frozen=True, kw_only=True):
    """sources.json of a run: sizes and times of files, which a copy of them does not keep, so the manifest has none."""

    files: dict[str, GivenFile]


def write(directory: Path, given: Mapping[str, GivenFile]) -> None:
    write_json(directory / NAME, GivenFiles(files=dict(sorted(given.items()))))


def changes(given: Mapping[str, GivenFile]) -> list[str]:
    """For each file that is not what it was, what has become of it, in the order of `given`."""
    found = []
    for path, then in given.items():
        try:
            now = given_file(path)
        except OSError:
            found.append(f"{path} is gone")
            continue
        if now.bytes != then.bytes:
            found.append(f"{path} changed: it had {then.bytes:,} bytes, and has {now.bytes:,}")
        elif now.modified != then.modified:
            found.append(f"{path} changed: it was written to, and has as many bytes as before")
    return found


def check(given: Mapping[str, GivenFile]) -> None:
    """Raises StageError if a file changed or vanished while the run went on: its stages saw different documents."""
    found = changes(given)
    if found:
        raise StageError("\n".join([*(f"{line}, during the run: run again" for line in shortened(found))]))


def notes(directory: Path) -> list[str]:
    """A sentence for each file that has changed since the run in `directory`; none without its sources.json."""
    path = directory / NAME
    if not fs.is_file(path):
        return []
    listed: GivenFiles = read_json(path, GivenFiles)
    return [f"{line} since the run" for line in shortened(changes(listed.files))]


def shortened(lines: Iterable[str]) -> list[str]:
    """The first lines, and how many there are beside them."""
    every = list(lines)
    more = len(every) - MOST_FILES
    return every[:MOST_FILES] + ([f"and {counted(more, 'more file')} changed or gone"] if more > 0 else [])
