"""Every error a user can meet, each with the exit code it ends the command with.

A message says what was expected, what was found, where, and what would work.
"""

from __future__ import annotations

import difflib
import sys
from collections.abc import Iterable
from typing import Any


class DolmaError(Exception):
    """Root of the errors that are reported in one line, without a traceback."""

    exit_code = 1
    traceback: str | None = None
    """Where it was raised, if that was in another process."""


class ConfigError(DolmaError):
    """A recipe, a configuration or a command line that cannot be meant; the message carries its `$.path`."""

    exit_code = 2


class DataError(DolmaError):
    """A file whose bytes are not what its format promises."""


class StageError(DolmaError):
    """A stage that could not do its work on a shard."""


class VerifyError(DolmaError):
    """A run whose files or counts are not those its manifest records."""


class BadInputError(DolmaError):
    """A finished run whose share of documents that could not be read is over `max_bad_fraction`."""

    exit_code = 3


class WorkerFault(Exception):
    """An exception in a worker that is not ours: a mistake in this program. The message is the worker's traceback."""


def add_note(error: BaseException, text: str) -> None:
    """Adds a line to the traceback of `error`, where Python can (from 3.11 on)."""
    if sys.version_info >= (3, 11):
        error.add_note(text)


def listed(names: Iterable[Any], joint: str = ", ") -> str:
    """`` `a`, `b` ``: each in backquotes, in their order."""
    return joint.join(f"`{name}`" for name in names)


def suggest(name: str, known: Iterable[str]) -> str:
    """`; did you mean `x`?` where one of `known` is close to `name`, else nothing."""
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f"; did you mean `{close[0]}`?" if close else ""


def unknown(what: str, name: str, known: Iterable[str]) -> str:
    """The sentence for a name that is not one of `known`: the nearest one first, then all of them."""
    names = sorted(known)
    return f"unknown {what} `{name}`{suggest(name, names)} (known: {listed(names) or 'none'})"
