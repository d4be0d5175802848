"""The ledger: an entry for each finished task, written after its outputs. What has an entry is not done again.

An entry holds for as long as its fingerprint (function, version, settings, inputs) and its outputs are what they were.
A worker makes an entry a file of its own, and the run puts them together (see segments.py). They are files under the
work directory, no database: they work on any file system, and anyone can read them. To look at them lists no outputs.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

import msgspec
from msgspec import Struct

from dolma_pipeline.engine.roots import Roots
from dolma_pipeline.engine.segments import LEDGER, Entry, Place, Written, make_entry, places, read
from dolma_pipeline.engine.task import Report, Task
from dolma_pipeline.io import fs
from dolma_pipeline.io.atomic import output, write_bytes

_encoder = msgspec.json.Encoder()


class GivenFile(Struct, frozen=True, kw_only=True, gc=False):
    """A file that was there before the run, as it was when the run first looked at it."""

    bytes: int
    modified: int
    """mtime in ns."""


def given_file(path: str) -> GivenFile:
    found = fs.stat(path)
    return GivenFile(bytes=found.size, modified=int(found.version))


def look_at(paths: Sequence[str]) -> dict[str, GivenFile]:
    """Looks at many files at once; those that cannot be looked at are left out, and `given_file` says why."""
    return {
        path: GivenFile(bytes=found[0], modified=found[1])
        for path, found in zip(paths, fs.look(paths), strict=True)
        if found is not None
    }


def entry_path(work_dir: str, task: Task) -> str:
    """Where the worker that has done `task` enters it."""
    return f"{work_dir}/{LEDGER}/{task.phase}/{task.name}.json"


def fingerprint(
    task: Task, known: Mapping[str, str], given: dict[str, GivenFile] | None = None, *, roots: Roots | None = None
) -> bytes:
    """What the outputs of `task` depend on, as 16 bytes; paths below `roots` count relative to them.

    `known`: BLAKE3 of the files that earlier phases wrote; any other input counts by size and modification time, as
    they stand now, and is entered in `given` if it is not there yet.
    """
    return fingerprints([task], known, {} if given is None else given, roots=roots)[0]


def fingerprints(
    tasks: Iterable[Task],
    known: Mapping[str, str],
    given: dict[str, GivenFile],
    *,
    roots: Roots | None = None,
    seen: Mapping[str, GivenFile] = MappingProxyType({}),
) -> list[bytes]:
    """The fingerprint of each task; `seen` has inputs that `known` does not, as they were when just looked at."""
    marks = []
    encode, portable = _encoder.encode, roots.portable if roots is not None else bytes
    for task in tasks:
        inputs: list[tuple[str, str] | tuple[str, int, int]] = []
        for path in task.inputs:
            found = seen.get(path)
            if found is not None:
                inputs.append((path, found.bytes, found.modified))
                continue
            digest = known.get(path)
            if digest is not None:
                inputs.append((path, digest))
                continue
            found = given_file(path)
            inputs.append((path, found.bytes, found.modified))
            given.setdefault(path, found)
        # Keys keep the order of the recipe: the first rule that is true of a document is the one that it counts under.
        form = portable(encode((task.run, task.version, task.config, inputs)))
        marks.append(hashlib.blake2b(form, digest_size=16).digest())
    return marks


def newest(roots: Roots, phase: str) -> Iterator[tuple[Place, Entry]]:
    """The entries of a phase, the newest of each task before older ones of it. Those put aside do not count."""
    for place in places(roots.work_dir, phase):
        if not place.aside:
            for entry in read(place, roots):
                yield place, entry


def written(roots: Roots, phase: str) -> Iterator[str]:
    """The files that the tasks of a phase have written, those included that are done again."""
    for place in places(roots.work_dir, phase):
        for entry in read(place, roots):
            yield from (each.path for each in entry.outputs)


def standing(entries: Sequence[Entry], roots: Roots) -> list[bool]:
    """For each finished task, whether its outputs still stand.

    Scratch files do not count: they are removed when their stage is done. See engine/scratch.py.
    """
    scratch = f"{roots.scratch}/"
    files = [file for entry in entries for file in entry.outputs if not file.path.startswith(scratch)]
    looks = fs.look([file.path for file in files])
    as_written = [(file.bytes, file.modified) for file in files]
    if looks == as_written:
        return [True] * len(entries)
    others = {file.path for file, now, then in zip(files, looks, as_written, strict=True) if now != then}
    return [all(file.path not in others or stands(file) for file in entry.outputs) for entry in entries]


def stands(file: Written) -> bool:
    """Whether a file is what its task has written."""
    try:
        found = fs.stat(file.path)
    except FileNotFoundError:
        return False
    if found.size != file.bytes:
        return False
    return int(found.version) == file.modified or output(file.path).blake3 == file.blake3


def enter(path: str, task: Task, mark: str, report: Report, roots: Roots | None) -> Entry:
    """Writes the entry of a task whose outputs are on the disk; it names no file below `roots` in full.

    An entry that the machine loses with its power, or has half of, does not count, and neither does one whose outputs
    have lost their names: the task is done again.
    """
    modified = {o.path: int(fs.stat(o.path).version) for o in report.outputs}
    entry = make_entry(task.name, mark, report, modified)
    form = msgspec.json.encode(entry)
    write_bytes(path, (form if roots is None else roots.portable(form)) + b"\n", durable=False)
    return entry


def put_aside(entry: Path) -> Path | None:
    """Renames an entry to `NAME.json.0.old`: it lists files that the task may not write again, for a run to remove."""
    number = 0
    while fs.exists(old := entry.with_name(f"{entry.name}.{number}.old")):
        number += 1
    try:
        fs.move(entry, old)
    except FileNotFoundError:
        return None
    return old


def drop_if_replaced(old: Path | None, entry: Entry, roots: Roots | None) -> None:
    """Removes an entry put aside if the task has written all of its files anew."""
    if old is None:
        return
    files = {each.path for each in entry.outputs}
    if any(files.issuperset(w.path for w in before.outputs) for before in read(Place(path=str(old)), roots)):
        fs.remove(old)
