"""Whether attributes were computed from the texts that they now stand beside: ids alone do not tell.

A Parquet file of attributes records a digest of the texts, which costs nothing beside reading them. JSON lines have no
place for one; there, and in files that others have written, spans must end within the text.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dolma_pipeline import _native
from dolma_pipeline.errors import DataError
from dolma_pipeline.formats.documents import Documents
from dolma_pipeline.formats.parquet_errors import named
from dolma_pipeline.io.arrow import parquet_metadata

KEY = "dolma_pipeline.texts"
"""The key of the digest in the metadata of a Parquet file."""
SEED = 0x7E87
MASK = (1 << 64) - 1


class TextDigest:
    """A number that depends on every text and on its place, whatever the batches."""

    def __init__(self) -> None:
        self.rows = 0
        self._sum = 0
        self._plain = 0
        """The sum without the places, from which that of texts further down in a file follows."""

    def add(self, texts: pa.LargeStringArray) -> None:
        hashes = np.asarray(_native.keyed_hash(texts, SEED).to_numpy(zero_copy_only=False), np.uint64)
        # An odd factor is another one for each row, and loses no bit.
        factors = np.arange(self.rows, self.rows + len(hashes), dtype=np.uint64) * np.uint64(2) + np.uint64(1)
        self._sum = (self._sum + int((hashes * factors).sum(dtype=np.uint64))) & MASK
        self._plain = (self._plain + int(hashes.sum(dtype=np.uint64))) & MASK
        self.rows += len(hashes)

    def hex(self) -> str:
        return f"{self.rows}:{self._sum:016x}"

    def of_piece(self) -> str:
        """What `joined_digest` needs to know of the texts of a piece."""
        return f"{self.hex()}:{self._plain:016x}"


def joined_digest(pieces: Sequence[str]) -> str:
    """The `hex` of the texts of all pieces, one behind the other; `pieces`: the `of_piece` of each."""
    rows = total = 0
    for piece in pieces:
        more, placed, plain = piece.split(":")
        # Each of its rows stands `rows` further down, and so has a factor that is greater by twice that.
        total = (total + int(placed, 16) + 2 * rows * int(plain, 16)) & MASK
        rows += int(more)
    return f"{rows}:{total:016x}"


def recorded(path: str) -> str | None:
    """The digest of the texts that a Parquet file of attributes was made of; None if it does not say."""
    with named(path):
        found = (parquet_metadata(path).metadata or {}).get(KEY.encode())
    return None if found is None else found.decode()


class PastTheEnd:
    """Looks for spans that end after the text of their document.

    Files that Dolma wrote may count bytes instead of characters, and their span of a whole document is as long as the
    key that was compared: the first is let pass, and the second, one span from the beginning, is only a warning.
    """

    def __init__(self) -> None:
        self._whole: dict[str, tuple[int, str]] = {}

    def check(self, columns: Mapping[str, pa.Array], documents: Documents, place: Callable[[int], str]) -> None:
        """Raises DataError at the first span of a batch that ends after its text; `place` says where a row is."""
        spans = {key: column for key, column in columns.items() if _is_spans(column.type)}
        if not spans:
            return
        sizes = np.asarray(pc.binary_length(documents.text).to_numpy(zero_copy_only=False), np.int64)
        for key, column in spans.items():
            counts = np.asarray(pc.fill_null(pc.list_value_length(column), 0).to_numpy(zero_copy_only=False), np.int64)
            row = np.repeat(np.arange(len(counts)), counts)
            items = column.flatten()
            start = np.asarray(items.field("start").to_numpy(zero_copy_only=False))
            end = np.asarray(items.field("end").to_numpy(zero_copy_only=False))
            past = end > sizes[row]
            whole = past & (counts[row] == 1) & (start == 0)
            for span in np.flatnonzero(past & ~whole)[:1]:
                at = int(row[span])
                length = len(documents.text[at].as_py())
                raise DataError(
                    f"{place(at)}: attribute `{key}` of document `{documents.id[at].as_py()}` (line "
                    f"{documents.line[at].as_py()} of the documents): expected spans within its text of "
                    f"{length} characters, found one from {start[span]} to {end[span]}: the attributes are of "
                    "another text; tag the documents again"
                )
            if whole.any():
                before, first = self._whole.get(key, (0, place(int(row[whole][0]))))
                self._whole[key] = (before + int(whole.sum()), first)

    @property
    def found(self) -> dict[str, tuple[int, str]]:
        """How many documents have a span that is longer than their text, and where the first is, by attribute."""
        return dict(self._whole)

    def warnings(self, path: str) -> list[str]:
        return past_warnings(path, self._whole)


def past_warnings(path: str, found: Mapping[str, tuple[int, str]]) -> list[str]:
    """Sentences for what `PastTheEnd` has found in the attribute file `path`."""
    return [
        f"{path}: attribute `{key}` of {'1 document' if number == 1 else f'{number} documents'} is a span that is "
        f"longer than the text, the first at "
        f"{first}: the documents may have been edited after they were tagged, or it measures a key and not the text"
        for key, (number, first) in found.items()
    ]


def other_texts(path: str, documents: str) -> str:
    """A sentence for an attribute file that says it was made of other texts than those in the file `documents`."""
    return (
        f"{path}: expected attributes of the texts in {documents}, found those of other texts "
        "under the same ids: the documents were edited after they were tagged; tag the documents again"
    )


def _is_spans(kind: pa.DataType) -> bool:
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind)) and pa.types.is_struct(kind.value_type)
