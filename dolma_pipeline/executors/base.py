"""The contract of an executor: tasks in, reports out in any order."""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Iterator, Sequence
from typing import Protocol

from msgspec import Struct

from dolma_pipeline.engine.task import Context, Report
from dolma_pipeline.engine.worker import FusedTasks, execute
from dolma_pipeline.errors import Where, put_where


class Done(Struct, frozen=True, kw_only=True):
    """Finished tasks, and what they cost; costs are never part of the data."""

    fused: FusedTasks
    reports: list[Report]
    seconds: float
    """Wall time."""
    cpu_seconds: float
    peak_rss: int
    """Bytes; of the worker's life so far."""


class Executor(Protocol):
    @property
    def workers(self) -> int:
        """Number of tasks that may be at work at once."""
        ...

    def run(self, tasks: Sequence[FusedTasks]) -> Iterator[Done]:
        """Executes all tasks, yielding each as it is finished; the first failure is raised."""
        ...

    def close(self) -> None:
        """Gives up whatever was started."""
        ...


def measure(fused: FusedTasks, context: Context) -> Done:
    """Executes tasks that are fused, in this process."""
    wall, cpu = time.perf_counter(), time.process_time()
    try:
        reports = execute(fused, context)
    except BaseException as error:
        task = fused.tasks[0].task
        put_where(
            error, Where(task.phase, task.name, tuple(dict.fromkeys(p for w in fused.tasks for p in w.task.inputs)))
        )
        raise
    rss = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return Done(
        fused=fused,
        reports=reports,
        seconds=time.perf_counter() - wall,
        cpu_seconds=time.process_time() - cpu,
        peak_rss=rss if sys.platform == "darwin" else rss * 1024,
    )
