"""Frees the room that a run needs no more: scratch files, and what killed writers have left behind."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from msgspec import Struct

from dolma_pipeline.engine.outputs import has_own_scratch, read_owner, scratch_elsewhere
from dolma_pipeline.engine.roots import SCRATCH
from dolma_pipeline.errors import DataError
from dolma_pipeline.io import fs
from dolma_pipeline.io.lease import lock
from dolma_pipeline.io.writing import TEMPORARY

_NOTHING = "no such directory"


class Cleaned(Struct, frozen=True, kw_only=True):
    """What was removed, or would be."""

    files: int
    bytes: int
    left: str = ""
    """A sentence about scratch files of the place where the run was before, which may be those of another run."""


def clean_run(directory: str | Path, *, dry_run: bool = False, moved: bool = False) -> Cleaned:
    """Removes the scratch files of the run in `directory`, and the temporary files of writers that were killed.

    A run that is not finished loses no results: what it still needs is made again when it goes on. With `dry_run` the
    files are only counted; with `moved` those of the place where the run was before go too. Raises DataError if
    `directory` is not the work directory of a run, and StageError while a run is at work there.
    """
    work_dir = Path(directory).absolute()
    owner = None if fs.is_file(work_dir) else read_owner(work_dir)
    if owner is None:
        raise DataError(
            f"{directory}: expected the work directory of a run, found "
            + ("no ledger in it" if fs.is_directory(work_dir) else "a file" if fs.is_file(work_dir) else _NOTHING)
        )
    places = [work_dir / SCRATCH]
    # A run that was copied names the scratch files of the first one, which may be at work.
    left = "" if moved else scratch_elsewhere(owner, work_dir)
    if owner.scratch and (moved or has_own_scratch(owner, work_dir)):
        places.append(Path(owner.scratch))
    with lock(work_dir):
        found = {path: fs.stat(path).size for path in _removable(work_dir, places)}
        if not dry_run:
            for path in found:
                fs.remove(path, missing_ok=True)
            for place in places:
                fs.remove_tree(place, ignore_errors=True)
    return Cleaned(files=len(found), bytes=sum(found.values()), left=left)


def _removable(work_dir: Path, places: list[Path]) -> Iterator[Path]:
    for place in places:
        yield from fs.walk(place)
    for path in fs.walk(work_dir):
        if TEMPORARY.match(path.name) and not any(path.is_relative_to(place) for place in places):
            yield path
