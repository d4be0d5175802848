"""Runs a command and says what it cost: CPU seconds of it and all its children, wall seconds, peak memory."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Cost:
    cpu: float
    """Seconds, user and system."""
    wall: float
    peak: int
    """Bytes, of the largest process."""


def measure(command: Sequence[str], directory: Path, environment: dict[str, str] | None = None) -> Cost:
    """The cost of `command`; one that fails raises with the end of its output."""
    log = directory / "command.log"
    started = time.perf_counter()
    with log.open("wb") as out:
        process = subprocess.Popen(
            command, cwd=directory, stdout=out, stderr=subprocess.STDOUT, env={**os.environ, **(environment or {})}
        )
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        tail = log.read_text(errors="replace")[-2000:]
        raise RuntimeError(f"{' '.join(command[:4])} ... ended with {process.returncode}:\n{tail}")
    return Cost(cpu=usage.ru_utime + usage.ru_stime, wall=time.perf_counter() - started, peak=usage.ru_maxrss * 1024)
