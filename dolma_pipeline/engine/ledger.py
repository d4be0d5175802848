"""The ledger: one small JSON file per finished task, written after its outputs. What has an entry is not done again.

An entry holds for as long as its fingerprint (function, version, settings, inputs) and its outputs are what they were.
Plain files under the work directory, no database: they work on any file system and can be read by anyone.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import platform
import re
from collections.abc import Iterator
from pathlib import Path

import msgspec
from msgspec import Struct

from dolma_pipeline.engine.task import Context, Output, Report, Task, call
from dolma_pipeline.errors import DolmaError, StageError, add_note
from dolma_pipeline.io import fs
from dolma_pipeline.io.atomic import output, write_bytes
from dolma_pipeline.secrets import adopt, hide

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
    found = fs.stat(path)
    return GivenFile(bytes=found.size, modified=int(found.version))


class Work(Struct, frozen=True, kw_only=True):
    """A task ready to be executed anywhere: what to do, and where to note that it is done."""

    task: Task
    fingerprint: str
    entry: str
    """Path of the ledger entry."""
    base: str | None = None
    """The work directory, which neither the fingerprint nor the entry names: a run that is moved stays up to date."""


class Job(Struct, frozen=True, kw_only=True):
    """Work done in one go: one task, or the steps of one group."""

    works: tuple[Work, ...]
    hidden: dict[str, str] = {}
    """What `secrets.known` says in the driver."""
    directory: str | None = None
    """The driver's current directory, which relative paths in the tasks start from; None takes that of this process."""

    @property
    def name(self) -> str:
        return self.works[0].task.name

    @property
    def weight(self) -> int:
        return max(w.task.weight for w in self.works)


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
        return msgspec.json.decode(_moved(fs.read_bytes(path), WORK_DIR, base), type=Entry)
    except (FileNotFoundError, msgspec.DecodeError):
        return None


def entry_files(work_dir: Path) -> list[Path]:
    """All entries of the ledger in order, those included that a task has put aside to be done again."""
    top = work_dir / "ledger"
    found = (path for path in fs.walk(top) if path.parent != top)
    return [path for path in found if _ENTRY.search(path.name) and not path.name.startswith(".")]


def stands(written: Output, modified: int | None) -> bool:
    """Whether a file is what its task has written; `modified`: its time in ns when it was."""
    try:
        found = fs.stat(written.path)
    except FileNotFoundError:
        return False
    if found.size != written.bytes:
        return False
    return int(found.version) == modified or output(written.path).blake3 == written.blake3


def _what(job: Job) -> str:
    """The job in words: which phase of which file."""
    read = next((p for w in job.works for p in w.task.inputs), None)
    return f"{job.works[0].task.phase} of {job.name}" + ("" if read is None else f", which reads {read}")


def _reports(tasks: list[Task], context: Context) -> list[Report]:
    if tasks[0].group:
        from dolma_pipeline.stages.shard_pass import run_steps

        return run_steps(tasks, context)
    return [call(task, context) for task in tasks]


def execute(job: Job, context: Context) -> list[Report]:
    """Does the work and enters it. The old entries are put aside first: an interrupted rerun must not look finished."""
    adopt(job.hidden)
    aside = [_put_aside(Path(w.entry)) for w in job.works]
    try:
        with _directory_of(job) as reports:
            reports += _reports([w.task for w in job.works], context)
    except SystemExit as error:
        # Code of a user may call it; the command must not end as if all were done.
        raise StageError(f"{_what(job)}: expected a result, found a call of sys.exit({error.code!r})") from error
    except (DolmaError, OSError, KeyboardInterrupt):
        raise
    except BaseException as error:  # a panic of native code is no Exception
        add_note(error, f"in {_what(job)}")
        raise
    for work, report, old in zip(job.works, reports, aside, strict=True):
        report.warnings = [hide(w) for w in report.warnings]
        modified = {o.path: int(fs.stat(o.path).version) for o in report.outputs}
        entry = Entry(task=work.task.name, fingerprint=work.fingerprint, report=report, modified=modified)
        form = msgspec.json.format(_moved(msgspec.json.encode(entry), work.base, WORK_DIR), indent=1)
        # The outputs are on the disk by now. An entry that the machine loses with its power, or has half of, does not
        # count, and neither does one whose outputs have lost their names: the task is done again.
        write_bytes(work.entry, form + b"\n", durable=False)
        _drop_if_replaced(old, entry, work.base)
    return reports


@contextlib.contextmanager
def _directory_of(job: Job) -> Iterator[list[Report]]:
    """Takes the reports of work that is done in the driver's directory.

    Tasks name files as the recipe does, so that a folder that was moved with its data is up to date. Raises StageError
    if relative paths would lead elsewhere: there is no such directory here, or code of a user has left it for another.
    """
    reports: list[Report] = []
    if job.directory is None:
        yield reports
        return
    relative = [p for w in job.works for p in w.task.inputs if not os.path.isabs(p)]  # noqa: PTH117
    if fs.is_directory(job.directory):
        os.chdir(job.directory)
    elif relative:
        raise StageError(
            f"{_what(job)}: expected the directory {job.directory} on {platform.node()}, found none: `{relative[0]}` "
            "is relative to it; give absolute paths of storage that every node sees"
        )
    before = _current_directory()
    changed = None
    try:
        yield reports
    except OSError as error:
        if not relative or _current_directory() == before:
            raise
        changed = error
    finally:
        found = _current_directory()
        if found != before and before is not None:
            os.chdir(before)
    relative += [o.path for r in reports for o in r.outputs if not os.path.isabs(o.path)]  # noqa: PTH117
    if relative and found != before:
        raise StageError(
            f"{_what(job)}: expected the current directory to stay {before}, found {found}: a tagger or filter of "
            f"yours calls os.chdir, and `{relative[0]}` is relative; go back there, or give absolute paths"
        ) from changed


def _current_directory() -> str | None:
    try:
        return os.getcwd()  # noqa: PTH109
    except FileNotFoundError:
        return None


def _put_aside(entry: Path) -> Path | None:
    """Renames an entry to `NAME.json.0.old`: it lists files that the task may not write again, for a run to remove."""
    number = 0
    while fs.exists(old := entry.with_name(f"{entry.name}.{number}.old")):
        number += 1
    try:
        fs.move(entry, old)
    except FileNotFoundError:
        return None
    return old


def _drop_if_replaced(old: Path | None, entry: Entry, base: str | None) -> None:
    """Removes an entry put aside if the task has written all of its files anew."""
    before = read_entry(old, base) if old is not None else None
    if old is not None and before is not None and {o.path for o in before.report.outputs} <= set(entry.modified):
        fs.remove(old)
