"""Configurations and models at an address, read once through smart-open, which is imported when it is needed.

Raises ImportError where the packages of a scheme are not installed, and whatever error the transport has.
"""

from __future__ import annotations

from pathlib import Path

from dolma_pipeline.io.atomic import COPIED, publishing


def read_remote_text(url: str) -> str:
    import smart_open

    with smart_open.open(url, "rt", encoding="utf-8") as file:
        text: str = file.read()
    return text


def download(url: str, path: Path) -> None:
    """Writes the file at `url` to `path`, whole or not at all."""
    import smart_open

    with publishing(path) as published, smart_open.open(url, "rb", compression="disable") as remote:
        while data := remote.read(COPIED):
            published.file.write(data)
