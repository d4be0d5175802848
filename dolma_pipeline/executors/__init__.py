"""Where tasks run: in this process, or on Ray. Stages never know which."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from dolma_pipeline.errors import ConfigError
from dolma_pipeline.executors.base import Done, Executor
from dolma_pipeline.executors.local import LocalExecutor

__all__ = ["Done", "Executor", "LocalExecutor", "make_executor"]


def make_executor(
    processes: int, address: str | None, say: Callable[[str], None] = lambda line: None, shared: Sequence[Path] = ()
) -> Executor:
    """In-process for one process, else on Ray: a local one, or the cluster at `address`.

    No more local processes are started than there are processors: each takes seconds to start and much memory. `say`
    shows a line to whoever watches the run. On a cluster, every node must see the directories `shared`.
    """
    if address is None:
        most = max(2, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)
        if processes > most:
            say(f"{processes} processes were asked for; {most} are started, as many as there are processors")
            processes = most
        if processes == 1:
            return LocalExecutor(say)
    try:
        from dolma_pipeline.executors.ray import RayExecutor
    except ModuleNotFoundError as error:
        if error.name != "ray":
            raise
        raise ConfigError(
            "expected the package `ray` for several processes or a cluster, found none; `pip install ray` installs it"
        ) from None
    return RayExecutor(processes, address, say, shared)
