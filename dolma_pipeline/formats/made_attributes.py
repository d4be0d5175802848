"""Attributes of the documents that are being read: from their file, or from the task that makes that file just now."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pyarrow as pa

from dolma_pipeline.errors import StageError
from dolma_pipeline.formats.attributes import AttributeCursor, EndOfPiece
from dolma_pipeline.formats.documents import Documents

Made = Mapping[str, Mapping[str, pa.Array] | None]
"""The columns of the current batch, by the attribute file that they go to; None before they are there."""


class MadeCursor:
    """Gives some attributes of each batch as another task of the same reading has just made them.

    The values are those that an `AttributeCursor` would read from the Parquet file that this task writes.
    """

    def __init__(self, path: str, keys: Sequence[str] | None, made: Made) -> None:
        """`keys`: the attributes that are wanted; None takes all."""
        self._path = path
        self._keys = keys
        self._made = made
        self._begun = self._rows = 0

    def next(self, documents: Documents) -> dict[str, pa.Array]:
        """The columns for `documents`; a key without a column has none in this batch."""
        columns = self._made[self._path]
        if columns is None:
            raise StageError(
                f"{self._path}: expected the attributes of a batch before they are read, found none: the task that "
                "makes them comes later in this reading. This is a fault of dolma_pipeline; please report it"
            )
        self._begun, self._rows = self._rows, self._rows + len(documents)
        return {key: columns[key] for key in (columns if self._keys is None else self._keys) if key in columns}

    def keys(self) -> list[str]:
        """The keys of all attributes that were made of the last batch."""
        return list(self._made[self._path] or ())

    def place(self, row: int) -> str:
        """Returns the place that a row of the last batch has in the file."""
        return f"{self._path}: row {self._begun + row + 1}"

    def check_before(self, more: int = 0) -> None:
        """There is nothing before the first row."""

    def finish_piece(self, *, last: bool) -> EndOfPiece:
        """Nothing is known of a file that is not there yet."""
        raise StageError(f"{self._path}: expected the attributes of a whole file, found those of a piece")

    def finish(self) -> list[str]:
        """Nothing can speak for attributes of other texts: they were made of these."""
        return []


def open_attributes(
    path: str,
    keys: Sequence[str],
    made: Made | None,
    *,
    raw: bool = False,
    any_id: bool = False,
    documents: str = "the documents",
    first_row: int = 0,
) -> AttributeCursor | MadeCursor:
    """Reads the attributes `keys` in step with the documents. `made`: `Context.made`, what tasks of this reading make.

    The other arguments are those of `AttributeCursor`.
    """
    if made is not None and path in made:
        return MadeCursor(path, keys, made)
    return AttributeCursor(path, keys, raw=raw, any_id=any_id, documents=documents, first_row=first_row)
