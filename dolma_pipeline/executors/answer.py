"""What a worker sends back: the tasks it has finished, or the error that ended them, as data.

Exceptions do not travel well: those of a user's module cannot be unpickled elsewhere, and Ray wraps the others.
"""

from __future__ import annotations

import traceback

import msgspec
from msgspec import Struct

from dolma_pipeline import errors
from dolma_pipeline.engine.task import Context
from dolma_pipeline.engine.worker import FusedTasks
from dolma_pipeline.errors import DolmaError, StageError, Where, WorkerFault, add_note, put_where, where
from dolma_pipeline.executors.base import Done, measure


class Failure(Struct, frozen=True, kw_only=True):
    """An exception that ended a task."""

    message: str
    traceback: str
    name: str | None = None
    """The class in dolma_pipeline.errors; None for an exception that is not ours."""
    errno: int | None = None
    """Set for an error of the operating system; `message` is then its text."""
    files: tuple[str | None, str | None] = (None, None)
    where: Where | None = None
    """The task that it ended."""

    def exception(self) -> Exception:
        """The exception to raise in the driver: the same as in-process, or a WorkerFault."""
        error = self._exception()
        if self.where is not None:
            put_where(error, self.where)
        return error

    def _exception(self) -> Exception:
        if self.errno is not None:
            error = OSError(self.errno, self.message, self.files[0], None, self.files[1])
            add_note(error, self.traceback)
            return error
        if self.name is None:
            return WorkerFault(self.traceback)
        found = getattr(errors, self.name, StageError)
        ours: DolmaError = found(self.message)
        ours.traceback = self.traceback
        return ours


class Answer(Struct, frozen=True, kw_only=True):
    """Exactly one of the two is set."""

    done: Done | None = None
    failure: Failure | None = None


def perform(encoded: bytes, context: Context) -> bytes:
    """Executes encoded FusedTasks and returns an encoded Answer; raises nothing but KeyboardInterrupt."""
    try:
        answer = Answer(done=measure(msgspec.msgpack.decode(encoded, type=FusedTasks), context))
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # a panic of native code is no Exception
        answer = Answer(failure=make_failure(error))
    return msgspec.msgpack.encode(answer)


def make_failure(error: BaseException) -> Failure:
    """Describes `error` as data."""
    return msgspec.structs.replace(_failure(error), where=where(error))


def _failure(error: BaseException) -> Failure:
    trace = "".join(traceback.format_exception(error))
    if isinstance(error, DolmaError):
        # A subclass defined elsewhere travels as the nearest class of dolma_pipeline.errors.
        name = next(c.__name__ for c in type(error).__mro__ if c.__module__ == errors.__name__)
        return Failure(message=str(error), traceback=trace, name=name)
    if isinstance(error, OSError) and error.errno is not None:
        files = tuple(None if f is None else str(f) for f in (error.filename, error.filename2))
        return Failure(message=error.strerror or "", traceback=trace, errno=error.errno, files=(files[0], files[1]))
    return Failure(message=f"{type(error).__name__}: {error}", traceback=trace)
