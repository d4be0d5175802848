"""Where tasks run: in this process, or on Ray. Stages never know which."""

from __future__ import annotations

from collections.abc import Callable

from dolma_pipeline.executors.base import Done, Executor
from dolma_pipeline.executors.local import LocalExecutor

__all__ = ["Done", "Executor", "LocalExecutor", "make_executor"]


def make_executor(processes: int, address: str | None, say: Callable[[str], None] = lambda line: None) -> Executor:
    """In-process for one process, with `say` for what its tasks have to tell; else Ray: local, or at `address`."""
    if address is None and processes == 1:
        return LocalExecutor(say)
    from dolma_pipeline.executors.ray import RayExecutor

    return RayExecutor(processes, address)
