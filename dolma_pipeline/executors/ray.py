"""Ray Core actors: one per process, so that a model is loaded once; only paths go in and small reports come out."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import threading
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
import ray

from dolma_pipeline.errors import DolmaError, StageError
from dolma_pipeline.executors.base import Done, measure
from dolma_pipeline.ledger import Job
from dolma_pipeline.task import Context

log = logging.getLogger(__name__)

PATIENCE = 30
"""Seconds without a worker before that is said."""
QUEUED = 2
"""Jobs handed to an actor at a time: one at work, one waiting, so that it never idles; of the last jobs, one for each
worker, none waits behind another."""
RETRIES = 3
"""How often a job is repeated with its worker lost (node gone, killed for memory). The worker starts anew each time."""


class Worker:
    """Executes jobs one after another in a process of its own."""

    def __init__(self) -> None:
        os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
        self._context = Context()

    def ready(self) -> None:
        """Returns once the worker runs."""

    def execute(self, job: bytes) -> bytes:
        return msgspec.msgpack.encode(measure(msgspec.msgpack.decode(job, type=Job), self._context))


@contextlib.contextmanager
def _sigterm_as_it_was() -> Iterator[None]:
    """Ray ends the process by its own rules, and with a report of a crash; the command has a better end for it."""
    handler = signal.getsignal(signal.SIGTERM)
    try:
        yield
    except SystemExit:
        # What Ray raises while it starts.
        if callable(handler):
            handler(signal.SIGTERM, None)
        raise
    finally:
        if handler is not None and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, handler)


class RayExecutor:
    """`processes` actors on a local Ray that is started here, or on the cluster at `address` (`auto`, `ray://...`).

    On a cluster, one process stands for all its CPUs. A Ray that was already there is left running.
    """

    def __init__(self, processes: int, address: str | None) -> None:
        self._started = not ray.is_initialized()
        self._own = self._started and address is None
        if self._started:
            # Quiet: the driver reports progress itself, and a dashboard would only cost memory.
            os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
            os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
            quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
            with _sigterm_as_it_was():
                if address is None:
                    ray.init(num_cpus=processes, include_dashboard=False, **quiet)
                else:
                    ray.init(address=address, **quiet)
        if address is not None and processes == 1:
            processes = max(1, int(ray.cluster_resources().get("CPU", 1)))
        worker: Any = ray.remote(num_cpus=1, max_restarts=-1, max_task_retries=RETRIES)(Worker)
        self._workers = [worker.remote() for _ in range(processes)]

    def run(self, jobs: Sequence[Job]) -> Iterator[Done]:
        waiting = list(reversed(jobs))
        # A worker is given work only once it runs: those that a busy cluster has no room for yet must not hold any.
        starting: dict[Any, Any] = {worker.ready.remote(): worker for worker in self._workers}
        running: dict[Any, tuple[Any, Job]] = {}

        def supply(worker: Any) -> None:
            held = sum(w is worker for w, _ in running.values())
            while waiting and (held == 0 or (held < QUEUED and len(waiting) > len(self._workers))):
                job = waiting.pop()
                running[worker.execute.remote(msgspec.msgpack.encode(job))] = (worker, job)
                held += 1

        while waiting or running:
            pending = [*starting, *running] if waiting else list(running)
            ready, _ = ray.wait(pending, num_returns=1, timeout=PATIENCE)
            if not ready:
                if not running:
                    log.warning("%s", self._no_room())
                continue
            if ready[0] in starting:
                supply(starting.pop(ready[0]))
            else:
                worker, job = running.pop(ready[0])
                done = self._result(ready[0], job)
                supply(worker)
                yield done

    def _no_room(self) -> str:
        total, free = ray.cluster_resources().get("CPU", 0), ray.available_resources().get("CPU", 0)
        return (
            f"no worker of {len(self._workers)} could start in {PATIENCE} s: each needs a CPU, and of the {total:g} of "
            f"this Ray {free:g} are free; waiting for other work on it to end or for more nodes"
        )

    @staticmethod
    def _result(reference: Any, job: Job) -> Done:
        try:
            return msgspec.msgpack.decode(ray.get(reference), type=Done)
        except ray.exceptions.RayTaskError as error:
            cause = error.cause
            if isinstance(cause, (DolmaError, OSError)):
                raise cause from None
            raise
        except ray.exceptions.RayActorError as error:
            raise StageError(
                f"{job.works[0].task.phase}: the worker of {job.name} was lost {RETRIES + 1} times "
                f"(killed, out of memory, or its node is gone): {error}"
            ) from None

    def close(self) -> None:
        # A Ray of our own ends with all its processes; of workers killed one by one it would print, on stdout, that
        # their jobs are to be repeated.
        for worker in self._workers if not self._own else []:
            ray.kill(worker)
        self._workers = []
        if self._started:
            ray.shutdown()
