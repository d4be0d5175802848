"""The contract of an executor: jobs in, reports out in any order."""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Iterator, Sequence
from typing import Protocol

from msgspec import Struct

from dolma_pipeline.engine.task import Context, Report
from dolma_pipeline.engine.worker import Job, execute
from dolma_pipeline.errors import Where, put_where


class Done(Struct, frozen=True, kw_only=True):
    """A finished job, and what it cost; costs are never part of the data."""

    job: Job
    reports: list[Report]
    seconds: float
    """Wall time."""
    cpu_seconds: float
    peak_rss: int
    """Bytes; of the worker's life so far."""


class Executor(Protocol):
    def run(self, jobs: Sequence[Job]) -> Iterator[Done]:
        """Executes all jobs, yielding each as it is finished; the first failure is raised."""
        ...

    def close(self) -> None:
        """Gives up whatever was started."""
        ...


def measure(job: Job, context: Context) -> Done:
    """Executes one job in this process."""
    wall, cpu = time.perf_counter(), time.process_time()
    try:
        reports = execute(job, context)
    except BaseException as error:
        task = job.works[0].task
        put_where(
            error, Where(task.phase, task.name, tuple(dict.fromkeys(p for w in job.works for p in w.task.inputs)))
        )
        raise
    rss = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return Done(
        job=job,
        reports=reports,
        seconds=time.perf_counter() - wall,
        cpu_seconds=time.process_time() - cpu,
        peak_rss=rss if sys.platform == "darwin" else rss * 1024,
    )
