"""Every error a user can meet, each with the exit code it ends the command with.

A message says what was expected, what was found, where, and what would work.
"""

from __future__ import annotations

import contextlib
import difflib
import errno
import os
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

EXIT_CODES: Mapping[int, str] = MappingProxyType(
    {
        0: "done",
        1: "failed",
        2: "usage or configuration error",
        3: "finished but too much of the input was bad",
        130: "interrupted (Ctrl-C)",
        141: "the reader of the output ended first (a closed pipe)",
        143: "terminated (SIGTERM)",
    }
)
"""What the exit code of a command says."""


class DolmaError(Exception):
    """The base of all errors that a user can mend: they are reported in one line, without a traceback."""

    exit_code = 1
    traceback: str | None = None
    """Where it was raised, if that was in another process."""


class ConfigError(DolmaError):
    """Raised for a mistake in a recipe, a configuration or a command line; the message names its `$.path`."""

    exit_code = 2


class DataError(DolmaError):
    """Raised for a file whose bytes are not what its format promises, and for one that has changed or is missing."""


class StageError(DolmaError):
    """Raised if a stage cannot do its work on a file: a tagger or an expression fails on a document, a rank dies."""


class VerifyError(DolmaError):
    """Raised if the files or counts of a run are not those that its manifest records."""


class BadInputError(DolmaError):
    """Raised at the end of a run in which a larger share of documents than `max_bad_fraction` could not be read."""

    exit_code = 3


class WorkerFault(Exception):
    """Raised for a fault of this program in a worker; the message is the traceback of the worker."""


class Interrupted(KeyboardInterrupt):
    """Raised where Ctrl-C or SIGTERM ends the command."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number


class Where(NamedTuple):
    """The task that an error ended."""

    phase: str
    task: str
    inputs: tuple[str, ...]
    """The files that the task read."""


def put_where(error: BaseException, place: Where) -> None:
    """Notes the task that `error` ended; the first note stays."""
    if where(error) is None:
        with contextlib.suppress(AttributeError):  # some exceptions of native code take no attributes
            error.dolma_where = place  # type: ignore[attr-defined]


def where(error: BaseException) -> Where | None:
    """The task that `error` ended, if it was in one."""
    found = getattr(error, "dolma_where", None)
    return found if isinstance(found, Where) else None


def put_caller(error: BaseException, function: str) -> None:
    """Notes that `error` is not this program's: `function`, which its caller has given, raised it."""
    with contextlib.suppress(AttributeError):  # some exceptions of native code take no attributes
        error.dolma_caller = function  # type: ignore[attr-defined]


def caller(error: BaseException) -> str | None:
    """The function of the caller that raised `error`, if one did."""
    found = getattr(error, "dolma_caller", None)
    return found if isinstance(found, str) else None


def of_the_machine(error: OSError) -> str:
    """The disk is full, a directory is read only: no fault of this program."""
    name = None if error.filename is None else str(error.filename)
    if name is not None and error.errno in (errno.ENOTDIR, errno.EEXIST):
        file = next((p for p in (Path(name), *Path(name).parents) if p.is_file()), name)
        return f"{name}: expected a directory, found the file {file}; choose another place"
    if name is None or error.errno not in (errno.EACCES, errno.EPERM, errno.EROFS):
        return f"{error.strerror}{f': {name}' if name is not None else ''}"
    if os.access(name, os.F_OK) and not os.access(name, os.R_OK):
        return f"{name}: expected a file that may be read, found none ({error.strerror})"
    there = next((p for p in Path(name).absolute().parents if os.access(p, os.F_OK)), "/")
    found = f"found {there} ({error.strerror})"
    return f"{name}: expected a directory that may be written to, {found}; choose another place"


def add_note(error: BaseException, text: str) -> None:
    """Adds a line to the traceback of `error`, where Python can (from 3.11 on)."""
    if sys.version_info >= (3, 11):
        error.add_note(text)


def listed(names: Iterable[Any], joint: str = ", ") -> str:
    """`` `a`, `b` ``: each in backquotes, in their order."""
    return joint.join(f"`{name}`" for name in names)


def excerpt(text: str, most: int = 200) -> str:
    """The text for a message: of a longer one its first characters."""
    return text if len(text) <= most else f"{text[:most]}…"


def suggest(name: str, known: Iterable[str]) -> str:
    """`; did you mean `x`?` where one of `known` is close to `name`, else nothing."""
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f"; did you mean `{close[0]}`?" if close else ""


def unknown(what: str, name: str, known: Iterable[str]) -> str:
    """The sentence for a name that is not one of `known`: the nearest one first, then all of them."""
    names = sorted(known)
    return f"unknown {what} `{name}`{suggest(name, names)} (known: {listed(names) or 'none'})"
