"""SIGTERM and Ctrl-C end a command within ten seconds, also where it is inside a native call that does not return.

Python runs signal handlers between two bytecodes of the main thread; a native call holds them up. The system's own
handler still writes the signal's number to a pipe at once. A thread reads it, and when the main thread has not ended
by itself after a while, it removes what was being written, stops the processes that were started, and ends this one.
"""

from __future__ import annotations

import contextlib
import os
import re
import select
import signal
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

from dolma_pipeline.errors import Interrupted

CODES = {signal.SIGINT: 130, signal.SIGTERM: 143}
WORDS = {signal.SIGINT: "interrupted", signal.SIGTERM: "terminated"}
GRACE = 5.0
"""Seconds for a native call to return, after which nothing can be expected of it."""
TWICE = 1.0
"""Seconds within which a second signal is the first one again: a terminal and a wrapper may both send it."""
UNWINDING = 9.0
"""Seconds for a main thread that has seen the signal: workers take their time to end."""


class Signals:
    """What came, and whether the main thread has noticed."""

    def __init__(self) -> None:
        self.seen: int | None = None
        """The signal that the main thread is ending by."""

    def handle(self, number: int, frame: FrameType | None) -> None:
        """The Python handler: what was started is stopped on the way out, as libraries know it for Ctrl-C."""
        if self.seen is None:
            self.seen = number
            raise Interrupted(number)


def message(number: int) -> str:
    return f"dolma: {WORDS[signal.Signals(number)]}; the same command again resumes where it stopped"


@contextlib.contextmanager
def watched() -> Iterator[Signals]:
    """Handles SIGTERM and SIGINT inside the block. In a thread other than the main one it does nothing."""
    signals = Signals()
    if threading.current_thread() is not threading.main_thread():
        yield signals
        return
    before = {signal.SIGTERM: signal.signal(signal.SIGTERM, signals.handle)}
    # A shell that starts a command in the background has it ignore Ctrl-C.
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        before[signal.SIGINT] = signal.signal(signal.SIGINT, signals.handle)
    come, write = os.pipe()
    os.set_blocking(write, False)
    other = signal.set_wakeup_fd(write, warn_on_full_buffer=False)
    watcher = threading.Thread(target=_watch, args=(come, signals), name="signals", daemon=True)
    watcher.start()
    try:
        yield signals
    finally:
        signal.set_wakeup_fd(other)
        os.close(write)
        watcher.join()
        os.close(come)
        for number, handler in before.items():
            signal.signal(number, handler)


def _watch(come: int, signals: Signals) -> None:
    """Waits for a signal, then for the end of the block; ends the process if that does not come in time."""
    first = _next(come, None)
    if first is None:
        return
    if not _ended(come, GRACE) and (signals.seen is None or not _ended(come, UNWINDING - GRACE)):
        _end(first)


def _ended(come: int, seconds: float) -> bool:
    """Whether the block ends within this time. A second signal, if it is not the first one twice, cuts it short."""
    started = time.monotonic()
    while (left := started + seconds - time.monotonic()) > 0:
        number = _next(come, left)
        if number is None:
            return True
        if number and time.monotonic() - started > TWICE:
            return False
    return False


def _next(come: int, timeout: float | None) -> int | None:
    """The next signal that matters; 0 when none has come in time, None when the block has ended."""
    while True:
        ready, _, _ = select.select([come], [], [], timeout)
        if not ready:
            return 0
        data = os.read(come, 1)
        if not data:
            return None
        if data[0] in CODES:
            return data[0]


def _end(number: int) -> None:
    """Ends this process and those it has started; what they were writing is removed here or by the next run."""
    _kill(_descendants())
    # Where nothing has run there is nothing to note, and the module is not loaded: `dolma --help` is quick without it.
    failure = sys.modules.get("dolma_pipeline.engine.failure")
    if failure is not None:
        failure.killed(number)
    _remove_open_temporaries()
    show_cursor = "\x1b[?25h" if os.isatty(2) else ""  # a live table hides it
    with contextlib.suppress(OSError):
        # The main thread may hold the lock of sys.stderr.
        os.write(2, f"{show_cursor}{message(number)}\n".encode())
    os._exit(CODES[signal.Signals(number)])


def _descendants() -> list[int]:
    """Processes started by this one, and by those, the nearest first."""
    children: dict[int, list[int]] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError, ValueError):
            # The name of a program, in parentheses, may hold anything.
            parent = int(path.read_text().rpartition(")")[2].split()[1])
            children.setdefault(parent, []).append(int(path.parent.name))
    found = [os.getpid()]
    for pid in found:
        found += children.get(pid, [])
    return found[1:]


def _kill(pids: list[int]) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGKILL)


def _remove_open_temporaries() -> None:
    """Removes the files that this process has open under a temporary name; the next run would do it otherwise."""
    mine = re.compile(rf"^\..+\.tmp-{os.getpid()}$")
    for link in Path("/proc/self/fd").glob("*"):
        with contextlib.suppress(OSError):
            path = link.readlink()
            if mine.match(path.name):
                path.unlink()
