"""Whose fault an exception is: where the code of a user fails, the message says so, with the line."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

from dolma_pipeline import user_modules
from dolma_pipeline.engine.kind import StageKind
from dolma_pipeline.errors import DolmaError, StageError, put_where, where

_MISTAKEN = (FileNotFoundError, FileExistsError, IsADirectoryError, NotADirectoryError)
"""What the system says of paths that a program has made wrongly; all else it says is about the machine."""


def blame(error: BaseException, what: str) -> StageError | None:
    """What to raise for an exception that came out of the code of a user; None for another one, which stays as it is.

    `what` is how the message begins: what was being done.
    """
    if isinstance(error, DolmaError) or not isinstance(error, Exception):
        return None
    if isinstance(error, OSError) and error.errno is not None and not isinstance(error, _MISTAKEN):
        return None
    found = user_modules.innermost(error)
    if found is None:
        return None
    frame, line = found
    name = _stage(frame)
    at = f"{_shown(frame.f_code.co_filename)}:{line}"
    whose = f"of the stage `{name}` ({at}, in `{frame.f_code.co_name}`)" if name else f"of {at}"
    hint = "; `stage.publishing` and `stage.write_json` make the directories that they write to"
    made = StageError(
        f"{what}: expected a result, found {type(error).__name__}: {error}. This is a fault {whose}"
        + (hint if name and isinstance(error, FileNotFoundError) else "")
        + "; DOLMA_TRACEBACK=1 shows the traceback"
    )
    at_work = where(error)
    if at_work is not None:
        put_where(made, at_work)
    return made


@contextlib.contextmanager
def blaming(what: str, *passed: type[Exception]) -> Iterator[None]:
    """Raises StageError for what the code of a user raises in the block; exceptions `passed` stay as they are."""
    try:
        yield
    except passed:
        raise
    except Exception as error:
        made = blame(error, what)
        if made is None:
            raise
        raise made from error


def _stage(frame: FrameType) -> str | None:
    """The kind of stage that the module of a frame, or the package that it is in, brings."""
    name = str(frame.f_globals.get("__name__"))
    modules = (sys.modules.get(name), sys.modules.get(name.partition(".")[0]))
    values = [value for module in modules if module is not None for value in vars(module).values()]
    kinds = dict.fromkeys(value.kind for value in values if isinstance(value, StageKind))
    return next(iter(kinds)) if len(kinds) == 1 else None


def _shown(file: str) -> str:
    """A path from the current directory on, if it is below that."""
    path, here = Path(file), Path.cwd()
    return path.relative_to(here).as_posix() if path.is_relative_to(here) else file
