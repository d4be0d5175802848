"""The ledger: one small JSON file per finished task, written after its outputs. What has an entry is not done again.

An entry holds for as long as its fingerprint (function, version, settings, inputs) and its outputs are what they were.
Plain files under the work directory, no database: they work on any file system and can be read by anyone.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import msgspec
from msgspec import Struct

from dolma_pipeline.errors import DataError
from dolma_pipeline.secrets import adopt, hide
from dolma_pipeline.storage import output, read_json, write_json
from dolma_pipeline.task import Context, Output, Report, Task, call


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


class Work(Struct, frozen=True, kw_only=True):
    """A task ready to be executed anywhere: what to do, and where to note that it is done."""

    task: Task
    fingerprint: str
    entry: str
    """Path of the ledger entry."""


class Job(Struct, frozen=True, kw_only=True):
    """Work done in one go: one task, or the steps of one group."""

    works: tuple[Work, ...]
    hidden: dict[str, str] = {}
    """What `secrets.known` says in the driver."""

    @property
    def name(self) -> str:
        return self.works[0].task.name

    @property
    def weight(self) -> int:
        return max(w.task.weight for w in self.works)


def entry_path(work_dir: Path, task: Task) -> Path:
    return work_dir / "ledger" / task.phase / f"{task.name}.json"


def fingerprint(task: Task, known: dict[str, str], given: dict[str, GivenFile] | None = None) -> str:
    """What the outputs of `task` depend on, as 32 hex digits.

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
    form = msgspec.json.encode([task.run, task.version, task.config, inputs], order="deterministic")
    return hashlib.blake2b(form, digest_size=16).hexdigest()


def up_to_date(path: Path, expected: str) -> Report | None:
    """The report of a finished task whose fingerprint is `expected` and whose outputs still stand; else None."""
    if not path.is_file():
        return None
    try:
        entry: Entry = read_json(path, Entry)
    except DataError:
        return None
    if entry.fingerprint != expected:
        return None
    return entry.report if all(_stands(o, entry.modified.get(o.path)) for o in entry.report.outputs) else None


def _stands(written: Output, modified: int | None) -> bool:
    path = Path(written.path)
    try:
        stat = path.stat()
    except FileNotFoundError:
        return False
    if stat.st_size != written.bytes:
        return False
    return stat.st_mtime_ns == modified or output(path).blake3 == written.blake3


def execute(job: Job, context: Context) -> list[Report]:
    """Does the work and enters it. The old entries go first: an interrupted rerun must not look finished."""
    adopt(job.hidden)
    for work in job.works:
        Path(work.entry).unlink(missing_ok=True)
    tasks = [w.task for w in job.works]
    if tasks[0].group:
        from dolma_pipeline.stages.shard_pass import run_steps

        reports = run_steps(tasks, context)
    else:
        reports = [call(task, context) for task in tasks]
    for work, report in zip(job.works, reports, strict=True):
        report.warnings = [hide(w) for w in report.warnings]
        modified = {o.path: Path(o.path).stat().st_mtime_ns for o in report.outputs}
        entry = Entry(task=work.task.name, fingerprint=work.fingerprint, report=report, modified=modified)
        # The outputs are on the disk by now. An entry that the machine loses with its power, or has half of, does not
        # count, and neither does one whose outputs have lost their names: the task is done again.
        write_json(work.entry, entry, durable=False)
    return reports
