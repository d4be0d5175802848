"""How a phase stands: which of its tasks are to be done, and what the ledger says of the others."""

from __future__ import annotations

import contextlib
import gc
import hashlib
import itertools
from collections import ChainMap
from collections.abc import Callable, Iterable, Iterator, Mapping

from msgspec import Struct

from dolma_pipeline.engine.ledger import GivenFile, entry_path, fingerprints, look_at, standing
from dolma_pipeline.engine.roots import Roots
from dolma_pipeline.engine.segments import Entry, places, read
from dolma_pipeline.engine.state import State
from dolma_pipeline.engine.task import Task
from dolma_pipeline.engine.worker import ReadyTask
from dolma_pipeline.errors import StageError

MOST_TASKS = 4096
"""Number of tasks whose inputs are looked at together: so many are in memory at a time."""


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
    found = Standing(stale=force)
    digest = hashlib.blake2b(digest_size=6)
    expected: dict[str, dict[str, bytes]] = {}
    # A file that a task of the same reading makes is not written yet, or not anew. It counts by the fingerprint of that
    # task, on which all that is in it depends.
    made: dict[str, str] = {}
    every = iter(build())
    while part := list(itertools.islice(every, MOST_TASKS)):
        marks = _marks(part, roots, state, made)
        digest.update(b"".join(marks).hex().encode())
        for task, mark in zip(part, marks, strict=True):
            names = expected.get(task.phase)
            if names is None:
                names = expected[task.phase] = {}
            if names.setdefault(task.name, mark) is not mark:
                raise StageError(
                    f"phase {task.phase}: expected a name of its own for every task, found `{task.name}` twice"
                )
        found.tasks += len(part)
    found.digest = digest.hexdigest()
    found.phases = list(expected)
    for phase, names in expected.items():
        _find_done(roots, phase, names, state, found, force=force)
    if any(expected.values()):
        found.pending = [
            ReadyTask(task=task, fingerprint=left.hex(), entry=entry_path(roots.work_dir, task), roots=roots)
            for task in build()
            if (left := expected[task.phase].get(task.name)) is not None
        ]
    return found


def _marks(tasks: list[Task], roots: Roots, state: State, made: dict[str, str]) -> list[bytes]:
    """The fingerprints of some tasks, whose inputs are looked at together; what they make is entered in `made`."""
    known: Mapping[str, str] = ChainMap(made, state.known) if made else state.known
    makes = {path for task in tasks for path in task.makes} if any(task.makes for task in tasks) else set()
    read = {path: None for task in tasks for path in task.inputs if path not in known and path not in makes}
    seen = look_at(list(read))
    _enter_given(state.given, seen)
    if not makes:
        return fingerprints(tasks, known, state.given, roots=roots, seen=seen)
    marks = []
    for task in tasks:
        marks += fingerprints([task], ChainMap(made, state.known), state.given, roots=roots, seen=seen)
        made.update(dict.fromkeys(task.makes, marks[-1].hex()))
    return marks


def _enter_given(given: dict[str, GivenFile], seen: dict[str, GivenFile]) -> None:
    """Enters files as they were when the run first looked at them."""
    if given.keys().isdisjoint(seen):
        given.update(seen)
    else:
        given.update({path: found for path, found in seen.items() if path not in given})


def _find_done(
    roots: Roots, phase: str, names: dict[str, bytes], state: State, found: Standing, *, force: bool
) -> None:
    """Takes the tasks of a phase that are up to date out of `names`, and enters in `state` what the ledger says."""
    again: dict[str, bytes] = {}
    for place in places(roots.work_dir, phase):
        if place.aside:
            continue
        same: list[Entry] = []
        for entry in read(place, roots):
            mark = names.pop(entry.task, None)
            if mark is None:
                found.stale = True
            elif force or entry.fingerprint != mark.hex():
                again[entry.task] = mark
            else:
                same.append(entry)
            found.loose |= place.number is None
        stand = standing(same, roots)
        again.update({e.task: bytes.fromhex(e.fingerprint) for e, still in zip(same, stand, strict=True) if not still})
        if any(stand):
            found.warnings += state.enter_again(phase, itertools.compress(same, stand))
    names.update(again)
