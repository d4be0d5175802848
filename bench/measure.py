"""Runs a command and says what it cost: CPU seconds of it and all its children, wall seconds, peak memory."""

from __future__ import annotations

import os
import subprocess
import sys
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


LAUNCHER = """
import os, subprocess, sys
with open(sys.argv[1], "wb") as log:
    process = subprocess.Popen(sys.argv[2:], stdout=log, stderr=subprocess.STDOUT)
_, status, usage = os.wait4(process.pid, 0)
print(os.waitstatus_to_exitcode(status), usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024)
"""
"""A process's peak is at least that of the one that started it, so a small one starts it."""


def measure(command: Sequence[str], directory: Path, environment: dict[str, str] | None = None) -> Cost:
    """The cost of `command`; one that fails raises with the end of its output."""
    log = directory / "command.log"
    started = time.perf_counter()
    launched = subprocess.run(
        [sys.executable, "-S", "-c", LAUNCHER, str(log), *command],
        cwd=directory,
        env={**os.environ, **(environment or {})},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    wall = time.perf_counter() - started
    code, cpu, peak = launched.stdout.split()
    if code != "0":
        tail = log.read_text(errors="replace")[-2000:]
        raise RuntimeError(f"{' '.join(command[:4])} ... ended with {code}:\n{tail}")
    return Cost(cpu=float(cpu), wall=wall, peak=int(peak))
