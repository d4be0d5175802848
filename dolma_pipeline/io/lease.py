"""Directories that one run at a time may hold."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from dolma_pipeline.errors import StageError
from dolma_pipeline.io import fs
from dolma_pipeline.io.disk import LOCK
from dolma_pipeline.io.schemes import backend
from dolma_pipeline.io.url import Location


def locked(directory: Location) -> bool:
    """Whether a run is at work in `directory`."""
    files, path = backend(directory)
    if not fs.is_file(f"{path}/{LOCK}"):
        return False
    try:
        with files.lease(path):
            return False
    except BlockingIOError:
        return True


@contextlib.contextmanager
def lock(directory: Location) -> Iterator[None]:
    """Holds `directory` for one run at a time; it is free again however the run ends."""
    fs.make_directories(directory)
    files, path = backend(directory)
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(files.lease(path))
        except BlockingIOError:
            raise StageError(
                f"{directory}: another run is at work here; wait for it, or choose another work_dir"
            ) from None
        yield
