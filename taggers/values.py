"""What taggers in Python give for a document, checked against the kinds that they declare, as columns."""

from __future__ import annotations

import math
from collections.abc import Mapping
from numbers import Integral, Real
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa

from dolma_pipeline.formats.kinds import TYPES, Kind, shown
from dolma_pipeline.taggers.base import Attribute
from dolma_pipeline.taggers.data_types import Span

DECIMALS = 5
LARGEST = 2**63
Value: TypeAlias = "float | int | str | bool | list[Span] | None"


class BadValue(Exception):
    """What a tagger gave is no value of its attribute."""


class ValueColumns:
    """Collects the values of documents, one after the other, into columns.

    An attribute that is not declared is a number (float64) or spans, whichever the first document has.
    """

    def __init__(self, attributes: tuple[Attribute, ...] | None) -> None:
        self._declared = attributes is not None
        self._kinds: dict[str, Kind] = dict(attributes or ())
        self._values: dict[str, list[Any]] = {name: [] for name in self._kinds}
        self._rows = 0

    def add(self, values: Mapping[str, Value], length: int) -> None:
        """Adds a document whose text has `length` code points; raises BadValue."""
        for name, value in values.items():
            if value is None or not name:
                continue
            kind = self._kinds.get(name)
            if kind is None:
                if self._declared:
                    raise BadValue(f"`{name}` is not one of the declared attributes {', '.join(self._kinds)}")
                kind = _undeclared(name, value)
                self._kinds[name], self._values[name] = kind, [None] * self._rows
            self._values[name].append(_checked(name, kind, value, length))
        self._rows += 1
        for column in self._values.values():
            if len(column) < self._rows:
                column.append(None)

    def finish(self) -> dict[str, pa.Array]:
        columns = {}
        for name, kind in self._kinds.items():
            values = [v or [] for v in self._values[name]] if kind == "spans" else self._values[name]
            columns[name] = pa.array(values, TYPES[kind])
        return columns


def declaration(name: str, kind: Kind) -> str:
    """Returns what a user writes to declare an attribute."""
    return f'declare it with attributes={{"{name}": "{kind}"}}'


def _undeclared(name: str, value: Any) -> Kind:
    if isinstance(value, list | tuple):
        return "spans"
    if isinstance(value, str):
        raise BadValue(
            f"`{name}`: expected a number or a list of spans, found the text {_short(value)}; for texts "
            f"{declaration(name, 'string')}"
        )
    return "float64"


def _checked(name: str, kind: Kind, value: Any, length: int) -> Any:
    """Returns the value as its column holds it."""
    if isinstance(value, list | tuple):
        spans = [_span(name, s, length) for s in value]
        if kind == "spans":
            return [(s.start, s.end, _score(name, s.score)) for s in spans]
        if [(s.start, s.end) for s in spans] != [(0, length)]:
            raise BadValue(f"`{name}`: expected {_wanted(kind)} or one span over the whole text, found {value}")
        value = spans[0].score
    if kind == "spans":
        raise BadValue(f"`{name}`: expected a list of spans, found {value!r}")
    if kind == "float64":
        return _score(name, value)
    if kind == "int64":
        # A bool is an int in Python, and nobody means it as one.
        if isinstance(value, bool) or not isinstance(value, Integral) or not -LARGEST <= int(value) < LARGEST:
            raise BadValue(f"`{name}`: expected {shown(kind)} of 64 bits, found {value!r}{_as_integer(value)}")
        return int(value)
    if kind == "bool":
        if not isinstance(value, bool | np.bool_):
            raise BadValue(f"`{name}`: expected {shown(kind)}, found {_short(value)}; `bool(...)` makes one")
        return bool(value)
    if not isinstance(value, str):
        raise BadValue(f"`{name}`: expected {shown(kind)}, found {value!r}; `str(...)` makes one")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise BadValue(f"`{name}`: expected a text that is Unicode, found half a surrogate: {error}") from None
    return str(value)


def _wanted(kind: Kind) -> str:
    return "a score" if kind == "float64" else shown(kind)


def _score(name: str, value: Any) -> float:
    if not isinstance(value, Real):
        what = f"; for texts {declaration(name, 'string')}" if isinstance(value, str) else ""
        raise BadValue(f"`{name}`: expected a number, found {_short(value)}{what}")
    if isinstance(value, Integral) and float(value) != int(value):
        raise BadValue(
            f"`{name}`: expected a number that a float64 holds, found {value}; for whole numbers "
            f"{declaration(name, 'int64')}"
        )
    score = round(float(value), DECIMALS)
    if not math.isfinite(score):
        raise BadValue(f"`{name}`: expected a finite score, found {score}")
    return score


def _span(name: str, span: Any, length: int) -> Span:
    if not isinstance(span, Span):
        raise BadValue(f"`{name}`: expected a Span, found {span!r}")
    if not 0 <= span.start <= span.end <= length:
        raise BadValue(f"`{name}`: expected 0 <= start <= end <= {length}, found {span.start} and {span.end}")
    return Span(int(span.start), int(span.end), span.type, span.score)


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:60]}…"


def _as_integer(value: object) -> str:
    """What would work in place of a value that is no int64."""
    try:
        fits = -LARGEST <= int(value) < LARGEST  # type: ignore[call-overload]
    except (TypeError, ValueError, OverflowError):
        return "; return None where there is no number"
    return "; `int(...)` makes one" if fits else f"; 64 bits hold {-LARGEST} to {LARGEST - 1}"
