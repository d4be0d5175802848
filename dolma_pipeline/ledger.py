"""The ledger: one small JSON file per finished task, written after its outputs. What has an entry is not done again.

An entry holds for as long as its fingerprint (function, version, settings, inputs) and its outputs are what they were.
Plain files under the work directory, no database: they work on any file system and can be read by anyone.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import msgspec
from msgspec import Struct

from dolma_pipeline.errors import DataError, DolmaError, StageError
from dolma_pipeline.storage import output, read_json, write_json
from dolma_pipeline.task import Context, Output, Report, Task, call


class Entry(Struct, frozen=True, kw_only=True):
    """A finished task."""

    task: str
    fingerprint: str
    report: Report
    modified: dict[str, int]
    """mtime in ns of each output when it was finished: while it stands, the bytes are not read again."""


class Work(Struct, frozen=True, kw_only=True):
    """A task ready to be executed anywhere: what to do, and where to note that it is done."""

    task: Task
    fingerprint: str
    entry: str
    """Path of the ledger entry."""


class Job(Struct, frozen=True, kw_only=True):
    """Work done in one go: one task, or the steps of one group."""

    works: tuple[Work, ...]

    @property
    def name(self) -> str:
        return self.works[0].task.name

    @property
    def weight(self) -> int:
        return max(w.task.weight for w in self.works)


def entry_path(work_dir: Path, task: Task) -> Path:
    return work_dir / "ledger" / task.phase / f"{task.name}.json"


def fingerprint(task: Task, known: dict[str, str]) -> str:
    """What the outputs of `task` depend on, as 32 hex digits.

    `known`: BLAKE3 of the files that earlier phases wrote; any other input counts by size and modification time.
    """
    inputs: list[list[str | int]] = []
    for path in task.inputs:
        if path in known:
            inputs.append([path, known[path]])
        else:
            stat = Path(path).stat()
            inputs.append([path, stat.st_size, stat.st_mtime_ns])
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
    """Does the work and enters it. The old entries go first: an interrupted rerun must not look finished."""
    for work in job.works:
        Path(work.entry).unlink(missing_ok=True)
    try:
        reports = _reports([w.task for w in job.works], context)
    except SystemExit as error:
        # Code of a user may call it; the command must not end as if all were done.
        raise StageError(f"{_what(job)}: expected a result, found a call of sys.exit({error.code!r})") from error
    except (DolmaError, OSError, KeyboardInterrupt):
        raise
    except BaseException as error:  # a panic of native code is no Exception
        error.add_note(f"in {_what(job)}")
        raise
    for work, report in zip(job.works, reports, strict=True):
        modified = {o.path: Path(o.path).stat().st_mtime_ns for o in report.outputs}
        entry = Entry(task=work.task.name, fingerprint=work.fingerprint, report=report, modified=modified)
        write_json(work.entry, entry)
    return reports
