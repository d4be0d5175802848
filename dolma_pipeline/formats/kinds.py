"""The kinds of attributes, and the Arrow type that a column of each has.

    float64   one number for the document, or none
    int64     one whole number
    string    one text
    bool      true or false
    spans     any number of (start, end, score) in code points

All but spans are nullable: a null says that the document does not have the attribute.
"""

from __future__ import annotations

import typing
from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal, TypeAlias

import pyarrow as pa

Kind: TypeAlias = Literal["float64", "int64", "string", "bool", "spans"]
KINDS: tuple[Kind, ...] = typing.get_args(Kind)
SPANS = pa.list_(
    pa.field(
        "item",
        pa.struct(
            [
                pa.field("start", pa.int64(), nullable=False),
                pa.field("end", pa.int64(), nullable=False),
                pa.field("score", pa.float64(), nullable=False),
            ]
        ),
        nullable=False,
    )
)
TYPES: Mapping[Kind, pa.DataType] = MappingProxyType(
    {
        "float64": pa.float64(),
        "int64": pa.int64(),
        "string": pa.large_string(),
        "bool": pa.bool_(),
        "spans": SPANS,
    }
)


def kind_of(type: pa.DataType) -> Kind | None:
    """Returns the kind of a column of this type, in a file of anybody's; None for a column of nulls, or of no kind."""
    if pa.types.is_dictionary(type):
        return kind_of(type.value_type)
    if pa.types.is_floating(type):
        return "float64"
    if pa.types.is_integer(type):
        return "int64"
    if pa.types.is_string(type) or pa.types.is_large_string(type) or pa.types.is_string_view(type):
        return "string"
    if pa.types.is_boolean(type):
        return "bool"
    item = type.value_type if pa.types.is_list(type) or pa.types.is_large_list(type) else None
    if item is not None and pa.types.is_struct(item) and {f.name for f in item} >= {"start", "end", "score"}:
        return "spans"
    return None


def absent(kind: Kind, count: int) -> pa.Array:
    """Returns a column without a value in any of `count` rows."""
    return pa.array([[]] * count, SPANS) if kind == "spans" else pa.nulls(count, TYPES[kind])


def shown(kind: Kind) -> str:
    """Returns a kind in a sentence: `a number (float64)`."""
    return {
        "float64": "a number (float64)",
        "int64": "a whole number (int64)",
        "string": "a text (string)",
        "bool": "true or false (bool)",
        "spans": "spans",
    }[kind]
