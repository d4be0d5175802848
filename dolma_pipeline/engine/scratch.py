"""Scratch files: what one phase leaves for the next ones of its stage.

They are removed when their stage is done, and nobody looks for them as long as nothing needs them: a task whose entry
in the ledger holds counts as done without its scratch files. When a later task has to be done again and reads some that
are gone, the tasks that write them are done again first.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from dolma_pipeline.engine.builder import Phase, StageInfo
from dolma_pipeline.engine.file_list import FileList
from dolma_pipeline.engine.ledger import newest, stands
from dolma_pipeline.engine.roots import QUARANTINE, Roots
from dolma_pipeline.engine.task import Task
from dolma_pipeline.io import fs


def missing(roots: Roots, phase: Phase, lists: Sequence[FileList], tasks: Iterable[Task]) -> dict[str, set[str]]:
    """Returns which tasks of earlier phases must be done again before `tasks` of `phase` can be: names by phase.

    `lists`: the lists of files that the tasks read.
    """
    own = {each.path for each in lists}
    wanted: dict[str, set[str]] = {}
    for path in _read(lists, tasks):
        writer = roots.scratch_phase(path)
        # The task that set bad lines of a piece aside has written other scratch files too, by which it is found.
        if writer is not None and writer != QUARANTINE and path not in own:
            wanted.setdefault(writer, set()).add(path)
    whole = set(phase.reads)
    found: dict[str, set[str]] = {}
    for writer in sorted({*wanted, *whole}):
        names = _gone(roots, writer, None if writer in whole else wanted[writer])
        if names:
            found[writer] = names
    return found


def _read(lists: Sequence[FileList], tasks: Iterable[Task]) -> Iterable[str]:
    """The files that the tasks name, each once for every task that does, and those of the lists."""
    for task in tasks:
        yield from task.inputs
    for each in lists:
        yield from each.files


def _gone(roots: Roots, phase: str, wanted: set[str] | None) -> set[str]:
    """The tasks of a phase that have written files in `wanted`, or any, which do not stand any more."""
    seen: set[str] = set()
    gone: set[str] = set()
    for _, entry in newest(roots, phase):
        if entry.task in seen:
            continue
        seen.add(entry.task)
        files = [file for file in entry.outputs if roots.scratch_phase(file.path) is not None]
        if (wanted is None or any(file.path in wanted for file in files)) and not all(map(stands, files)):
            gone.add(entry.task)
    return gone


def place_of(phases: Sequence[Phase], name: str) -> int:
    """Returns where in the plan the tasks of the phase `name` are; -1 if there are none of them."""
    found = (place for place, phase in enumerate(phases) if phase.id == name or name in phase.parts)
    return next(found, -1)


def finished(phases: Sequence[Phase], number: int, stages: Iterable[StageInfo]) -> list[str]:
    """Returns the phases whose scratch files nothing needs once the phase `number` of the plan is done."""
    last: dict[str, int] = {}
    for place, phase in enumerate(phases):
        last.update(dict.fromkeys((phase.id, *phase.parts), place))
    done: list[str] = []
    for stage in stages:
        places = [last[phase] for phase in stage.phases if phase in last]
        if places and max(places) == number:
            done += stage.phases
    return done


def remove(roots: Roots, phases: Iterable[str]) -> None:
    """Removes the scratch files of some phases."""
    for phase in phases:
        directory = Path(roots.scratch) / phase
        if fs.is_directory(directory):
            fs.remove_tree(directory)


def remove_rest(roots: Roots) -> None:
    """Removes the scratch files of no single stage, and the scratch directory if nothing is left in it."""
    remove(roots, [QUARANTINE])
    try:
        fs.remove_directory(roots.scratch)
    except OSError:
        return
