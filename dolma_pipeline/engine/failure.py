"""failure.json: why the last run in a directory failed.

A run removes that of the run before when it begins, so after a success there is none. A run that was killed by SIGKILL,
or with its machine, leaves neither it nor a manifest.
"""

from __future__ import annotations

import contextlib
import errno
import re
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

from msgspec import Struct

from dolma_pipeline import errors
from dolma_pipeline.errors import DolmaError, WorkerFault, caller, of_the_machine, where
from dolma_pipeline.io import fs
from dolma_pipeline.io.atomic import read_json, write_json
from dolma_pipeline.secrets import hide

NAME = "failure.json"
FORMAT = 1
Kind = Literal["config", "data", "stage", "account", "bad_input", "disk_full", "system", "signal", "caller", "fault"]
_KINDS: dict[type[DolmaError], Kind] = {
    errors.ConfigError: "config",
    errors.DataError: "data",
    errors.StageError: "stage",
    errors.VerifyError: "account",
    errors.BadInputError: "bad_input",
}
_FULL = (errno.ENOSPC, errno.EDQUOT)


class RunFailure(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """failure.json of a run. What is not known is left out."""

    format: int
    exit_code: int
    kind: Kind
    """What sort of error it was; `caller` is an exception of the program that called `run`, and `fault` a mistake in
    this one."""
    message: str
    """What the command printed; a value of an environment variable as it was written, `${oc.env:NAME}`."""
    stage: str = ""
    """Id of the stage that was at work, as in the manifest."""
    task: str = ""
    """The shard, part or partition that it failed on."""
    file: str = ""
    """The file that the task read, where there is one alone or the message names it."""
    line: int = 0
    """Line or row of the document that the message names, from 1."""
    errno: str = ""
    """What the system calls its error, such as `ENOSPC`."""
    signal: str = ""
    """The signal that ended the run, such as `SIGTERM`."""

    def told(self) -> str:
        """One sentence for a reader."""
        places = [f"stage {self.stage}"] if self.stage else []
        places += [f"task {self.task}"] if self.task else []
        at = f" in {', '.join(places)}" if places else ""
        return f"the run failed{at} with exit code {self.exit_code}: {'; '.join(self.message.splitlines())}"


class _Run(Struct, frozen=True):
    """A run that is going on in this process."""

    directory: Path
    stage: Callable[[], str]


_running: list[_Run] = []


@contextlib.contextmanager
def recorded(directory: Path, stage: Callable[[], str], say: Callable[[str], None]) -> Iterator[None]:
    """Writes failure.json to `directory` if the block is left by an error, and removes an older one before it.

    `stage` tells the id of the stage at work. If the file cannot be written, `say` is told, and the error stays as it
    was.
    """
    fs.remove(directory / NAME, missing_ok=True)
    run = _Run(directory, stage)
    _running.append(run)
    try:
        yield
    except BaseException as error:
        try:
            write_json(directory / NAME, describe(error, stage()))
        except OSError as other:
            say(f"why the run failed could not be noted: {of_the_machine(other)}")
        raise
    finally:
        _running.remove(run)


def killed(number: int) -> None:
    """Notes the signal that ends this process for each run in it, where no exception can: see cli/signals.py."""
    for run in _running:
        with contextlib.suppress(OSError):
            write_json(run.directory / NAME, _of_signal(number, run.stage()))


def read(directory: Path) -> RunFailure | None:
    """The failure of the last run in `directory`; None if there was none. Raises DataError for another file."""
    path = directory / NAME
    if not fs.is_file(path):
        return None
    failure: RunFailure = read_json(path, RunFailure)
    return failure


def describe(error: BaseException, stage: str = "") -> RunFailure:
    """What is to be known of an error that ends a run."""
    if isinstance(error, KeyboardInterrupt):
        return _of_signal(getattr(error, "number", signal.SIGINT), stage)
    at = where(error)
    message = hide(_message(error))
    file, line = _document(message, at.inputs if at is not None else ())
    number = error.errno if isinstance(error, OSError) and error.errno is not None else None
    return RunFailure(
        format=FORMAT,
        exit_code=error.exit_code if isinstance(error, DolmaError) and caller(error) is None else 1,
        kind=_kind(error),
        message=message,
        stage=stage,
        task=at.task if at is not None else "",
        file=file,
        line=line,
        errno=errno.errorcode.get(number, "") if number is not None else "",
    )


def _of_signal(number: int, stage: str) -> RunFailure:
    name = signal.Signals(number).name
    return RunFailure(
        format=FORMAT,
        exit_code=128 + number,
        kind="signal",
        message=f"ended by {name}; the same command again resumes where it stopped",
        stage=stage,
        signal=name,
    )


def _kind(error: BaseException) -> Kind:
    if caller(error) is not None:
        return "caller"
    if isinstance(error, OSError) and error.errno is not None:
        return "disk_full" if error.errno in _FULL else "system"
    if not isinstance(error, DolmaError):
        return "fault"
    return next((kind for form, kind in _KINDS.items() if isinstance(error, form)), "stage")


def _message(error: BaseException) -> str:
    function = caller(error)
    if function is not None:
        return f"`{function}`, which the caller of `run` has given, raised {type(error).__name__}: {error}"
    if isinstance(error, DolmaError):
        return str(error)
    if isinstance(error, OSError) and error.errno is not None:
        return of_the_machine(error)
    if isinstance(error, WorkerFault):
        # Its text is a traceback, whose last line is the error.
        return str(error).rstrip().rpartition("\n")[2]
    return f"{type(error).__name__}: {error}"


def _document(message: str, inputs: tuple[str, ...]) -> tuple[str, int]:
    """The input that a message names, and the line in it; else the only input, and 0."""
    for path in inputs:
        found = re.search(re.escape(path) + r":(\d+)\b", message)
        if found is not None:
            return path, int(found[1])
    named = [path for path in inputs if path in message] or list(inputs)
    return (named[0], 0) if len(named) == 1 else ("", 0)
