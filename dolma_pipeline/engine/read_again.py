"""Refuses sources that would find what the run itself keeps beside its outputs: bad lines, books and scratch files.

`check_plan` in outputs.py does the same for what stages write. Here the names of the files are not known before the
run, so a pattern is tried on what they look like.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from dolma_pipeline.engine.corpus import Places, Shard
from dolma_pipeline.engine.outputs import MANIFEST, OWNER, Claim
from dolma_pipeline.engine.roots import QUARANTINE, SCRATCH, Roots
from dolma_pipeline.errors import ConfigError
from dolma_pipeline.io import fs
from dolma_pipeline.io.files import fixed_directory
from dolma_pipeline.io.globbing import enters, matches

LEDGER = "ledger"
_PHASE = "01-phase"
_BOOKS = (
    MANIFEST,
    "timings.json",
    "sources.json",
    "failure.json",
    "report.html",
    f"{LEDGER}/{OWNER}",
    f"{LEDGER}/{_PHASE}/segment-00000.jsonl.zst",
    f"{LEDGER}/{_PHASE}/source/0.json",
)
_ENDINGS = (".json", ".jsonl", ".jsonl.zst", ".list", ".msgpack", ".parquet")


def check_own_files(places: Places, roots: Roots, patterns: Iterable[str], shards: Sequence[Shard]) -> None:
    """Raises ConfigError for a pattern of a source that finds files which the run keeps, be they there yet or not.

    A `scratch_dir` may have files of any name.
    """
    given = places.recipe.scratch_dir
    scratch = os.path.dirname(roots.scratch)  # noqa: PTH120
    for pattern in patterns:
        for whole, real in _spellings(pattern):
            if given is not None and enters(whole, f"{_real(scratch) if real else scratch}/run/{_PHASE}"):
                raise ConfigError(_refused("$.scratch_dir", given, pattern, "scratch_dir"))
            work_dir = _real(roots.work_dir) if real else roots.work_dir
            if not enters(whole, work_dir):
                continue
            for name in _own(roots, places, shards, inside=given is None):
                if matches(whole, f"{work_dir}/{name}"):
                    raise ConfigError(_refused("$.work_dir", f"{places.recipe.work_dir}/{name}", pattern, "work_dir"))


def check_scratch(places: Places, roots: Roots, claims: Iterable[Claim]) -> None:
    """Raises ConfigError for a `scratch_dir` in a directory of outputs or of the books of a run."""
    given = places.recipe.scratch_dir
    if given is None:
        return
    top = Path(_real(os.path.dirname(roots.scratch)))  # noqa: PTH120
    work_dir = Path(_real(roots.work_dir))
    taken = {f"{work_dir}/{name}": "the run" for name in (LEDGER, QUARANTINE, "attributes")}
    for claim in claims:
        taken.setdefault(claim.place if claim.names else claim.place.rpartition("/")[0] or ".", claim.where)
    for directory, where in taken.items():
        real = Path(_real(directory))
        if real.is_relative_to(work_dir) and real != work_dir:
            real = work_dir / real.relative_to(work_dir).parts[0]
        if real != work_dir and top.is_relative_to(real):
            raise ConfigError(
                f"$.scratch_dir: expected a directory outside of those that outputs are written to, found {given} in "
                f"{real}, where {where} writes; give another `scratch_dir`"
            )


def _refused(where: str, found: str, pattern: str, key: str) -> str:
    return (
        f"{where}: expected a place that no source reads, found {found}, where `{pattern}` would find what this run "
        f"writes the next time; give another `{key}`, or a pattern of the input alone"
    )


def _spellings(pattern: str) -> Iterator[tuple[str, bool]]:
    """The absolute pattern of files, and the one without links in its fixed part, which is marked."""
    whole = os.path.abspath(pattern)  # noqa: PTH100
    if fs.is_directory(pattern):
        whole = f"{whole}/*"
    yield whole, False
    fixed = fixed_directory(whole)
    yield f"{_real(fixed)}{whole.removeprefix(fixed)}", True


def _real(directory: str) -> str:
    return str(fs.resolve(directory))


def _own(roots: Roots, places: Places, shards: Sequence[Shard], *, inside: bool) -> Iterator[str]:
    """What the run may keep in its work directory, by the names of its shards; `inside`: scratch files too."""
    yield from _BOOKS
    top = f"{roots.work_dir}/"
    for shard in shards:
        yield places.quarantine(shard).removeprefix(top)
        yield places.failures(_PHASE, shard).removeprefix(top)
        if inside:
            # Shards, their pieces, and what a task writes of no single shard.
            for name in (f"{_PHASE}/{shard.id}", f"{_PHASE}/{shard.id}.00001-of-00002", f"{_PHASE}/all"):
                yield from (f"{SCRATCH}/{name}{ending}" for ending in _ENDINGS)
