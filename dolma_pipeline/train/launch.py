"""Starts the ranks of this machine and waits for them; none outlives the call."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable
from pathlib import Path

from dolma_pipeline.errors import ConfigError, StageError
from dolma_pipeline.train import require_torch

KEPT_LINES = 200
"""The last lines of the output, in which the error is looked for."""
RAISED = re.compile(r"^(\[rank\d+\]: )?\w[\w.]*(Error|Exception)\b.*: ")
FOLLOW = "DOLMA_TRAIN_FOLLOWS_STDIN"
"""Set for ranks that must not outlive the process that started them."""
GRACE_SECONDS = 60
"""To save a checkpoint in, before ranks that were asked to stop are killed."""


def launch(config: Path, nproc: int, threads: int, emit: Callable[[str], None]) -> None:
    """Trains by the TrainerConfig in the file `config`, in `nproc` processes; each line they print goes to `emit`.

    Raises StageError with the last lines for ranks that fail or stop early. An exception here, such as that of
    Ctrl-C, asks the ranks to save and stop, and ends them if they do not.
    """
    require_torch()
    module = [sys.executable, "-m", "dolma_pipeline.train", str(config)]
    if nproc > 1:
        runner = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--local-addr", "127.0.0.1"]
        module = [*runner, "--nproc-per-node", str(nproc), *module[1:]]
    # A group of its own, so that Ctrl-C reaches the ranks through us, once, and so that all can be ended.
    process = subprocess.Popen(
        module,
        env=_environment(nproc, threads),
        # Held open for as long as we live, and handed on by torchrun: see `follow_parent`.
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,
    )
    last: deque[str] = deque(maxlen=KEPT_LINES)
    try:
        for line in process.stdout or ():
            last.append(line.rstrip())
            emit(last[-1])
        status = process.wait()
    except BaseException:
        _stop(process)
        raise
    finally:
        _kill_group(process.pid)
    if status:
        _fail(status, nproc, last)


def follow_parent() -> None:
    """In a rank that `launch` started: ends it when the other end of its standard input is gone.

    A launcher that is killed cannot end its ranks, and ranks that go on would write beside those of the next run.
    Nothing is saved: the next run goes on from the last checkpoint.
    """
    if os.environ.get(FOLLOW) != "1":
        return

    def wait() -> None:
        with contextlib.suppress(OSError):
            while os.read(0, 1):
                pass
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


def _environment(nproc: int, threads: int) -> dict[str, str]:
    environment = dict(os.environ)
    # We may be a rank of something else.
    for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"):
        environment.pop(name, None)
    environment["OMP_NUM_THREADS"] = str(threads if nproc == 1 else 1)
    environment["PYTHONUNBUFFERED"] = "1"
    environment[FOLLOW] = "1"
    if sys.platform == "linux":
        # All ranks are here: a host name that does not resolve must not matter.
        environment.setdefault("GLOO_SOCKET_IFNAME", "lo")
    return environment


def _stop(process: subprocess.Popen[str]) -> None:
    process.terminate()
    late = threading.Timer(GRACE_SECONDS, _kill_group, [process.pid])
    late.start()
    try:
        # Read to the end, lest a full pipe keep them; `communicate` would close their standard input first.
        for _ in process.stdout or ():
            pass
        process.wait()
    finally:
        late.cancel()


def _kill_group(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)


def _fail(status: int, nproc: int, last: deque[str]) -> None:
    # What a rank raised comes before what torchrun says of ranks.
    raised = [line for line in last if RAISED.match(line)]
    text = "\n".join(f"  {line}" for line in (raised[:1] or list(last)))
    errors = [line.partition("error: ")[2] for line in last if line.startswith("error: ")]
    if errors:
        raise (ConfigError if status == ConfigError.exit_code else StageError)(errors[0])
    how = f"was ended by {signal.Signals(-status).name}" if status < 0 else f"failed with status {status}"
    raise StageError(f"training with {nproc} processes {how}; its last lines:\n{text}")
