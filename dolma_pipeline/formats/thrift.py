"""Values in Thrift's compact protocol, in which the footer of a Parquet file is written.

They are read and written without knowledge of what they mean: so a footer can be changed in some places, and all that
is unknown about the others stays as it is. The format: https://github.com/apache/thrift, doc/specs.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from dolma_pipeline.errors import DataError

TRUE, FALSE, BYTE, I16, I32, I64, DOUBLE, BINARY, LIST, SET, MAP, STRUCT = range(1, 13)
_INTEGERS = frozenset({I16, I32, I64})


class Field(NamedTuple):
    """A field of a struct. A whole number is an int, a string bytes, a struct `Fields`, a list `Items`."""

    kind: int
    value: Any


Fields = dict[int, Field]
"""The fields of a struct by their numbers, in the order in which they are written."""


class Items(NamedTuple):
    """A list: the kind of its items, and the items."""

    kind: int
    values: list[Any]


def decode(data: bytes) -> Fields:
    """Reads a struct. Raises DataError for bytes that are none."""
    try:
        found, _ = _struct(data, 0)
    except (IndexError, RecursionError) as error:
        raise DataError(f"expected a struct in Thrift's compact protocol, found its end: {error}") from None
    return found


def encode(fields: Fields) -> bytes:
    """Writes a struct."""
    out = bytearray()
    _write_struct(out, fields)
    return bytes(out)


def _varint(data: bytes, at: int) -> tuple[int, int]:
    number = shift = 0
    while True:
        byte = data[at]
        at += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return number, at
        shift += 7


def _zigzag(data: bytes, at: int) -> tuple[int, int]:
    number, at = _varint(data, at)
    return (number >> 1) ^ -(number & 1), at


def _struct(data: bytes, at: int) -> tuple[Fields, int]:
    fields: Fields = {}
    number = 0
    while (head := data[at]) != 0:
        at += 1
        if head >> 4:
            number += head >> 4
        else:
            number, at = _zigzag(data, at)
        kind = head & 15
        if kind in (TRUE, FALSE):
            value = None
        else:
            value, at = _value(data, at, kind)
        fields[number] = Field(kind, value)
    return fields, at + 1


def _value(data: bytes, at: int, kind: int) -> tuple[Any, int]:
    if kind in _INTEGERS:
        return _zigzag(data, at)
    if kind == BINARY:
        length, at = _varint(data, at)
        if at + length > len(data):
            raise IndexError(f"a string of {length} bytes at byte {at}")
        return data[at : at + length], at + length
    if kind == STRUCT:
        return _struct(data, at)
    if kind in (LIST, SET):
        head = data[at]
        at += 1
        count, inner = head >> 4, head & 15
        if count == 15:
            count, at = _varint(data, at)
        values = []
        for _ in range(count):
            value, at = _value(data, at, inner)
            values.append(value)
        return Items(inner, values), at
    if kind in (TRUE, FALSE, BYTE):
        return data[at], at + 1
    if kind == DOUBLE:
        return data[at : at + 8], at + 8
    raise DataError(f"expected a kind of value that Parquet's footers have, found kind {kind} at byte {at}")


def _write_varint(out: bytearray, number: int) -> None:
    while number >= 0x80:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)


def _write_zigzag(out: bytearray, number: int) -> None:
    _write_varint(out, number << 1 if number >= 0 else (-number << 1) - 1)


def _write_struct(out: bytearray, fields: Fields) -> None:
    before = 0
    for number, (kind, value) in fields.items():
        if 0 < number - before < 16:
            out.append((number - before) << 4 | kind)
        else:
            out.append(kind)
            _write_zigzag(out, number)
        before = number
        if kind not in (TRUE, FALSE):
            _write_value(out, kind, value)
    out.append(0)


def _write_value(out: bytearray, kind: int, value: Any) -> None:
    if kind in _INTEGERS:
        _write_zigzag(out, value)
    elif kind == BINARY:
        _write_varint(out, len(value))
        out += value
    elif kind == STRUCT:
        _write_struct(out, value)
    elif kind in (LIST, SET):
        inner, values = value
        if len(values) < 15:
            out.append(len(values) << 4 | inner)
        else:
            out.append(0xF0 | inner)
            _write_varint(out, len(values))
        for each in values:
            _write_value(out, inner, each)
    elif kind == DOUBLE:
        out += value
    else:
        out.append(value)
