"""What a worker does: it executes tasks in this process, and notes in the ledger that its tasks are done."""

from __future__ import annotations

import contextlib
import os
import platform
from collections.abc import Callable, Iterator
from pathlib import Path

from msgspec import Struct

from dolma_pipeline.engine.blame import blame
from dolma_pipeline.engine.ledger import drop_if_replaced, enter, put_aside
from dolma_pipeline.engine.roots import Roots
from dolma_pipeline.engine.task import Context, Report, Task, call, named
from dolma_pipeline.errors import DolmaError, StageError, add_note, where
from dolma_pipeline.io import fs
from dolma_pipeline.secrets import adopt, hide


class ReadyTask(Struct, frozen=True, kw_only=True):
    """A task ready to be executed anywhere: what to do, and where to note that it is done."""

    task: Task
    fingerprint: str
    entry: str
    """Path of the ledger entry."""
    roots: Roots | None = None
    """The directories of the run, which neither the fingerprint nor the entry names: a run that is moved stays up to
    date."""


class FusedTasks(Struct, frozen=True, kw_only=True):
    """Tasks that are executed together: one task alone, or several that share one reading."""

    tasks: tuple[ReadyTask, ...]
    hidden: dict[str, str] = {}
    """What `secrets.known` says in the driver."""
    directory: str | None = None
    """The driver's current directory, which relative paths in the tasks start from; None takes that of this process."""

    @property
    def name(self) -> str:
        return self.tasks[0].task.name

    @property
    def weight(self) -> int:
        return max(t.task.weight for t in self.tasks)


def _what(fused: FusedTasks, error: BaseException | None = None) -> str:
    """Returns the tasks in words: which phase of which file. If it is known which of them `error` ended, that one."""
    at = where(error) if error is not None else None
    read = next(iter(at.inputs), None) if at else next((p for t in fused.tasks for p in t.task.inputs), None)
    phase, name = (at.phase, at.task) if at else (fused.tasks[0].task.phase, fused.name)
    return f"{phase} of {name}" + ("" if read is None else f", which reads {read}")


def _reports(tasks: list[Task], context: Context) -> list[Report]:
    fused_run = tasks[0].fused_run
    if not fused_run:
        return [call(task, context) for task in tasks]
    function: Callable[[list[Task], Context], list[Report]] = named(fused_run)
    return function(tasks, context)


def execute(fused: FusedTasks, context: Context) -> list[Report]:
    """Does the work and enters it. The old entries are put aside first: an interrupted rerun must not look finished."""
    adopt(fused.hidden)
    aside = [put_aside(Path(t.entry)) for t in fused.tasks]
    try:
        with _directory_of(fused) as reports:
            reports += _reports([t.task for t in fused.tasks], context)
    except SystemExit as error:
        # Code of a user may call it; the command must not end as if all were done.
        what = _what(fused, error)
        raise StageError(f"{what}: expected a result, found a call of sys.exit({error.code!r})") from error
    except (DolmaError, KeyboardInterrupt):
        raise
    except BaseException as error:  # a panic of native code is no Exception
        of_user = blame(error, _what(fused, error))
        if of_user is not None:
            raise of_user from error
        if not isinstance(error, OSError):
            add_note(error, f"in {_what(fused, error)}")
        raise
    for ready, report, old in zip(fused.tasks, reports, aside, strict=True):
        report.warnings = [hide(w) for w in report.warnings]
        entry = enter(ready.entry, ready.task, ready.fingerprint, report, ready.roots)
        drop_if_replaced(old, entry, ready.roots)
    return reports


@contextlib.contextmanager
def _directory_of(fused: FusedTasks) -> Iterator[list[Report]]:
    """Takes the reports of work that is done in the driver's directory.

    Tasks name files as the recipe does, so that a folder that was moved with its data is up to date. Raises StageError
    if relative paths would lead elsewhere: there is no such directory here, or code of a user has left it for another.
    """
    reports: list[Report] = []
    if fused.directory is None:
        yield reports
        return
    relative = [p for t in fused.tasks for p in t.task.inputs if not os.path.isabs(p)]  # noqa: PTH117
    if fs.is_directory(fused.directory):
        os.chdir(fused.directory)
    elif relative:
        raise StageError(
            f"{_what(fused)}: expected the directory {fused.directory} on {platform.node()}, found none: "
            f"`{relative[0]}` is relative to it; give absolute paths of storage that every node sees"
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
            f"{_what(fused)}: expected the current directory to stay {before}, found {found}: a tagger or filter of "
            f"yours calls os.chdir, and `{relative[0]}` is relative; go back there, or give absolute paths"
        ) from changed


def _current_directory() -> str | None:
    try:
        return os.getcwd()  # noqa: PTH109
    except FileNotFoundError:
        return None
