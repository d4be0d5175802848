"""One reading of a file of documents by a task that counts every line of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from msgspec import Struct

from dolma_pipeline.engine.task import BadInput, Counts, Output, Report
from dolma_pipeline.errors import StageError
from dolma_pipeline.formats.columns import Columns
from dolma_pipeline.formats.documents import Documents, read_documents
from dolma_pipeline.formats.piece import Piece
from dolma_pipeline.formats.quarantine import SetAside
from dolma_pipeline.io.atomic import output

ROWS = "documents_of_piece"
"""In the details of a report: number of documents that were read of a piece, whatever became of them."""


class ShardInput(Struct, frozen=True, kw_only=True):
    """What a task is told of the file of documents that it reads."""

    source: str
    path: str
    columns: Columns | None = None
    """Where the documents keep their fields, if not under the standard names."""
    quarantine: str | None = None
    """Where bad lines go; None where an earlier stage has set them aside."""
    piece: Piece | None = None
    """Which of its rows are read; None for all of them."""


class Reading:
    """Iterates over the documents of a file, a batch at a time. `keep_raw`: fields beside id, text and source are read.

    Bad lines go to quarantine. After the last batch `report` makes the report of the task.
    """

    def __init__(self, read: ShardInput, *, keep_raw: bool = False) -> None:
        self.counts = Counts()
        self._read = read
        self._keep_raw = keep_raw
        self._finished = False
        self._outputs: list[Output] = []
        self._bad: list[BadInput] = []
        self._warnings: list[str] = []

    def __iter__(self) -> Iterator[Documents]:
        read = self._read
        stream = read_documents(read.path, columns=read.columns, keep_raw=self._keep_raw, piece=read.piece)
        with SetAside(stream, read.quarantine, self.counts) as aside:
            for documents in stream:
                self.counts.documents_in += len(documents)
                self.counts.documents_out += len(documents)
                self.counts.bytes_in += documents.text_bytes
                yield documents
                aside.take()
        self.counts.bytes_out = self.counts.bytes_in
        self._outputs, self._bad = aside.outputs, aside.bad
        self._warnings = [f"{read.path}: {stream.damage}"] if stream.damage is not None else []
        self._finished = True

    def report(self, written: Iterable[str] = (), details: dict[str, Any] | None = None) -> Report:
        """The counts of the file's documents, none of which was dropped, and the files that the task has `written`.

        Raises StageError before the last batch was read: documents would be missing in the account.
        """
        if not self._finished:
            raise StageError(f"{self._read.path}: expected a report after the last batch, found it asked for before")
        return Report(
            counts={self._read.source: self.counts},
            outputs=[*map(output, written), *self._outputs],
            details=details or {},
            warnings=self._warnings,
            bad=self._bad,
        )
