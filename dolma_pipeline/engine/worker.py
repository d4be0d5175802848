"""What a worker does: it executes a job in this process, and notes in the ledger that its tasks are done."""

from __future__ import annotations

import contextlib
import os
import platform
from collections.abc import Callable, Iterator
from pathlib import Path

from msgspec import Struct

from dolma_pipeline.engine.ledger import drop_if_replaced, enter, put_aside
from dolma_pipeline.engine.task import Context, Report, Task, call, named
from dolma_pipeline.errors import DolmaError, StageError, add_note
from dolma_pipeline.io import fs
from dolma_pipeline.secrets import adopt, hide


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


def _what(job: Job) -> str:
    """The job in words: which phase of which file."""
    read = next((p for w in job.works for p in w.task.inputs), None)
    return f"{job.works[0].task.phase} of {job.name}" + ("" if read is None else f", which reads {read}")


def _reports(tasks: list[Task], context: Context) -> list[Report]:
    runner = tasks[0].runner
    if not runner:
        return [call(task, context) for task in tasks]
    function: Callable[[list[Task], Context], list[Report]] = named(runner)
    return function(tasks, context)


def execute(job: Job, context: Context) -> list[Report]:
    """Does the work and enters it. The old entries are put aside first: an interrupted rerun must not look finished."""
    adopt(job.hidden)
    aside = [put_aside(Path(w.entry)) for w in job.works]
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
        entry = enter(work.entry, work.task, work.fingerprint, report, work.base)
        drop_if_replaced(old, entry, work.base)
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
