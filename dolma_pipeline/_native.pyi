"""The native extension: readers, writers and kernels over Arrow arrays. Every call releases the GIL.

Raises OSError (by errno), DataError for bytes that are not what a format promises, ValueError and TypeError for arguments.
"""

from collections.abc import Iterator, Sequence
from typing import Any

class DocumentReader:
    """Streams the documents of a JSONL file as pyarrow.RecordBatch (see formats/documents.py for the columns)."""

    def __init__(
        self, path: str, *, batch_bytes: int = ..., max_line_bytes: int = ..., keep_raw: bool = False
    ) -> None: ...
    def __iter__(self) -> Iterator[Any]: ...
    def __next__(self) -> Any: ...
    def take_bad(self) -> list[tuple[int, int, str, bytes]]:
        """(line, offset, reason, raw) of the bad lines met since the last call."""

    @property
    def damage(self) -> str | None: ...
    @property
    def bytes_read(self) -> int: ...

class AttributeReader:
    """Streams the rows of a JSONL attribute file: id, raw where asked for, a span column per key."""

    def __init__(self, path: str, keys: Sequence[str], *, raw: bool = False) -> None: ...
    def next_rows(self, rows: int) -> Any: ...

class LineWriter:
    """Writes a file atomically, compressed by its extension, hashed on the way."""

    def __init__(self, path: str, *, level: int | None = None) -> None: ...
    def write(self, data: bytes) -> None: ...
    def write_documents(
        self,
        batch: Any,
        *,
        copies: Any | None = None,
        texts: Any | None = None,
        provenance: str | None = None,
        discard: Sequence[str] = ...,
    ) -> tuple[int, int]:
        """Documents (read with keep_raw) as JSON lines; returns (documents, UTF-8 bytes of text) written."""

    def write_attributes(
        self, ids: Any, lengths: Any, sources: Any | None, keys: Sequence[str], columns: Sequence[Any]
    ) -> None: ...
    def finish(self) -> tuple[int, str]:
        """(bytes, BLAKE3 in hex) of the file, now under its name."""

    def abort(self) -> None: ...

def blake3_file(path: str) -> str: ...
def keyed_hash(values: Any, seed: int) -> Any:
    """xxh3_64 of each string under `seed`: a uint64 array."""

def apply_edits(texts: Any, edits: Any, replacements: Sequence[str]) -> Any:
    """Texts with spans of code points replaced; null where nothing changed."""

def char_lengths(texts: Any) -> Any:
    """Code points per text: int64."""

def stripped_bytes(texts: Any) -> Any:
    """UTF-8 bytes of each text without white space at its ends: int64."""

def string_field(raw: Any, path: str) -> Any:
    """The string at a dotted path of each JSON line; null where there is none."""

def attribute_keys(path: str, rows: int) -> list[str]: ...

class FastText:
    """A fastText classifier from a `.bin` or `.ftz` file: texts in as a large_string array, a RecordBatch out.

    In a text a line break counts as a space; `lower` and `strip` are Python's `str.lower` and `str.strip`. Among equal
    scores the label with the higher index comes first. Threads may share a model.
    """

    def __init__(self, path: str) -> None: ...
    @property
    def labels(self) -> list[str]:
        """As the model has them, `__label__` and all; predictions index into it."""

    def predict(self, texts: Any, k: int = 1, threshold: float = 0.0, *, lower: bool = False, strip: bool = False) -> Any:
        """`label: list<int32>`, `score: list<float32>`: the k best labels (-1: all) with a probability of `threshold`."""

    def scores(self, texts: Any, labels: Sequence[str], *, lower: bool = False, strip: bool = False) -> Any:
        """A float64 column per label; null where a prediction of all labels leaves it out."""

    def label_scores(self, texts: Any, label: str, *, lower: bool = False, strip: bool = False) -> Any:
        """`positive`, `negative`: the score of `label` (0 if left out) and 1 minus it, to five decimals."""

    def paragraph_scores(self, texts: Any, label: str, *, lower: bool = False, strip: bool = False) -> Any:
        """`positive`, `negative` as spans by paragraph, `doc_positive`, `doc_negative` weighted by length."""
