"""Ray Core actors: one per process, so that a model is loaded once; only paths go in and small reports come out.

A worker that is lost is replaced by a new one wherever there is room, and its tasks go to whoever is free.
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import ray

from dolma_pipeline.engine.worker import FusedTasks
from dolma_pipeline.errors import StageError
from dolma_pipeline.executors.answer import Answer
from dolma_pipeline.executors.base import Done
from dolma_pipeline.executors.ray_cluster import check_shared, connect, own_ray_lives
from dolma_pipeline.executors.ray_worker import code_here, make_worker
from dolma_pipeline.io import fs

log = logging.getLogger(__name__)

PATIENCE = 30
"""Seconds without a worker before that is said."""
QUEUED = 2
"""Tasks handed to an actor at a time: one at work, one waiting, so that it never idles; of the last tasks, one for each
worker, none waits behind another."""
TRIES = 3
"""How often a task may lose its worker (killed for memory, crashed) before the run ends."""
NODES = 8
"""How often a task may lose the node it runs on, which is seldom the fault of the task."""
STARTS = 5
"""How often in a row a worker may be lost before it has started, while no other worker runs."""
LONGEST_WAIT = 30.0
DRAIN = 10.0
"""Seconds that tasks at work have to finish once another has failed."""
ARRIVAL = 10.0
"""Seconds until an output that a worker of another node has written must be seen here: NFS caches directories."""


@dataclass
class Attempt:
    """Fused tasks on their way, and what has become of them so far."""

    fused: FusedTasks
    killed: int = 0
    """Workers lost with it at work."""
    moved: int = 0
    """Nodes lost with it at work."""
    after: float = 0.0
    """When it may be tried again."""


@dataclass(eq=False)
class Hand:
    """An actor: starting while `starting` is set, and its tasks in the order in which it does them."""

    actor: Any
    starting: Any
    node: str = ""
    tasks: dict[Any, Attempt] = field(default_factory=dict)


class RayExecutor:
    """`processes` actors on a local Ray that is started here, or on the cluster at `address` (`auto`, `ray://...`).

    On a cluster, one process stands for all its CPUs. A Ray that was already there is left running.
    """

    def __init__(
        self,
        processes: int,
        address: str | None,
        say: Callable[[str], None] = lambda line: None,
        shared: Sequence[Path] = (),
    ) -> None:
        self._say = say
        self._session = connect(processes, address)
        self._hands: list[Hand] = []
        self._due: list[float] = []
        """When lost actors are to be replaced."""
        self._failed_starts = 0
        self._lost_in_a_row = 0
        try:
            for directory in shared if address is not None else ():
                check_shared(directory, say)
            if address is not None and processes == 1:
                processes = max(1, int(ray.cluster_resources().get("CPU", 1)))
            # Ray's own restarts and retries are off: they would give a task to the same place again, at once.
            self._worker: Any = ray.remote(num_cpus=1, max_restarts=0, max_task_retries=0)(make_worker())
            self._code = code_here(compare=not self._session.own)
            self._hands = [self._start() for _ in range(processes)]
        except BaseException:
            self.close()
            raise

    @property
    def workers(self) -> int:
        return len(self._hands)

    def _start(self) -> Hand:
        actor = self._worker.remote(self._code)
        return Hand(actor, actor.ready.remote())

    def run(self, tasks: Sequence[FusedTasks]) -> Iterator[Done]:
        waiting = deque(Attempt(fused) for fused in tasks)
        try:
            while waiting or any(h.tasks for h in self._hands):
                self._replace()
                self._supply(waiting)
                ready = self._wait(waiting)
                for reference in ready:
                    done = self._take(reference, waiting)
                    if done is not None:
                        yield done
        except ray.exceptions.RayError as error:
            raise StageError(
                f"Ray has ended during the run ({_first_line(error)}); the same command again resumes where it stopped"
            ) from error
        except Exception:
            self._drain()
            raise
        finally:
            # They belong to a run that has failed: the next one must not take their results for its own.
            for hand in self._hands:
                hand.tasks.clear()

    def _supply(self, waiting: deque[Attempt]) -> None:
        """Gives tasks to the workers that run: one that a busy cluster has no room for yet must not hold any."""
        now = time.monotonic()
        for hand in self._hands:
            while hand.starting is None and waiting and len(hand.tasks) < QUEUED:
                if hand.tasks and len(waiting) <= len(self._hands):
                    break
                attempt = next((a for a in waiting if a.after <= now), None)
                if attempt is None:
                    return
                waiting.remove(attempt)
                try:
                    reference = hand.actor.execute.remote(msgspec.msgpack.encode(attempt.fused))
                except ray.exceptions.RayError:  # it is lost, which its other references tell
                    waiting.appendleft(attempt)
                    break
                hand.tasks[reference] = attempt

    def _wait(self, waiting: deque[Attempt]) -> list[Any]:
        """The first reference that is ready; none where it is time to replace a worker or to try a task again."""
        now = time.monotonic()
        pending = [r for h in self._hands for r in ([h.starting] if h.starting is not None else h.tasks)]
        times = [*self._due, *(a.after for a in waiting if a.after > now)]
        timeout = max(0.05, min([PATIENCE, *(t - now for t in times)]))
        if not pending:
            time.sleep(timeout)
            return []
        ready, _ = ray.wait(pending, num_returns=1, timeout=timeout)
        if not ready and timeout == PATIENCE and all(h.starting is not None for h in self._hands):
            log.warning("%s", self._no_room())
        return list(ready)

    def _take(self, reference: Any, waiting: deque[Attempt]) -> Done | None:
        """What has become of `reference`: the reports of tasks, a worker that has started, or a lost worker."""
        hand = next((h for h in self._hands if h.starting is reference or reference in h.tasks), None)
        if hand is None:  # its worker was given up
            return None
        try:
            found = ray.get(reference)
        except ray.exceptions.LocalRayletDiedError:
            raise
        except ray.exceptions.RayError as error:
            self._lose(hand, error, waiting)
            return None
        if hand.starting is reference:
            hand.starting = None
            hand.node, problem = found
            if problem is not None:
                raise StageError(f"a worker on node {hand.node} cannot work: {problem}")
            self._failed_starts = 0
            return None
        del hand.tasks[reference]
        self._lost_in_a_row = 0
        return self._result(msgspec.msgpack.decode(found, type=Answer), hand)

    def _result(self, answer: Answer, hand: Hand) -> Done:
        if answer.failure is not None:
            error = answer.failure.exception()
            if isinstance(error, FileNotFoundError) and not self._session.own:
                raise StageError(
                    f"{error.filename}: no such file on node {hand.node}; inputs and outputs must be on storage that "
                    "every node of the cluster sees at the same path"
                ) from error
            raise error
        done = answer.done
        if done is None:
            raise StageError(f"node {hand.node}: a worker sent back neither a report nor an error")
        if not self._session.own:
            _check_arrived(done, hand.node)
        return done

    def _lose(self, hand: Hand, error: ray.exceptions.RayError, waiting: deque[Attempt]) -> None:
        """Gives up a worker: its tasks are for others, and a new one takes its place after a while."""
        if self._session.own and not own_ray_lives():
            raise StageError(
                "Ray on this machine has ended during the run: killed, most likely, as memory ran out; the same "
                "command again resumes where it stopped, and fewer --processes need less"
            ) from error
        self._hands.remove(hand)
        # One that is only unreachable must not go on: its tasks are done elsewhere.
        with contextlib.suppress(Exception):
            ray.kill(hand.actor)
        self._lost_in_a_row += 1
        delay = min(LONGEST_WAIT, 2.0 ** (self._lost_in_a_row - 1) / 2)
        self._due.append(time.monotonic() + delay)
        if hand.starting is not None:
            self._failed_starts += 1
            if self._failed_starts >= STARTS and all(h.starting is not None for h in self._hands):
                raise StageError(f"no worker could start, {STARTS} tries: {_first_line(error)}") from error
            return
        attempts = list(hand.tasks.values())
        hand.tasks.clear()
        waiting.extendleft(reversed(attempts))
        if not attempts:
            return
        first = attempts[0]
        first.after = time.monotonic() + delay
        if _node_lost(error):
            first.moved += 1
        else:
            first.killed += 1
        name = f"{first.fused.tasks[0].task.phase} of {first.fused.name}"
        if first.killed >= TRIES or first.moved >= NODES:
            raise StageError(
                f"{name}: its worker was lost {first.killed + first.moved} times, the last time on node {hand.node}: "
                f"{_cause(error)}"
            ) from error
        self._say(f"{name}: its worker on node {hand.node} was lost ({_cause(error)}); it is tried again on another")

    def _replace(self) -> None:
        now = time.monotonic()
        for due in [d for d in self._due if d <= now]:
            self._due.remove(due)
            self._hands.append(self._start())

    def _drain(self) -> None:
        """Lets tasks at work finish, and enter what they did in the ledger, before the run ends."""
        working = [next(iter(h.tasks)) for h in self._hands if h.tasks]
        with contextlib.suppress(Exception):
            if working:
                ray.wait(working, num_returns=len(working), timeout=DRAIN)

    def _no_room(self) -> str:
        total, free = ray.cluster_resources().get("CPU", 0), ray.available_resources().get("CPU", 0)
        return (
            f"no worker of {len(self._hands)} could start in {PATIENCE} s: each needs a CPU, and of the {total:g} of "
            f"this Ray {free:g} are free; waiting for other work on it to end or for more nodes"
        )

    def close(self) -> None:
        # A Ray of our own ends with all its processes; of workers killed one by one it would print, on stdout, that
        # their tasks are to be repeated.
        for hand in self._hands if not self._session.own else []:
            with contextlib.suppress(Exception):
                ray.kill(hand.actor)
        self._hands, self._due = [], []
        if self._session.started:
            ray.shutdown()


def _check_arrived(done: Done, node: str) -> None:
    """Raises StageError if an output that a worker has reported is not here."""
    deadline = time.monotonic() + ARRIVAL
    for output in [o for report in done.reports for o in report.outputs]:
        while True:
            with contextlib.suppress(FileNotFoundError):
                if fs.stat(output.path).size == output.bytes:
                    break
            if time.monotonic() > deadline:
                raise StageError(
                    f"{output.path}: expected {output.bytes:,} bytes that a worker on node {node} has written, found "
                    "no such file here; outputs must be on storage that every node of the cluster sees at the same "
                    "path"
                )
            time.sleep(0.2)


def _node_lost(error: ray.exceptions.RayError) -> bool:
    """Whether the node or the way to it is gone, rather than the process."""
    kinds = (ray.exceptions.ActorUnavailableError, ray.exceptions.NodeDiedError)
    if isinstance(error, kinds) or getattr(error, "preempted", False):
        return True
    return "node has died" in str(error) or "node is dead" in str(error)


def _cause(error: ray.exceptions.RayError) -> str:
    """The likely reason in a few words."""
    text = str(error)
    if _node_lost(error):
        return "its node is gone or cannot be reached"
    if isinstance(error, ray.exceptions.OutOfMemoryError) or "memory monitor" in text or "OOM" in text.split("(1)")[0]:
        return "killed by Ray as the memory of its node ran out; fewer --processes or smaller files need less"
    return (
        "its process ended: killed as memory ran out, most likely, which fewer --processes or smaller files avoid, or "
        "a crash in native code"
    )


def _first_line(error: BaseException) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)[:300]
