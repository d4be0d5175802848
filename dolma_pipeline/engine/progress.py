"""Progress: a live table on a terminal, plain lines in a log, JSON events for machines. Always on stderr."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any, Protocol

import msgspec

from dolma_pipeline.engine.bad_input import Found
from dolma_pipeline.engine.builder import Phase
from dolma_pipeline.engine.manifest import PhaseTiming
from dolma_pipeline.engine.worker import FusedTasks
from dolma_pipeline.errors import put_caller
from dolma_pipeline.report.units import counted
from dolma_pipeline.secrets import hide


class Progress(Protocol):
    def begin(self, phase: Phase, tasks: int, skipped: int) -> None: ...

    def done(self, fused: FusedTasks, timing: PhaseTiming) -> None:
        """Some tasks are finished; `timing` holds the phase's sums so far."""
        ...

    def warning(self, text: str) -> None:
        """Something about the input or the settings that the result may suffer from."""
        ...

    def bad_input(self, found: Found) -> None:
        """What could not be read in the whole run, once it is done."""
        ...

    def note(self, line: str) -> None:
        """Something that a task of this process has to tell."""
        ...

    def end(self, timing: PhaseTiming) -> None: ...


@contextlib.contextmanager
def make_progress(kind: str) -> Iterator[Progress]:
    if kind == "auto":
        kind = "rich" if sys.stderr.isatty() else "plain"
    if kind == "rich":
        with RichProgress() as progress:
            yield progress
    elif kind == "json":
        # One JSON object a line.
        yield EventProgress(lambda event: _print(msgspec.json.encode(event).decode()))
    elif kind == "plain":
        yield PlainProgress()
    elif kind == "quiet":
        yield QuietProgress()
    else:
        yield NoProgress()


def _print(line: str) -> None:
    print(hide(line), file=sys.stderr, flush=True)


def rate(timing: PhaseTiming, seconds: float) -> str:
    """`12.3 MB/s`, where the phase reads text."""
    return f"{timing.bytes / 1e6 / seconds:.1f} MB/s" if timing.bytes and seconds > 0 else ""


class NoProgress:
    def begin(self, phase: Phase, tasks: int, skipped: int) -> None: ...

    def done(self, fused: FusedTasks, timing: PhaseTiming) -> None: ...

    def warning(self, text: str) -> None: ...

    def bad_input(self, found: Found) -> None: ...

    def note(self, line: str) -> None: ...

    def end(self, timing: PhaseTiming) -> None: ...


class QuietProgress(NoProgress):
    """Only what could not be read: no document is lost in silence."""

    def bad_input(self, found: Found) -> None:
        for line in found.damage() + found.lines():
            _print(line)


class PlainProgress:
    """A line when a phase begins and ends, and at most one every few seconds between."""

    every = 5.0

    def __init__(self) -> None:
        self._started = self._last = time.monotonic()
        self._done = self._total = 0

    def warning(self, text: str) -> None:
        _print(f"warning: {text}")

    def bad_input(self, found: Found) -> None:
        # Damage was told as a warning.
        for line in found.lines():
            _print(line)

    def begin(self, phase: Phase, tasks: int, skipped: int) -> None:
        self._started = self._last = time.monotonic()
        self._done, self._total = skipped, tasks
        note = f", {skipped} up to date" if skipped else ""
        _print(f"{phase.id}: {phase.what} ({counted(tasks, 'task')}{note})")

    def done(self, fused: FusedTasks, timing: PhaseTiming) -> None:
        self._done += len(fused.tasks)
        now = time.monotonic()
        if now - self._last >= self.every:
            self._last = now
            elapsed = now - self._started
            left = elapsed / self._done * (self._total - self._done)
            _print(f"  {self._done}/{self._total} {rate(timing, elapsed)}, about {left:.0f} s left")

    def note(self, line: str) -> None:
        _print(f"  {line}")

    def end(self, timing: PhaseTiming) -> None:
        if timing.tasks > timing.skipped:
            _print(f"  done in {timing.seconds:.1f} s {rate(timing, timing.seconds)}".rstrip())


class EventProgress:
    """Calls `emit` with each event as a dict: `event` is begin, done, note, warning, quarantined, damaged or end."""

    def __init__(self, emit: Callable[[dict[str, Any]], None]) -> None:
        self._event = emit

    def begin(self, phase: Phase, tasks: int, skipped: int) -> None:
        self._event({"event": "begin", "phase": phase.id, "tasks": tasks, "skipped": skipped})

    def warning(self, text: str) -> None:
        self._event({"event": "warning", "message": hide(text)})

    def bad_input(self, found: Found) -> None:
        if found.documents:
            files = msgspec.to_builtins(found.files)
            self._event({"event": "quarantined", "documents": found.documents, "of": found.of, "files": files})
        if found.damaged:
            files = msgspec.to_builtins(found.damaged)
            lost = {"unread": found.unread, "of": found.of, "unread_bytes": found.unread_bytes}
            self._event({"event": "damaged", **lost, "files": files})
        for line in found.lacking:
            self.warning(line)

    def done(self, fused: FusedTasks, timing: PhaseTiming) -> None:
        self._event({"event": "done", "phase": fused.tasks[0].task.phase, "task": fused.name, "bytes": timing.bytes})

    def note(self, line: str) -> None:
        self._event({"event": "note", "message": hide(line)})

    def end(self, timing: PhaseTiming) -> None:
        self._event({"event": "end", **msgspec.to_builtins(timing)})


class ObservedProgress(EventProgress):
    """The same for a function of the program that called `run`: what that raises is no fault of this one."""

    def __init__(self, on_event: Callable[[dict[str, Any]], None]) -> None:
        def emit(event: dict[str, Any]) -> None:
            try:
                on_event(event)
            except Exception as error:
                put_caller(error, "on_event")
                raise

        super().__init__(emit)


class RichProgress:
    """A bar per phase with rate and time left."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
        from rich.progress import Progress as Bars

        self._bars = Bars(
            TextColumn("{task.description:<30}"), BarColumn(bar_width=24), MofNCompleteColumn(),
            TimeElapsedColumn(), TimeRemainingColumn(), TextColumn("{task.fields[rate]}"),
            console=Console(stderr=True),
        )  # fmt: skip
        self._task = self._bars.add_task("", visible=False, rate="")
        self._started = time.monotonic()

    def __enter__(self) -> RichProgress:
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bars.stop()

    def begin(self, phase: Phase, tasks: int, skipped: int) -> None:
        self._started = time.monotonic()
        self._task = self._bars.add_task(phase.id, total=tasks, completed=skipped, rate="")

    def warning(self, text: str) -> None:
        self._bars.console.print("warning:", style="yellow", end=" ", highlight=False)
        self._bars.console.print(hide(text), highlight=False, markup=False)

    def bad_input(self, found: Found) -> None:
        for line in found.lines():
            self._bars.console.print(hide(line), style="yellow", highlight=False, markup=False)

    def done(self, fused: FusedTasks, timing: PhaseTiming) -> None:
        seconds = time.monotonic() - self._started
        self._bars.update(self._task, advance=len(fused.tasks), rate=rate(timing, seconds))

    def note(self, line: str) -> None:
        self._bars.console.print(hide(line), style="dim", highlight=False, markup=False)

    def end(self, timing: PhaseTiming) -> None:
        note = "up to date" if timing.tasks == timing.skipped else rate(timing, timing.seconds)
        self._bars.update(self._task, rate=note)
