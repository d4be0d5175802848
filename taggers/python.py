"""Taggers written in Python: a function of a text, a function of a batch, or a class in Dolma's shape.

    @tagger("shouting_v1")
    def shouting(text: str) -> float:
        return sum(c.isupper() for c in text) / max(len(text), 1)

A module that holds such is named in `tagger_modules`. Attributes that are not declared are those the documents have,
numbers or spans: declare them with `attributes={"name": "float64" | "int64" | "string" | "bool" | "spans"}` where a mix
names them, where the files are Parquet, and for whole numbers, texts and flags.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, TypeAlias, TypeVar

import msgspec
import pyarrow as pa

from dolma_pipeline import _native
from dolma_pipeline.formats.columns import shown_id
from dolma_pipeline.formats.kinds import KINDS, TYPES, Kind, kind_of
from dolma_pipeline.taggers.base import Attribute, Documents, Tagger, TaggerFailure
from dolma_pipeline.taggers.data_types import (
    DocResult,
    Document,
    DocumentWithMetadata,
    InputSpec,
    InputSpecWithMetadata,
    Span,
)
from dolma_pipeline.taggers.registry import USER, Entry
from dolma_pipeline.taggers.values import DECIMALS as DECIMALS
from dolma_pipeline.taggers.values import BadValue, ValueColumns, declaration
from dolma_pipeline.taggers.values import Value as Value

SCORE = "score"
"""The attribute of a function that returns a number."""


class BaseTagger:
    """The base of taggers written like those of Dolma: a subclass defines `predict`, and `add_tagger` gives it a name.

    It is made once in each process.
    """

    FIELDS: ClassVar[list[str]] = ["text"]
    attributes: ClassVar[Mapping[str, Kind] | None] = None
    """Declares what `predict` gives, in spans and in the `values` of its result.

    A span over the whole text stands for its score, where that is all that the attribute is.
    """

    @property
    def defaults(self) -> list[str]:
        """Attributes that every document has, without spans if need be."""
        return []

    def predict(self, doc: Any) -> DocResult:
        """Returns what is measured of a document; subclasses define it."""
        raise NotImplementedError(f"{type(self).__name__} defines no `predict`")

    def group_output(self, doc_result: DocResult) -> dict[str, Any]:
        """Returns lists of (start, end, score) by attribute, scores to five decimals, and the document's `values`."""
        grouped: dict[str, Any] = {name: [] for name in self.defaults}
        for span in doc_result.spans:
            triple = (span.start, span.end, round(float(span.score), DECIMALS))
            grouped.setdefault(span.type, []).append(triple)
        return grouped | doc_result.values

    def tag(self, row: Any) -> dict[str, Any]:
        """Returns the attributes of a row of a document file, an `InputSpec`."""
        return self.group_output(self.predict(Document.from_spec(row)))


class BaseTaggerWithMetadata(BaseTagger):
    """The base of taggers like BaseTagger whose `predict` receives the metadata of the document too."""

    def tag(self, row: Any) -> dict[str, Any]:
        return self.group_output(self.predict(DocumentWithMetadata.from_spec(row)))


class _Header(msgspec.Struct):
    version: str | None = None
    metadata: dict[str, Any] | None = None


Result: TypeAlias = "float | int | str | bool | dict[str, Any] | list[Span]"
F = TypeVar("F", bound=Callable[..., Any])
C = TypeVar("C", bound=type[BaseTagger])


def tagger(name: str, *, attributes: Mapping[str, Kind] | None = None) -> Callable[[F], F]:
    """Registers a function of a text as a tagger.

    It returns a number (attribute `score`), a list of Span (one attribute per type), or a dict from attribute to
    either; None, or a missing key, leaves the attribute absent. Numbers are float64 unless `attributes` says `int64`;
    texts and flags must be declared, as `string` and `bool`. Where one attribute is declared, the function may return
    its value alone.
    """

    given = _declared(attributes)

    def register(function: F) -> F:
        declared = given or _annotated(function)

        def value(document: _Row) -> dict[str, Value]:
            return _by_attribute(function(document.text), declared)

        _register(function, name, declared, lambda: RowTagger(name, declared, value))
        return function

    return register


def batch_tagger(name: str, *, attributes: Mapping[str, Kind] | None = None, raw: bool = False) -> Callable[[F], F]:
    """Registers a function of `Documents` as a tagger: it returns a column (Arrow, NumPy, list) per attribute.

    Numbers are float64 unless `attributes` says `int64`, lists of struct<start, end, score> are spans; texts and flags
    must be declared, as `string` and `bool`. `raw`: the function reads `documents.raw`.
    """

    declared = _declared(attributes)

    def register(function: F) -> F:
        _register(function, name, declared, lambda: BatchTagger(name, declared, function, raw))
        return function

    return register


