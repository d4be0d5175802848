"""Which backend a name belongs to. A new one is a file like disk.py and a line here."""

from __future__ import annotations

import os

from dolma_pipeline.io.backend import Backend
from dolma_pipeline.io.disk import LocalFiles
from dolma_pipeline.io.url import LOCAL, Location, Url, no_backend

BACKENDS: dict[str, Backend] = {LOCAL: LocalFiles()}


def backend(location: Location) -> tuple[Backend, str]:
    """The backend of a name, and the name as that backend takes it.

    Raises ConfigError for a scheme that has none.
    """
    if not isinstance(location, str) or "://" not in location:
        return BACKENDS[LOCAL], os.fspath(location)
    url = Url(location)
    found = BACKENDS.get(url.scheme)
    if found is None:
        raise no_backend(url)
    return found, url.path if url.scheme == LOCAL else str(url)


def place(location: Location) -> str:
    """The path on this machine, for what only a disk can do; raises ConfigError for a scheme other than `file`."""
    if not isinstance(location, str) or "://" not in location:
        return os.fspath(location)
    url = Url(location)
    if url.scheme != LOCAL:
        raise no_backend(url)
    return url.path
