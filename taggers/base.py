"""What a tagger is: a loaded object that gives a batch of documents one column per attribute."""

from __future__ import annotations

import traceback
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import pyarrow as pa

from dolma_pipeline.errors import StageError
from dolma_pipeline.formats.kinds import Kind as Kind

PACKAGE = Path(__file__).parent.parent


class Attribute(NamedTuple):
    """A column that a tagger writes; formats/kinds.py has the Arrow type of each kind."""

    name: str
    kind: Kind


class Documents(Protocol):
    """What taggers read of a batch of documents; `dolma_pipeline.formats.documents.Documents` is one."""

    def __len__(self) -> int: ...
    @property
    def id(self) -> pa.LargeStringArray: ...
    @property
    def text(self) -> pa.LargeStringArray: ...
    @property
    def source(self) -> pa.LargeStringArray: ...
    @property
    def line(self) -> pa.Int64Array: ...
    @property
    def name(self) -> str:
        """The path of their file below the source, without extensions."""

    @property
    def raw(self) -> pa.LargeBinaryArray | None:
        """Each document as JSON, for taggers that need more than its text."""

    def slice(self, start: int, length: int) -> Documents: ...


class Tagger(Protocol):
    """A loaded tagger. What it was made of is its `model: Path` or `files`, so that a change is noticed.

    `needs_raw = True`: it reads more of a document than text, id and source. `seeded(seed)`: the same with other random
    numbers.
    """

    @property
    def name(self) -> str: ...
    @property
    def attributes(self) -> tuple[Attribute, ...] | None:
        """What `tag` gives, in order; None where only the documents tell."""

    def tag(self, documents: Documents) -> dict[str, pa.Array]:
        """A column per attribute, in the type of its kind, each with a row per document; scores have five decimals."""


class TaggerFailure(StageError):
    """A tagger that raised, or gave what is no attribute; `row` of the batch where it is known which document."""

    def __init__(self, tagger: str, reason: str, *, row: int | None = None, document: str | None = None) -> None:
        place = "" if document is None else f", document `{document}`"
        super().__init__(f"tagger `{tagger}`{place}: {reason}")
        self.tagger = tagger
        self.reason = reason
        self.row = row
        self.document = document

    def __reduce__(self) -> tuple[Any, ...]:
        return _failure, (self.tagger, self.reason, self.row, self.document)

    @property
    def raised_at(self) -> str | None:
        """`FILE:LINE` where the tagger's code raised, in the user's own file if a library raised; None if unknown."""
        cause = self.__cause__
        frames = traceback.extract_tb(cause.__traceback__) if cause is not None else []
        places = [(f.filename, f.lineno) for f in frames if not Path(f.filename).is_relative_to(PACKAGE)]
        users = [p for p in places if "site-packages" not in p[0]] or places
        return f"{users[-1][0]}:{users[-1][1]}" if users else None


def _failure(tagger: str, reason: str, row: int | None, document: str | None) -> TaggerFailure:
    return TaggerFailure(tagger, reason, row=row, document=document)
