"""How a phase stands: which of its tasks are to be done, and what the ledger says of the others."""

from __future__ import annotations

import contextlib
import gc
import hashlib
from collections import ChainMap
from collections.abc import Iterator

from msgspec import Struct

from dolma_pipeline.engine.ledger import entry_path, fingerprint, holds, newest
from dolma_pipeline.engine.state import State, warnings_of
from dolma_pipeline.engine.task import Task
from dolma_pipeline.engine.worker import ReadyTask
from dolma_pipeline.errors import StageError


class Standing(Struct, kw_only=True):
    """The tasks of a phase."""

    tasks: int = 0
    """How many there are."""
    pending: list[ReadyTask] = []
    """Those that are to be done, in the order of the plan."""
    phases: list[str] = []
    """The directories of their ledger entries."""
    loose: bool = False
    """Whether there are entries in files of their own, which an earlier run has not put together."""
    stale: bool = False
    """Whether there are entries of tasks that are no more, and older ones of tasks that were done again."""
    warnings: list[str] = []
    """What the tasks that are up to date had to say."""
    digest: str = ""
    """12 hex digits that stand for the fingerprints of all tasks."""


@contextlib.contextmanager
def _uncollected() -> Iterator[None]:
    """Keeps Python from looking for cycles among a million objects that have none, which takes a third of the time."""
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


@_uncollected()
def look_up(base: str, tasks: list[Task], state: State, *, force: bool = False) -> Standing:
    """Looks up `tasks` in the ledger of the work directory `base`, and enters in `state` those that are up to date.

    With `force` none is. Raises FileNotFoundError if an input is not written yet, and StageError if two tasks of a
    phase have one name.
    """
    marks = _marks(base, tasks, state)
    found = Standing(tasks=len(tasks), digest=_digest(marks), stale=force)
    numbers = _numbers(tasks)
    found.phases = list(numbers)
    # A million tasks and a million reports do not stand in memory at once: a task that is up to date is let go of.
    waiting: list[Task | None] = list(tasks)
    del tasks
    for phase, names in numbers.items():
        for place, entry in newest(base, phase):
            found.loose |= place.number is None
            number = names.pop(entry.task, None)
            task = waiting[number] if number is not None else None
            if number is None or task is None:
                found.stale = True
            elif not force and holds(entry, marks[number].hex()):
                state.enter_again(task, entry)
                waiting[number] = None
                found.warnings += warnings_of(entry.report)
    found.pending = [
        ReadyTask(task=task, fingerprint=marks[number].hex(), entry=entry_path(base, task), base=base)
        for number, task in enumerate(waiting)
        if task is not None
    ]
    return found


def _marks(base: str, tasks: list[Task], state: State) -> list[bytes]:
    """The fingerprints of all tasks.

    A file that a task of the same reading makes is not written yet, or not anew. It counts by the fingerprint of that
    task, on which all that is in it depends.
    """
    made: dict[str, str] = {}
    known = ChainMap(made, state.known) if any(task.makes for task in tasks) else state.known
    marks = []
    for task in tasks:
        mark = fingerprint(task, known, state.given, base=base)
        made.update(dict.fromkeys(task.makes, mark))
        marks.append(bytes.fromhex(mark))
    return marks


def _digest(marks: list[bytes]) -> str:
    joined = hashlib.blake2b(digest_size=6)
    for mark in marks:
        joined.update(mark.hex().encode())
    return joined.hexdigest()


def _numbers(tasks: list[Task]) -> dict[str, dict[str, int]]:
    """The places of tasks in their list, by phase and name."""
    numbers: dict[str, dict[str, int]] = {}
    for number, task in enumerate(tasks):
        names = numbers.setdefault(task.phase, {})
        if names.setdefault(task.name, number) != number:
            raise StageError(
                f"phase {task.phase}: expected a name of its own for every task, found `{task.name}` twice"
            )
    return numbers
