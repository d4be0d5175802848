"""Bloom filters that outlive a run: each task writes its partition's, and the end joins them into `bloom.file`.

A run reduces against the filter as it was before the run, however often it is resumed or repeated: the first merge
keeps that filter in the run's directory `filters`. Otherwise a second reduce would find all the keys of the first.
"""

from __future__ import annotations

from pathlib import Path

from msgspec import Struct

from dolma_pipeline import _native
from dolma_pipeline.config.recipe import Bloom, Dedupe
from dolma_pipeline.engine.file_list import read_list
from dolma_pipeline.engine.roots import SCRATCH
from dolma_pipeline.engine.task import Context, Report
from dolma_pipeline.errors import StageError
from dolma_pipeline.io import fs
from dolma_pipeline.io.atomic import atomic_path, blake3, output, read_json, write_bytes, write_json

BLOCK_BYTES = 64


class MergeFilters(Struct, frozen=True, kw_only=True):
    """Join the filters that the reduces of all partitions have left beside their verdicts."""

    dedupe: Dedupe
    parts: str
    """The list of the filters of all partitions, in order."""
    before: str
    """Where the filter is kept as it was before the run."""


class Merged(Struct, frozen=True):
    """What this run has last made of `bloom.file`, or is about to make something of."""

    blake3: str
    path: str | None = None
    """`bloom.file` as it was then: a run may be repeated with another one."""


def filter_bytes(keys: int, bloom: Bloom, partitions: int) -> int:
    """Bytes of all partitions' filters for `keys` keys, evenly spread."""
    if bloom.size_in_bytes:
        return max(bloom.size_in_bytes // partitions // BLOCK_BYTES, 1) * BLOCK_BYTES * partitions
    _, load = _native.bloom_plan(bloom.false_positive_rate)
    each = -(-(bloom.estimated_keys or keys) // partitions)
    return max(int(-(-each // load)), 1) * BLOCK_BYTES * partitions


def part_of(verdicts: str) -> str:
    """Where the reduce that writes `verdicts` leaves its partition of the filter."""
    return str(Path(verdicts).with_suffix(".filter"))


def filter_to_load(bloom: Bloom, before: str) -> str | None:
    """The filter as it was before this run; None where the run starts with an empty one.

    `before`: where the run keeps it once it has written `bloom.file`.
    """
    if bloom.file is None:
        return None
    kept = _kept(before)
    if fs.is_file(kept) and not bloom.read_only and not _of_another(bloom.file, kept):
        return str(kept) if fs.stat(kept).size else None
    return bloom.file if fs.is_file(bloom.file) else None


def merge_filters(config: MergeFilters, context: Context) -> Report:
    """Writes `bloom.file`. StageError where another run has written it since this one did: its keys would be lost.

    The file is no output of the report: it belongs to all the runs that add to it, and the next one changes it.
    """
    bloom = config.dedupe.bloom
    if bloom is None or bloom.file is None or bloom.read_only:
        raise StageError(f"dedupe `{config.dedupe.name}`: expected a `bloom.file` to write, found none")
    file, before = Path(bloom.file), Path(config.before)
    _bring(before)
    merged = _merged(before)
    if not fs.is_file(before) or _of_another(bloom.file, before):
        _keep(file, before)
        write_json(merged, Merged(blake3=blake3(before), path=bloom.file))
    elif fs.is_file(merged) and fs.is_file(file):
        last = read_json(merged, Merged)
        if blake3(file) not in (last.blake3, blake3(before)):
            raise StageError(
                f"dedupe `{config.dedupe.name}`: {file} was changed by another run since this one wrote it; "
                f"remove {before.parent} to add to the filter as it is now, or restore it from {before}"
            )
    fs.make_directories(file.parent)
    size, digest = _native.merge_filters(read_list(config.parts), str(file))
    write_json(merged, Merged(blake3=digest, path=bloom.file))
    return Report(outputs=[output(before)], details={"filter": {"path": str(file), "bytes": size, "blake3": digest}})


def _kept(before: str) -> Path:
    """The file `before`, or that of a run of an earlier version, which kept it among the scratch files."""
    path = Path(before)
    old = _old(path)
    return old if fs.is_file(old) and not fs.is_file(path) else path


def _bring(before: Path) -> None:
    """Moves what a run of an earlier version has kept to its place."""
    old = _old(before)
    if fs.is_file(before) or not fs.is_file(old):
        return
    fs.make_directories(before.parent)
    if fs.is_file(_merged(old)):
        fs.move(_merged(old), _merged(before))
    fs.move(old, before)


def _old(before: Path) -> Path:
    return before.parent.parent.parent / SCRATCH / before.parent.name / before.name


def _merged(before: Path) -> Path:
    return before.with_name("merged.json")


def _of_another(file: str, before: Path) -> bool:
    """Whether `before` is what was there of another file than this."""
    merged = _merged(before)
    last: Merged | None = read_json(merged, Merged) if fs.is_file(merged) else None
    return last is not None and last.path is not None and last.path != file


def _keep(file: Path, before: Path) -> None:
    """Keeps `file` as `before`, an empty file where there was none; a link costs no copy where links are possible."""
    if not fs.is_file(file):
        write_bytes(before, b"")
        return
    with atomic_path(before) as staged:
        fs.remove(staged, missing_ok=True)
        fs.link_or_copy(file, staged)