def add_tagger(name: str) -> Callable[[C], C]:
    """Registers a class that is written like a tagger of Dolma, under a name."""

    def register(cls: C) -> C:
        declared = _declared(cls.attributes)
        _register(cls, name, declared, lambda: _load_class(name, cls, declared))
        return cls

    return register


@dataclass(slots=True)
class _Row:
    text: str
    id: str
    source: str
    raw: bytes | None


class RowTagger:
    """Calls `value` for each document: attribute -> score, spans, or None."""

    def __init__(
        self,
        name: str,
        attributes: tuple[Attribute, ...] | None,
        value: Callable[[_Row], dict[str, Value]],
        needs_raw: bool = False,
    ) -> None:
        self.name = name
        self.attributes = attributes
        self.needs_raw = needs_raw
        self.model: Path | None = None
        """File that the tagger reads: when it changes, so do the attributes."""
        self._value = value

    def tag(self, documents: Documents) -> dict[str, pa.Array]:
        columns = ValueColumns(self.attributes)
        raws = documents.raw.to_pylist() if self.needs_raw and documents.raw is not None else [None] * len(documents)
        rows = zip(
            documents.text.to_pylist(), documents.id.to_pylist(), documents.source.to_pylist(), raws, strict=True
        )
        for number, (text, identity, source, raw) in enumerate(rows):
            try:
                columns.add(self._value(_Row(text, shown_id(identity), source or "", raw)), len(text))
            except (Exception, SystemExit) as error:
                reason = str(error) if isinstance(error, BadValue) else f"{type(error).__name__}: {error}"
                raise TaggerFailure(self.name, reason, row=number, document=identity) from error
        return columns.finish()


class BatchTagger:
    """Calls `function` for each batch and checks what it gives."""

    def __init__(
        self,
        name: str,
        attributes: tuple[Attribute, ...] | None,
        function: Callable[[Documents], Mapping[str, Any]],
        needs_raw: bool,
    ) -> None:
        self.name = name
        self.attributes = attributes
        self.needs_raw = needs_raw
        self._function = function

    def tag(self, documents: Documents) -> dict[str, pa.Array]:
        try:
            given = {k: _array(k, c) for k, c in self._function(documents).items()}
        except BadValue as error:
            raise TaggerFailure(self.name, str(error)) from error
        except (Exception, SystemExit) as error:
            raise TaggerFailure(self.name, f"{type(error).__name__}: {error}") from error
        if self.attributes is not None:
            names = [a.name for a in self.attributes]
            if set(given) != set(names):
                expected, found = ", ".join(names), ", ".join(given) or "none"
                raise TaggerFailure(self.name, f"expected the declared attributes {expected}, found {found}")
            given = {name: given[name] for name in names}
        kinds = {a.name: a.kind for a in self.attributes or ()}
        return {k: self._column(k, kinds.get(k), c, len(documents)) for k, c in given.items()}

    def _column(self, attribute: str, kind: Kind | None, column: pa.Array, rows: int) -> pa.Array:
        if len(column) != rows:
            found = f"`{attribute}`: expected a value for each of {rows} documents, found {len(column)}"
            raise TaggerFailure(self.name, found)
        there = kind_of(column.type)
        if kind is None:
            kind = "spans" if pa.types.is_list(column.type) or pa.types.is_large_list(column.type) else "float64"
        if not pa.types.is_null(column.type) and there not in _FROM[kind]:
            hint = f"; for texts {declaration(attribute, 'string')}" if there == "string" else ""
            raise TaggerFailure(self.name, f"`{attribute}`: expected {_COLUMNS[kind]}, found {column.type}{hint}")
        try:
            column = column.cast(TYPES[kind])
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError, pa.ArrowTypeError) as error:
            raise TaggerFailure(self.name, f"`{attribute}`: expected {_COLUMNS[kind]}, found {error}") from None
        return self._finite(attribute, column) if kind == "float64" else column

    def _finite(self, attribute: str, scores: pa.Array) -> pa.Array:
        if not pa.compute.all(pa.compute.is_finite(scores)).as_py() and scores.null_count < len(scores):
            raise TaggerFailure(self.name, f"`{attribute}`: expected finite scores, found nan or infinity")
        return _native.round_scores(scores)


