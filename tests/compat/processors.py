"""Processors in the shape in which converters are published for Dolma."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

from dolma_pipeline.compat.core.errors import DolmaRetryableFailure
from dolma_pipeline.compat.core.parallel import BaseParallelProcessor, QueueType


class Upper(BaseParallelProcessor):
    @classmethod
    def increment_progressbar(  # type: ignore[override]
        cls, queue: QueueType, /, files: int = 0, documents: int = 0
    ) -> dict[str, int]:
        return super().increment_progressbar(queue, files=files, documents=documents)

    @classmethod
    def process_single(cls, source_path: str, destination_path: str, queue: QueueType, **kwargs: Any) -> None:
        lines = Path(source_path).read_text().splitlines(keepends=True)
        with gzip.open(f"{destination_path}.gz", "wt") as out:
            for line in lines:
                out.write(kwargs.get("prefix", "") + line.upper())
                cls.increment_progressbar(queue, documents=1)
        cls.increment_progressbar(queue, files=1)


class Flaky(Upper):
    """Fails on its first try of every file."""

    @classmethod
    def process_single(cls, source_path: str, destination_path: str, queue: QueueType, **kwargs: Any) -> None:
        tried = Path(f"{destination_path}.tried")
        if not tried.exists():
            tried.touch()
            raise DolmaRetryableFailure("cut off")
        super().process_single(source_path, destination_path, queue, **kwargs)
