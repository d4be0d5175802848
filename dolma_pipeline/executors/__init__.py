"""Where tasks run: in this process, or on Ray. Stages never know which."""

from __future__ import annotations

from dolma_pipeline.executors.base import Done, Executor
from dolma_pipeline.executors.local import LocalExecutor

__all__ = ["Done", "Executor", "LocalExecutor", "make_executor"]


def make_executor(processes: int, address: str | None) -> Executor:
    """In-process for one process; else Ray: a local one, or the cluster at `address`."""
    if address is None and processes == 1:
        return LocalExecutor()
    from dolma_pipeline.executors.ray import RayExecutor

    return RayExecutor(processes, address)
