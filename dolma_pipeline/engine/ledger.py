"""The ledger: one small JSON file per finished task, written after its outputs. What has an entry is not done again.

An entry holds for as long as its fingerprint (function, version, settings, inputs) and its outputs are what they were.
Plain files under the work directory, no database: they work on any file system and can be read by anyone.
"""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path

import msgspec
from msgspec import Struct

from dolma_pipeline.engine.task import Output, Report, Task
from dolma_pipeline.io.files import output, write_bytes

WORK_DIR = "{work_dir}"
"""Stands for the work directory in fingerprints and entries."""
_ENTRY = re.compile(r"\.json(\.\d+\.old)?$")


class Entry(Struct, frozen=True, kw_only=True):
    """A finished task."""

    task: str
    fingerprint: str
    report: Report
    modified: dict[str, int]
    """mtime in ns of each output when it was finished: while it stands, the bytes are not read again."""


class GivenFile(Struct, frozen=True, kw_only=True):
    """A file that was there before the run, as it was when the run first looked at it."""

    bytes: int
    modified: int
    """mtime in ns."""


def given_file(path: str) -> GivenFile:
    stat = Path(path).stat()
    return GivenFile(bytes=stat.st_size, modified=stat.st_mtime_ns)


def entry_path(work_dir: str, task: Task) -> str:
    return f"{work_dir}/ledger/{task.phase}/{task.name}.json"


def fingerprint(
    task: Task, known: dict[str, str], given: dict[str, GivenFile] | None = None, *, base: str | None = None
) -> str:
    """What the outputs of `task` depend on, as 32 hex digits; paths below `base` count relative to it.

    `known`: BLAKE3 of the files that earlier phases wrote; any other input counts by size and modification time, as
    they stand now, and is entered in `given` if it is not there yet.
    """
    inputs: list[list[str | int]] = []
    for path in task.inputs:
        if path in known:
            inputs.append([path, known[path]])
        else:
            found = given_file(path)
            inputs.append([path, found.bytes, found.modified])
            if given is not None:
                given.setdefault(path, found)
    # Keys keep the order of the recipe: the first rule that is true of a document is the one that it counts under.
    form = msgspec.json.encode([task.run, task.version, task.config, inputs])
    return hashlib.blake2b(_moved(form, base, WORK_DIR), digest_size=16).hexdigest()


def _moved(form: bytes, old: str | None, new: str | None) -> bytes:
    """JSON in which each string that begins with the directory `old` begins with `new` instead."""
    if old is None or new is None:
        return form
    return form.replace(msgspec.json.encode(f"{old}/")[:-1], msgspec.json.encode(f"{new}/")[:-1])


def up_to_date(path: Path, expected: str, base: str | None = None) -> Report | None:
    """The report of a finished task whose fingerprint is `expected` and whose outputs still stand; else None."""
    entry = read_entry(path, base)
    if entry is None or entry.fingerprint != expected:
        return None
    return entry.report if all(stands(o, entry.modified.get(o.path)) for o in entry.report.outputs) else None


def read_entry(path: Path, base: str | None = None) -> Entry | None:
    """The entry in a file of the work directory `base`; None if there is no file, or no whole entry in it."""
    try:
        return msgspec.json.decode(_moved(path.read_bytes(), WORK_DIR, base), type=Entry)
    except (FileNotFoundError, msgspec.DecodeError):
        return None


def entry_files(work_dir: Path) -> list[Path]:
    """All entries of the ledger in order, those included that a task has put aside to be done again."""
    found = []
    for root, directories, names in os.walk(work_dir / "ledger"):
        directories.sort()
        if root != str(work_dir / "ledger"):
            found += [Path(root, name) for name in sorted(names) if _ENTRY.search(name) and not name.startswith(".")]
    return found


def stands(written: Output, modified: int | None) -> bool:
    """Whether a file is what its task has written; `modified`: its time in ns when it was."""
    path = Path(written.path)
    try:
        stat = path.stat()
    except FileNotFoundError:
        return False
    if stat.st_size != written.bytes:
        return False
    return stat.st_mtime_ns == modified or output(path).blake3 == written.blake3


def enter(path: str, entry: Entry, base: str | None) -> None:
    """Writes the entry of a task whose outputs are on the disk; it names no file of the work directory `base` in full.

    An entry that the machine loses with its power, or has half of, does not count, and neither does one whose outputs
    have lost their names: the task is done again.
    """
    form = msgspec.json.format(_moved(msgspec.json.encode(entry), base, WORK_DIR), indent=1)
    write_bytes(path, form + b"\n", durable=False)


def put_aside(entry: Path) -> Path | None:
    """Renames an entry to `NAME.json.0.old`: it lists files that the task may not write again, for a run to remove."""
    number = 0
    while (old := entry.with_name(f"{entry.name}.{number}.old")).exists():
        number += 1
    try:
        entry.rename(old)
    except FileNotFoundError:
        return None
    return old


def drop_if_replaced(old: Path | None, entry: Entry, base: str | None) -> None:
    """Removes an entry put aside if the task has written all of its files anew."""
    before = read_entry(old, base) if old is not None else None
    if old is not None and before is not None and {o.path for o in before.report.outputs} <= set(entry.modified):
        old.unlink()
