"""How a phase stands: which of its tasks are to be done, and what the ledger says of the others."""

from __future__ import annotations

import contextlib
import gc
import hashlib
from collections import ChainMap
from collections.abc import Callable, Iterable, Iterator, Mapping

from msgspec import Struct

from dolma_pipeline.engine.ledger import entry_path, fingerprint, holds, newest
from dolma_pipeline.engine.roots import Roots
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
def look_up(roots: Roots, build: Callable[[], Iterable[Task]], state: State, *, force: bool = False) -> Standing:
    """Looks up the tasks that `build` makes in the ledger of a run, and enters in `state` those that are up to date.

    With `force` none is. A million tasks do not stand in memory at once: `build` is called a second time for those that
    are to be done, and must make the same tasks. Raises FileNotFoundError if an input is not written yet, and
    StageError if two tasks of a phase have one name.
    """
    marks: list[bytes] = []
    numbers: dict[str, dict[str, int]] = {}
    # A file that a task of the same reading makes is not written yet, or not anew. It counts by the fingerprint of that
    # task, on which all that is in it depends.
    made: dict[str, str] = {}
    known: Mapping[str, str] = state.known
    for task in build():
        names = numbers.setdefault(task.phase, {})
        if names.setdefault(task.name, len(marks)) != len(marks):
            raise StageError(
                f"phase {task.phase}: expected a name of its own for every task, found `{task.name}` twice"
            )
        mark = fingerprint(task, known, state.given, roots=roots)
        marks.append(mark)
        if task.makes:
            made.update(dict.fromkeys(task.makes, mark.hex()))
            known = ChainMap(made, state.known)
    found = Standing(tasks=len(marks), digest=_digest(marks), stale=force)
    found.phases = list(numbers)
    done = bytearray(len(marks))
    for phase, names in numbers.items():
        for place, entry in newest(roots, phase):
            found.loose |= place.number is None
            number = names.pop(entry.task, None)
            if number is None:
                found.stale = True
            elif not force and holds(entry, marks[number].hex(), roots):
                state.enter_again(phase, entry)
                done[number] = True
                found.warnings += warnings_of(entry.report)
    if not all(done):
        found.pending = [
            ReadyTask(task=task, fingerprint=marks[number].hex(), entry=entry_path(roots.work_dir, task), roots=roots)
            for number, task in enumerate(build())
            if not done[number]
        ]
    return found


def _digest(marks: list[bytes]) -> str:
    joined = hashlib.blake2b(digest_size=6)
    for mark in marks:
        joined.update(mark.hex().encode())
    return joined.hexdigest()
