"""The page of errors and exit codes."""

from __future__ import annotations

import inspect

from dolma_pipeline import errors
from dolma_pipeline.cli.signals import CODES
from dolma_pipeline.errors import EXIT_CODES, DolmaError
from scripts.reference.markdown import code, join, prose, sentence, table, title

INTRODUCTION = """\
A command that fails prints `dolma: error:` and one line for each mistake on stderr: what was expected, what was found,
where, and what would work. `DOLMA_TRACEBACK=1` adds the traceback. A run that fails also leaves `failure.json` in its
work directory; see [formats](../formats.md)."""
PYTHON = """\
In Python, `dolma_pipeline.run` and the other calls raise these classes, which are in `dolma_pipeline.errors`. All of
them but `WorkerFault` and `Interrupted` are `dolma_pipeline.DolmaError`, so one `except` takes what a user can mend."""


def classes() -> list[type[BaseException]]:
    """The exceptions of errors.py in the order in which they stand there."""
    found = [c for c in vars(errors).values() if inspect.isclass(c) and issubclass(c, BaseException)]
    return [c for c in found if c.__module__ == errors.__name__]


def exit_codes(error: type[BaseException]) -> str:
    """The exit code with which the error ends a command; that of a signal depends on the signal."""
    if issubclass(error, DolmaError):
        return str(error.exit_code)
    return " or ".join(str(c) for c in sorted(CODES.values())) if issubclass(error, KeyboardInterrupt) else "1"


def page() -> str:
    """The whole page."""
    codes = table(("Exit code", "Meaning"), [[str(c), sentence(m)] for c, m in EXIT_CODES.items()])
    rows = [[code(c.__name__), exit_codes(c), prose(c)] for c in classes()]
    found = table(("Class", "Exit code", "When"), rows)
    return join([*title("Errors and exit codes"), INTRODUCTION, "## Exit codes", codes, "## Classes", PYTHON, found])
