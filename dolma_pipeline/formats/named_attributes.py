"""Attributes by their keys, for stages that name some: a key that no attribute has is refused."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

from dolma_pipeline.errors import DataError, suggest
from dolma_pipeline.formats.attributes import AttributeCursor, attribute_keys
from dolma_pipeline.formats.documents import Documents
from dolma_pipeline.formats.made_attributes import Made, MadeCursor, open_attributes


class NamedAttributes:
    """The columns of some attributes, batch by batch in step with the documents."""

    def __init__(
        self,
        path: str,
        keys: Sequence[str],
        made: Made | None = None,
        *,
        absent: bool = False,
        documents: str = "the documents",
    ) -> None:
        """`keys` are named as in the file: `EXPERIMENT__TAGGER__ATTRIBUTE`, such as `base__gopher_v2__word_count`.

        `made` is `context.made`, by which attributes that a task of the same reading makes come from memory.
        With `absent`, a key that the file does not have is null for all documents: some taggers have other attributes
        for other texts. `documents` is their file, for messages. Raises DataError if a Parquet file lacks a key.
        """
        self._path = path
        self._keys = list(dict.fromkeys(keys))
        self._cursor: AttributeCursor | MadeCursor = open_attributes(path, self._keys, made, documents=documents)
        self._checked = absent
        if not absent and isinstance(self._cursor, AttributeCursor) and path.endswith(".parquet"):
            self._check(attribute_keys(path))

    def next(self, documents: Documents) -> dict[str, pa.Array]:
        """Returns an Arrow array for each key, with a value for each of the documents, null where one has none.

        Raises DataError for a key that no attribute has, and for a row of another document.
        """
        found = self._cursor.next(documents)
        if not self._checked and isinstance(self._cursor, MadeCursor):
            self._check(self._cursor.keys())
        # JSON lines leave out what is empty.
        return {key: found[key] if key in found else pa.nulls(len(documents)) for key in self._keys}

    def finish(self) -> list[str]:
        """Returns what speaks for attributes of other texts; call it after the last batch.

        Raises DataError if rows are left, or if the file says that it was made of other texts.
        """
        return self._cursor.finish()

    def _check(self, known: Sequence[str]) -> None:
        self._checked = True
        for key in self._keys:
            if key not in known:
                keys = ", ".join(f"`{name}`" for name in known) or "none"
                raise DataError(
                    f"{self._path}: expected an attribute of the file, found the key `{key}`{suggest(key, known)} "
                    f"(keys: {keys})"
                )
