"""The files of a ledger: the entries that workers make one by one, and the segments that a run puts them together in.

`ledger/<phase>/` has a small JSON file for each task that has just been finished, and segments: JSON lines in zstd, up
to 10,000 entries each. A segment is written whole, under a number that no other had, and never written to again. The
newest entry of a task counts: that in a file of its own, else that in the segment with the highest number. Whenever a
run is killed, an entry stands in one of the two at least, and where it stands in both it says the same.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import msgspec
from msgspec import Struct

from dolma_pipeline.engine.roots import Roots
from dolma_pipeline.engine.task import Output, Report
from dolma_pipeline.errors import StageError
from dolma_pipeline.io import fs
from dolma_pipeline.io.atomic import sync_directories, write_bytes

LEDGER = "ledger"
MOST_ENTRIES = 10_000
"""Number of entries in a full segment: a few MB of JSON lines, which are decoded at once."""
FORMAT = 1
_SEGMENT = re.compile(r"^segment-(\d{5,})\.jsonl\.zst$")
_ENTRY = re.compile(r"\.json(\.\d+\.old)?$")


class Written(Struct, frozen=True, array_like=True, gc=False):
    """A file that a task wrote."""

    path: str
    bytes: int
    blake3: str
    modified: int | None = None
    """mtime in ns when the task was finished: while it stands, the bytes are not read again."""


class Entry(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A finished task."""

    task: str
    fingerprint: str
    outputs: tuple[Written, ...] = ()
    report: msgspec.Raw
    """The report of the task without its outputs, as JSON."""
    modified: dict[str, int] | None = None
    """Only in an entry of an earlier version, whose report has the outputs: the mtime of each."""


class _Head(Struct, frozen=True, kw_only=True):
    """The first line of a segment."""

    format: int
    entries: int


class Place(Struct, frozen=True, kw_only=True):
    """A file of the ledger."""

    path: str
    number: int | None = None
    """The number of a segment; None for the entry of one task."""

    @property
    def aside(self) -> bool:
        """Whether it is an entry that was put aside because its task is done again."""
        return self.path.endswith(".old")


_decoder = msgspec.json.Decoder(Entry)


def make_entry(task: str, fingerprint: str, report: Report, modified: dict[str, int]) -> Entry:
    """The entry of a task; `modified` has the mtime in ns of each output."""
    return Entry(
        task=task,
        fingerprint=fingerprint,
        outputs=tuple(Written(o.path, o.bytes, o.blake3, modified.get(o.path)) for o in report.outputs),
        report=msgspec.Raw(msgspec.json.encode(msgspec.structs.replace(report, outputs=[]))),
    )


def report_of(entry: Entry) -> Report:
    """The report of a finished task, with its outputs."""
    report = msgspec.json.decode(entry.report, type=Report)
    report.outputs = [Output(w.path, w.bytes, w.blake3) for w in entry.outputs]
    return report


def phases(work_dir: str | Path) -> list[str]:
    """The phases that the ledger has entries of, in order."""
    try:
        return [path.name for path in fs.list_directory(f"{work_dir}/{LEDGER}") if fs.is_directory(path)]
    except FileNotFoundError:
        return []


def places(work_dir: str | Path, phase: str) -> list[Place]:
    """The files of a phase, the newest entries first."""
    top = f"{work_dir}/{LEDGER}/{phase}"
    entries: list[Place] = []
    segments: list[Place] = []
    for file in map(str, fs.walk(top)):
        directory, _, name = file.rpartition("/")
        segment = _SEGMENT.match(name) if directory == top else None
        if segment:
            segments.append(Place(path=file, number=int(segment[1])))
        elif _ENTRY.search(name) and not name.startswith("."):
            entries.append(Place(path=file))
    return [*entries, *sorted(segments, key=lambda s: -(s.number or 0))]


def read(place: Place, roots: Roots | None = None) -> list[Entry]:
    """Returns the entries in a file of the ledger; without `roots` their paths stay as they stand there.

    The entry of one task that is not there, or not whole, is none. Raises StageError for a damaged segment.
    """
    if place.number is not None:
        return _read_segment(place.path, roots)
    try:
        content = fs.read_bytes(place.path)
        entry = _decoder.decode(content if roots is None else roots.located(content))
        if entry.modified is None:
            return [entry]
        report = msgspec.json.decode(entry.report, type=Report)
        return [make_entry(entry.task, entry.fingerprint, report, entry.modified)]
    except (FileNotFoundError, msgspec.DecodeError):
        return []


