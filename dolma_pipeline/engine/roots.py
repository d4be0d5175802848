"""The directories of a run, and how the ledger names what is in them: a run that is moved stays up to date."""

from __future__ import annotations

import hashlib
import re
from functools import lru_cache
from pathlib import Path

import msgspec
from msgspec import Struct

from dolma_pipeline.config.recipe import Recipe
from dolma_pipeline.io.url import local

WORK_DIR = "{work_dir}"
"""Stands for the work directory in fingerprints and entries."""
QUARANTINE = "quarantine"
"""The directory among the scratch files for bad lines of the pieces of large files."""
SCRATCH = "scratch"
"""The directory for files between two phases, in the work directory if the recipe has no `scratch_dir`."""


class Roots(Struct, frozen=True):
    """The two directories that a run writes to. Wherever they are, the ledger names them in the same way."""

    work_dir: str
    scratch: str
    """The directory for files between two phases. Each phase has a directory of its own in it, named by its id."""

    def portable(self, form: bytes) -> bytes:
        """Returns JSON in which strings that begin with one of the directories begin with its name instead."""
        for directory, name in _named(self.work_dir, self.scratch):
            form = form.replace(directory, name)
        return form

    def located(self, form: bytes) -> bytes:
        """Returns JSON in which the names of the directories are replaced by where they are: undoes `portable`."""
        for directory, name in _named(self.work_dir, self.scratch):
            form = form.replace(name, directory)
        return form

    def scratch_phase(self, path: str) -> str | None:
        """Returns the id of the phase that wrote the scratch file `path`; None if it is another kind of file."""
        top = f"{self.scratch}/"
        return path[len(top) :].partition("/")[0] if path.startswith(top) else None

    def directories(self) -> list[Path]:
        """Returns the directories that every worker must see."""
        scratch = [] if self.scratch == self._default else [Path(self.scratch)]
        return [Path(self.work_dir), *scratch]

    @property
    def _default(self) -> str:
        return f"{self.work_dir}/{SCRATCH}"


def roots_of(recipe: Recipe) -> Roots:
    """Returns where a run of `recipe` writes: absolute paths.

    In a `scratch_dir` each work directory has a directory of its own, so that several runs may share one.
    """
    work_dir = local(recipe.work_dir).absolute()
    if recipe.scratch_dir is None:
        return default_roots(work_dir)
    return Roots(str(work_dir), str(local(recipe.scratch_dir).absolute() / scratch_name(work_dir)))


def scratch_name(work_dir: Path) -> str:
    """Returns the name that the scratch directory of a run has in a `scratch_dir`, by where the run is."""
    mark = hashlib.blake2b(str(work_dir).encode("utf-8", "surrogateescape"), digest_size=6).hexdigest()
    name = re.sub(r"[^\w.-]", "-", work_dir.name) or "run"
    return f"{name}-{mark}"


def default_roots(work_dir: str | Path) -> Roots:
    """Returns the directories of a run whose scratch files are in its work directory."""
    return Roots(str(work_dir), f"{work_dir}/{SCRATCH}")


@lru_cache(maxsize=16)
def _named(work_dir: str, scratch: str) -> tuple[tuple[bytes, bytes], ...]:
    """How the strings of paths below each directory begin, with it and with its name, in the order to replace them."""
    named = [(_beginning(work_dir), _beginning(WORK_DIR))]
    if scratch != f"{work_dir}/{SCRATCH}":
        named.insert(0, (_beginning(scratch), _beginning(f"{WORK_DIR}/{SCRATCH}")))
    return tuple(named)


def _beginning(directory: str) -> bytes:
    """How the JSON string of a path below `directory` begins."""
    return msgspec.json.encode(f"{directory}/")[:-1]
