"""SIGTERM and Ctrl-C end a command that is inside a native call for ever."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from dolma_pipeline.cli import signals
from tests import needs

# A mutex that is locked twice: the call holds no lock of Python, returns never, and no signal interrupts it.
STUCK = """
import ctypes, os, subprocess, sys, types
from pathlib import Path
from dolma_pipeline.cli import main as cli
signal = __import__("signal")
signal.signal(signal.SIGINT, signal.default_int_handler)

def run(arguments):
    temporary = open(f".x.tmp-{os.getpid()}", "w")
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    print(child.pid, flush=True)
    mutex = ctypes.create_string_buffer(128)
    for _ in range(2):
        ctypes.CDLL(None).pthread_mutex_lock(mutex)

module = types.ModuleType("stuck")
module.add_options, module.run = (lambda parser: None), run
sys.modules["stuck"] = module
cli.COMMANDS = {"stuck": cli.Command("stuck", "never return")}
sys.exit(cli.main(["stuck"]))
"""


@pytest.mark.parametrize(
    ("numbers", "code", "word"),
    [
        ([signal.SIGTERM], 143, "terminated"),
        ([signal.SIGINT], 130, "interrupted"),
        ([signal.SIGINT, signal.SIGTERM], 130, "interrupted"),
    ],
)
def test_a_call_that_never_returns_is_ended(tmp_path: Path, numbers: list[int], code: int, word: str) -> None:
    if not Path("/proc").is_dir():
        needs.skip("no /proc to look for processes and open files in", "Linux")
    process = subprocess.Popen(
        [sys.executable, "-c", STUCK], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    child = int(process.stdout.readline())
    assert len(list(tmp_path.iterdir())) == 1
    for number in numbers:
        time.sleep(signals.TWICE + 0.2)
        process.send_signal(number)
    _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (code, f"dolma: {word}; the same command again resumes where it stopped\n")
    assert list(tmp_path.iterdir()) == []
    for _ in range(100):
        if not alive(child):
            break
        time.sleep(0.1)
    assert not alive(child)


def alive(pid: int) -> bool:
    """Whether a process runs; one that nobody has waited for yet does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_handlers_are_as_before_and_the_thread_is_gone() -> None:
    before = (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT))
    with signals.watched() as found:
        assert signal.getsignal(signal.SIGTERM) == found.handle
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(10)
        assert found.seen == signal.SIGTERM
    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == before
    assert "signals" not in [t.name for t in threading.enumerate()]