_FROM: Mapping[Kind, tuple[Kind, ...]] = {
    "float64": ("float64", "int64", "bool"),
    "int64": ("int64",),
    "string": ("string",),
    "bool": ("bool",),
    "spans": ("spans",),
}
"""The kinds of columns that may stand for one that is declared, or (float64, spans) not."""
_COLUMNS: Mapping[Kind, str] = {
    "float64": "numbers",
    "int64": "whole numbers (int64)",
    "string": "texts (string)",
    "bool": "booleans",
    "spans": "lists of struct<start, end, score>",
}


def _array(attribute: str, column: Any) -> pa.Array:
    if isinstance(column, pa.Array):
        return column
    try:
        return pa.array(column)
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise BadValue(f"`{attribute}`: expected values of one kind, found others: {error}") from error


def _by_attribute(result: Any, declared: tuple[Attribute, ...] | None = None) -> dict[str, Value]:
    if result is None:
        return {}
    if isinstance(result, Mapping):
        return dict(result)
    if isinstance(result, (list, tuple)):
        return _by_type(result)
    return {declared[0].name if declared is not None and len(declared) == 1 else SCORE: result}


def _by_type(spans: Sequence[Any]) -> dict[str, Value]:
    """Spans of one type together; without a type they are called `spans`."""
    grouped: dict[str, Any] = {}
    for span in spans:
        grouped.setdefault(getattr(span, "type", "") or "spans", []).append(span)
    return grouped


def _declared(attributes: Mapping[str, Kind] | None) -> tuple[Attribute, ...] | None:
    if not attributes:
        return None
    found: dict[str, Kind] = {name: _OLD.get(kind, kind) for name, kind in attributes.items()}
    for name, kind in found.items():
        if kind not in KINDS:
            raise ValueError(f"attribute `{name}`: expected one of {', '.join(KINDS)}, found `{kind}`")
    return tuple(Attribute(name, kind) for name, kind in found.items())


_OLD: Mapping[str, Kind] = {"document": "float64"}
"""Names that kinds once had."""


def _annotated(function: Callable[..., Any]) -> tuple[Attribute, ...] | None:
    """`-> float` declares the attribute `score`; nothing else says the names of attributes."""
    returned = inspect.signature(function).return_annotation
    return (Attribute(SCORE, "float64"),) if returned in (float, int, bool, "float", "int", "bool") else None


def _register(what: Any, name: str, declared: tuple[Attribute, ...] | None, load: Callable[[], Tagger]) -> None:
    lines = (inspect.getdoc(what) or "").splitlines()
    source = inspect.getsourcefile(what) if what.__module__ != "__main__" else None
    USER.add(
        Entry(
            name,
            "python",
            load,
            doc=lines[0] if lines else "",
            attributes=tuple(a.name for a in declared or ()),
            origin=f"{what.__module__}.{what.__qualname__}",
            file=Path(source) if source else None,
        )
    )


def _load_class(name: str, cls: type[BaseTagger], declared: tuple[Attribute, ...] | None) -> RowTagger:
    instance = cls()
    defaults = list(instance.defaults)
    with_metadata = isinstance(instance, BaseTaggerWithMetadata)
    decoder = msgspec.json.Decoder(_Header)
    base = BaseTaggerWithMetadata if with_metadata else BaseTagger
    own_rows = cls.tag is not base.tag or cls.group_output is not BaseTagger.group_output

    def document(row: _Row) -> Document:
        if with_metadata and row.raw is not None:
            header = decoder.decode(row.raw)
            return DocumentWithMetadata(row.source, row.id, row.text, header.version, header.metadata or {})
        return Document(row.source, row.id, row.text)

    def triples(row: _Row) -> dict[str, Value]:
        """A class that makes its rows by itself is asked for them, as Dolma does."""
        given = document(row)
        spec = (InputSpecWithMetadata if with_metadata else InputSpec)(**given.to_json())
        return {
            attribute: [Span(start, end, attribute, score) for start, end, score in found]
            if isinstance(found, list | tuple)
            else found
            for attribute, found in instance.tag(spec).items()
        }

    def value(row: _Row) -> dict[str, Value]:
        spans: dict[str, Value] = {attribute: [] for attribute in defaults}
        result = instance.predict(document(row))
        for span in result.spans:
            # An attribute without a name is left out, as Dolma does.
            if span.type:
                found = spans.setdefault(span.type, [])
                if isinstance(found, list):
                    found.append(span)
        for attribute, given in result.values.items():
            if spans.get(attribute):
                raise BadValue(f"`{attribute}`: expected spans or a value, found both")
            spans[attribute] = given
        return spans

    tagger = RowTagger(name, declared, triples if own_rows else value, needs_raw=with_metadata)
    model = getattr(instance, "model", None)
    tagger.model = model if isinstance(model, Path) else None
    return tagger
