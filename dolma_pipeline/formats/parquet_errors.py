"""Errors of Arrow while it reads a Parquet file, each told with the file."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa

from dolma_pipeline.errors import DataError

ERRORS = (pa.ArrowException, OSError, UnicodeDecodeError)
"""What Arrow raises for bytes that are wrong; an OSError with a number is the system's, and says its file itself."""


def reason(error: BaseException) -> str:
    """What Arrow says in one line; raises `error` again if it is one of the system."""
    if isinstance(error, OSError) and error.errno is not None:
        raise error
    # Messages of the library quote bytes of the file.
    text = "".join(c if c.isprintable() else " " for c in str(error))
    return " ".join(text.split()).rstrip(".")


@contextlib.contextmanager
def named(path: str | Path) -> Iterator[None]:
    """Turns an error of Arrow into a DataError that begins with `path`."""
    try:
        yield
    except ERRORS as error:
        raise DataError(f"{path}: truncated or corrupt: {reason(error)}") from None
