"""One worker, this process: for laptops, debugging and tests. Imports no Ray."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from dolma_pipeline.engine.task import Context
from dolma_pipeline.engine.worker import FusedTasks
from dolma_pipeline.executors.base import Done, measure


class LocalExecutor:
    workers = 1

    def __init__(self, say: Callable[[str], None] = lambda line: None) -> None:
        self._context = Context(say)

    def run(self, tasks: Sequence[FusedTasks]) -> Iterator[Done]:
        for fused in tasks:
            yield measure(fused, self._context)

    def close(self) -> None:
        self._context = Context(self._context.say)