def _read_segment(path: str, roots: Roots | None) -> list[Entry]:
    import zstandard  # the command line starts without it

    try:
        content = zstandard.ZstdDecompressor().decompress(fs.read_bytes(path))
        first, _, lines = content.partition(b"\n")
        head = msgspec.json.decode(first, type=_Head)
        if head.format != FORMAT:
            raise StageError(
                f"{path}: expected a segment of format {FORMAT}, found {head.format}: it is of another version of "
                "dolma_pipeline; use that version, or remove the file, and its tasks are done again"
            )
        entries = _decoder.decode_lines(lines if roots is None else roots.located(lines))
    except (zstandard.ZstdError, msgspec.DecodeError) as error:
        raise _damaged(path, str(error)) from None
    if len(entries) != head.entries:
        raise _damaged(path, f"{len(entries)} entries of {head.entries}")
    return entries


def _damaged(path: str, what: str) -> StageError:
    return StageError(
        f"{path}: expected a segment of the ledger, found damage ({what}); remove the file, and its tasks "
        "are done again"
    )


def write(path: str, entries: list[Entry]) -> None:
    """Writes a segment, which is on the disk with its name when this returns."""
    head = msgspec.json.encode(_Head(format=FORMAT, entries=len(entries)))
    lines = b"\n".join([head, *map(msgspec.json.encode, entries), b""])
    import zstandard

    packed = zstandard.ZstdCompressor(level=3, write_checksum=True).compress(lines)
    write_bytes(path, packed)
    sync_directories([path])


def compact(work_dir: str | Path, phase: str, most: int = MOST_ENTRIES) -> None:
    """Puts the entries of single tasks together in new segments, and then removes them."""
    there = places(work_dir, phase)
    singles = [place for place in there if place.number is None and not place.aside]
    number = _next(there)
    for start in range(0, len(singles), most):
        part = singles[start : start + most]
        whole = [(place, entry) for place in part for entry in read(place)]
        if whole:
            write(_path(work_dir, phase, number), [entry for _, entry in whole])
            number += 1
        _remove([place for place, _ in whole], f"{work_dir}/{LEDGER}/{phase}")


def rewrite(work_dir: str | Path, phase: str, live: Mapping[Place, Sequence[int]], most: int = MOST_ENTRIES) -> None:
    """Moves the entries with the numbers `live` of some files of a phase to new segments, and removes those files.

    They are the newest of their tasks, so that it does no harm that a new segment counts before others.
    """
    number = _next(places(work_dir, phase))
    for part in _parts(_picked(live), most):
        write(_path(work_dir, phase, number), part)
        number += 1
    _remove(live, f"{work_dir}/{LEDGER}/{phase}")


def _picked(live: Mapping[Place, Sequence[int]]) -> Iterator[Entry]:
    for place, numbers in live.items():
        entries = read(place) if numbers else []
        yield from (entries[number] for number in numbers)


def _parts(entries: Iterable[Entry], most: int) -> Iterator[list[Entry]]:
    part: list[Entry] = []
    for entry in entries:
        part.append(entry)
        if len(part) == most:
            yield part
            part = []
    if part:
        yield part


def _next(there: Iterable[Place]) -> int:
    return max((place.number for place in there if place.number is not None), default=-1) + 1


def _path(work_dir: str | Path, phase: str, number: int) -> str:
    return f"{work_dir}/{LEDGER}/{phase}/segment-{number:05d}.jsonl.zst"


def _remove(files: Iterable[Place], top: str) -> None:
    """Removes files of the phase in the directory `top`, and the directories that this leaves empty."""
    for place in files:
        fs.remove(place.path, missing_ok=True)
    for directory in sorted({os.path.dirname(place.path) for place in files}, reverse=True):  # noqa: PTH120
        while directory != os.path.dirname(top):  # noqa: PTH120
            try:
                fs.remove_directory(directory)
            except OSError:
                break
            directory = os.path.dirname(directory)  # noqa: PTH120
