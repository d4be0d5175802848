"""What a tagger in Dolma's shape is given and gives: documents, spans, and the rows they are written as.

The classes have the names, fields and methods of Dolma 1.2.1, so that a tagger moves by changing its imports.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, TypeAlias

import msgspec

Score: TypeAlias = tuple[int, int, float]
"""(start, end, score) as an attribute file holds it; start and end count code points."""
Plain: TypeAlias = "int | float | str | bool"
"""What a document attribute may be; Dolma knows spans alone."""


class InputSpec(msgspec.Struct):
    """A document as a line of a document file."""

    id: str
    text: str
    source: str = ""
    created: str = ""
    added: str = ""
    version: str | None = None


class InputSpecWithMetadata(InputSpec):
    metadata: dict[str, Any] | None = None


class InputSpecWithMetadataAndAttributes(InputSpecWithMetadata):
    attributes: dict[str, list[Score]] | None = None


class OutputSpec(msgspec.Struct):
    """A row of an attribute file."""

    id: str
    attributes: dict[str, list[Score] | Plain]
    source: str | None = None


@dataclass(slots=True)
class Document:
    """A document as a tagger of Dolma's form receives it."""

    source: str
    id: str
    text: str
    version: str | None = None

    @classmethod
    def from_spec(cls, spec: Any) -> Any:
        """Returns the document of an `InputSpec`; a subclass also takes its own fields from it."""
        return cls(**{name: getattr(spec, name) for name in cls._names()})

    def to_spec(self) -> InputSpec:
        return InputSpec(**self.to_json())

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Any:
        return cls(**{name: values[name] for name in cls._names()})

    def to_json(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self._names()}

    def __str__(self) -> str:
        return f"{type(self).__name__}({','.join(f'{k}:{v!r}' for k, v in Document.to_json(self).items())})"

    @classmethod
    def _names(cls) -> tuple[str, ...]:
        return ("source", "version", "id", "text")


@dataclass(slots=True)
class DocumentWithMetadata(Document):
    """What `predict` of a `BaseTaggerWithMetadata` is given."""

    metadata: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.metadata = self.metadata or {}

    def to_spec(self) -> InputSpecWithMetadata:
        return InputSpecWithMetadata(**self.to_json())

    def to_json(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self._names()}

    def __str__(self) -> str:
        return f"{Document.__str__(self).rstrip(')')},metadata={'...' if self.metadata else 'none'})"

    @classmethod
    def _names(cls) -> tuple[str, ...]:
        return ("source", "version", "id", "text", "metadata")


@dataclass(slots=True)
class DocumentWithMetadataAndAttributes(DocumentWithMetadata):
    """The same with the attributes of all experiments."""

    attributes: dict[str, list[Score]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.metadata, self.attributes = self.metadata or {}, self.attributes or {}

    def to_spec(self) -> InputSpecWithMetadataAndAttributes:
        return InputSpecWithMetadataAndAttributes(**self.to_json())

    def __str__(self) -> str:
        head = DocumentWithMetadata.__str__(self).rstrip(")")
        return f"{head},attributes={'...' if self.attributes else 'none'})"

    @classmethod
    def _names(cls) -> tuple[str, ...]:
        return ("source", "version", "id", "text", "metadata", "attributes")


@dataclass(slots=True, repr=False)
class Span:
    """A half-open range of code points; spans of one `type` become one attribute."""

    start: int
    end: int
    type: str = ""
    score: float = 1.0
    experiment: str | None = field(default=None, compare=False)
    tagger: str | None = field(default=None, compare=False)

    def mention(self, text: str, window: int = 0) -> str:
        """Returns the span's part of `text`, with `window` code points on either side."""
        return text[max(0, self.start - window) : min(len(text), self.end + window)]

    def select(self, doc: Document) -> str:
        return doc.text[self.start : self.end]

    @classmethod
    def from_spec(cls, attribute_name: str, attribute_value: Score) -> Span:
        """Returns the span of one triple of the attribute `experiment__tagger__type`."""
        parts = attribute_name.split("__", 2)
        experiment, tagger, kind = parts if len(parts) == 3 else (attribute_name,) * 3
        start, end, score = attribute_value
        return cls(int(start), int(end), kind, float(score), experiment, tagger)

    def to_spec(self) -> tuple[str, Score]:
        if self.experiment is None or self.tagger is None:
            # Dolma asserts it, and callers catch that.
            raise AssertionError(f"expected experiment and tagger, found {self.experiment} and {self.tagger}")
        return f"{self.experiment}__{self.tagger}__{self.type}", (self.start, self.end, self.score)

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Span:
        return cls(start=values["start"], end=values["end"], type=values["type"], score=values["score"])

    def to_json(self, text: str | None = None, window: int = 0) -> dict[str, Any]:
        """Returns the span as plain values; with `text` also what it covers, as `mention`."""
        shown = {"start": self.start, "end": self.end, "type": self.type, "score": self.score}
        return shown if text is None else {**shown, "mention": self.mention(text, window)}

    def __len__(self) -> int:
        return self.end - self.start

    def __repr__(self) -> str:
        return f"{type(self).__name__}(start={self.start},end={self.end},type={self.type!r},score={self.score:.5f})"


@dataclass(slots=True)
class DocResult:
    """The result of a tagger: the spans that it found in a document.

    `values` are those of the whole document by attribute: whole numbers, texts and flags of declared kinds. Dolma has
    no such thing.
    """

    doc: Document
    spans: list[Span]
    values: dict[str, Plain] = field(default_factory=dict)

    @classmethod
    def from_spec(cls, doc: InputSpec, *attrs_groups: OutputSpec) -> DocResult:
        """Joins a document with rows of attribute files; raises AssertionError if a row has another id."""
        spans: list[Span] = []
        plain: dict[str, Plain] = {}
        for row in attrs_groups:
            if row.id != doc.id:
                raise AssertionError(f"expected attributes of document `{doc.id}`, found those of `{row.id}`")
            for name, values in row.attributes.items():
                if isinstance(values, list):
                    spans += [Span.from_spec(name, value) for value in values]
                else:
                    plain[name] = values
        return cls(doc=Document.from_spec(doc), spans=spans, values=plain)

    def to_spec(self) -> tuple[InputSpec, OutputSpec]:
        found: dict[str, list[Score]] = {}
        for span in self.spans:
            name, value = span.to_spec()
            found.setdefault(name, []).append(value)
        attributes: dict[str, list[Score] | Plain] = {**found, **self.values}
        return self.doc.to_spec(), OutputSpec(source=self.doc.source, id=self.doc.id, attributes=attributes)

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> DocResult:
        spans = [Span.from_json(s) for s in values["spans"]]
        return cls(doc=Document.from_json(values["doc"]), spans=spans, values=dict(values.get("values", {})))

    def to_json(self, with_doc: bool = False, window: int = 0) -> dict[str, Any]:
        shown: dict[str, Any] = {"spans": [s.to_json(text=self.doc.text, window=window) for s in self.spans]}
        if self.values:
            shown["values"] = self.values
        return {**shown, "doc": self.doc.to_json()} if with_doc else shown

    def __str__(self) -> str:
        return f"{type(self).__name__}(doc={self.doc},spans=[{','.join(map(str, self.spans))}])"


@dataclass(slots=True, repr=False)
class TextSlice:
    """A part of a text: a paragraph, a sentence or a word."""

    doc: str
    start: int
    end: int

    @property
    def text(self) -> str:
        return self.doc[self.start : self.end]

    def __repr__(self) -> str:
        return f"{type(self).__name__}(text={self.text!r},start={self.start},end={self.end})"
