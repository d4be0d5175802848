"""What became of a document, in terms that are printed or written as JSON."""

from __future__ import annotations

from typing import Any

from msgspec import Struct


class Place(Struct, frozen=True, kw_only=True):
    """Where a document stands."""

    file: str
    line: int
    """Number of the line, or of the row in Parquet, from 1."""
    row: int
    """Number of documents before it in the file: attribute files have a row for each document."""

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


class RuleAnswer(Struct, frozen=True, kw_only=True):
    """What a rule of a mix says of a document."""

    name: str
    expression: str
    answer: bool
    values: dict[str, Any] = {}
    """What the rule read; None for an attribute or field that the document does not have."""


class TokenRange(Struct, frozen=True, kw_only=True):
    """Tokens of a document in a token file: `start` up to `end`."""

    file: str
    start: int
    end: int


class Difference(Struct, frozen=True, kw_only=True):
    """Words that stand in one of two texts at a place, and those that stand in the other instead."""

    here: str
    there: str


class Pair(Struct, frozen=True, kw_only=True):
    """The document that stays, and how this one differs from it."""

    kept: str
    """Its id."""
    place: str
    """Its file and line."""
    differences: list[Difference]
    """The first of them."""
    words_in_common: float
    """Share of the words of this document that the other has in the same order."""


class StageStory(Struct, kw_only=True, omit_defaults=True):
    """What a stage found, or did."""

    stage: str
    attributes: dict[str, Any] = {}
    """The attributes that it gave the document, by their keys; those that the document does not have are left out."""
    first: str | None = None
    """Where the document stands that this one is a duplicate of, and its id."""
    pair: Pair | None = None
    """The document that a near-duplicate was compared with, and how they differ."""
    rules: list[RuleAnswer] = []
    dropped_by: str | None = None
    """The first rule that is true of the document."""
    edited: dict[str, int] = {}
    """Spans that edits changed, by edit."""
    bytes_before: int | None = None
    """UTF-8 bytes of the text that the stage read."""
    bytes_after: int | None = None
    written: list[str] = []
    """Where the stage wrote the document, as `file:line`."""
    copies: int | None = None
    """How often the stage wrote it."""
    tokens: list[TokenRange] = []
    note: str | None = None
    """What else is to be known."""


class Story(Struct, kw_only=True):
    """A document and what the stages of a run made of it."""

    id: str
    source: str
    place: Place
    text: str
    """How the text begins."""
    stages: list[StageStory] = []
    outcome: str
    """In a sentence."""
