"""JSON of Arrow columns: one value for each row, with no digit and no byte lost.

bool, integers            as they are
floats                    shortest form; NaN and the infinities, which JSON does not have, are null
decimals                  numbers with all their digits
strings                   strings; bytes too, where they are UTF-8, else {"base64": "..."}
dates, times, timestamps  ISO 8601, timestamps with a time zone in UTC
durations                 integers, in the unit of the column
lists                     arrays
structs, maps             objects; a map whose keys are no strings, or not unique, an array of pairs
dictionaries, extensions  what they stand for; UUIDs as text
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from dolma_pipeline.errors import DataError

Values = list[bytes | None]
"""JSON of each row; None for null."""

_ENCODER = msgspec.json.Encoder(decimal_format="number")
_OUT_OF_RANGE = "<value out of range"
"""What Arrow writes for a date that its calendar does not reach."""


def json_values(array: pa.Array) -> Values:
    """The JSON of each value; raises DataError for a type that has none."""
    kind = array.type
    check_type(kind)
    if isinstance(kind, pa.BaseExtensionType):
        return _each(array, str) if isinstance(kind, pa.UuidType) else json_values(array.storage)
    if pa.types.is_dictionary(kind):
        return json_values(array.dictionary_decode())
    for test, encode in _ENCODERS:
        if test(kind):
            return encode(array)
    raise DataError(f"no JSON for a column of type {kind}")


def check_type(kind: pa.DataType) -> None:
    """Raises DataError for a type, or a type within it, of which there is no JSON."""
    if isinstance(kind, pa.BaseExtensionType):
        return check_type(kind.storage_type)
    if pa.types.is_dictionary(kind):
        return check_type(kind.value_type)
    if not any(test(kind) for test, _ in _ENCODERS):
        raise DataError(f"expected a type that JSON can hold, found {kind}")
    if pa.types.is_struct(kind):
        names = [field.name for field in kind]
        twice = next((n for n in names if names.count(n) > 1), None)
        if twice is not None:
            raise DataError(f"expected fields of different names, found two called `{twice}`")
    for i in range(kind.num_fields):
        check_type(kind.field(i).type)
    return None


def is_text(kind: pa.DataType) -> bool:
    """Whether values are strings, or bytes that may be: what a text can be read from."""
    if isinstance(kind, pa.BaseExtensionType):
        return not isinstance(kind, pa.UuidType) and is_text(kind.storage_type)
    if pa.types.is_dictionary(kind):
        return is_text(kind.value_type)
    return _is_string(kind) or _is_binary(kind) or bool(pa.types.is_null(kind))


def is_identifier(kind: pa.DataType) -> bool:
    """Whether values can be ids: text, UUIDs, and whole numbers."""
    if isinstance(kind, pa.UuidType):
        return True
    if pa.types.is_dictionary(kind):
        return is_identifier(kind.value_type)
    return is_text(kind) or bool(pa.types.is_integer(kind) or (pa.types.is_decimal(kind) and kind.scale == 0))


def strings(array: pa.Array) -> tuple[pa.LargeStringArray, dict[int, str]]:
    """Values as text, whole numbers as their digits; null, and why, where bytes are not UTF-8."""
    kind = array.type
    if isinstance(kind, pa.UuidType):
        return pa.array([None if v is None else str(v) for v in array.to_pylist()], pa.large_string()), {}
    if isinstance(kind, pa.BaseExtensionType):
        return strings(array.storage)
    if pa.types.is_dictionary(kind):
        return strings(array.dictionary_decode())
    if not (_is_string(kind) or _is_binary(kind)):
        return array.cast(pa.large_string()), {}
    # By way of bytes, because a cast of strings believes that they are UTF-8.
    data = array.cast(pa.large_string()).cast(pa.large_binary()) if _is_string(kind) else array.cast(pa.large_binary())
    try:
        return data.cast(pa.large_string()), {}
    except pa.ArrowInvalid:
        return _some_strings(data)


def _some_strings(data: pa.LargeBinaryArray) -> tuple[pa.LargeStringArray, dict[int, str]]:
    values: list[str | None] = []
    bad: dict[int, str] = {}
    for row, value in enumerate(data.to_pylist()):
        try:
            values.append(None if value is None else value.decode())
        except UnicodeDecodeError as error:
            values.append(None)
            bad[row] = f"invalid UTF-8 at byte {error.start}"
    return pa.array(values, pa.large_string()), bad


def _is_string(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def _is_binary(kind: pa.DataType) -> bool:
    tests = (
        pa.types.is_binary,
        pa.types.is_large_binary,
        pa.types.is_fixed_size_binary,
        pa.types.is_binary_view,
    )
    return any(test(kind) for test in tests)


def _plain(array: pa.Array) -> Values:
    return _each(array, lambda value: value)


def _each(array: pa.Array, form: Callable[[Any], Any]) -> Values:
    return [None if v is None else _ENCODER.encode(form(v)) for v in array.to_pylist()]


def _bytes(array: pa.Array) -> Values:
    text, bad = strings(array)
    values = _plain(text)
    if bad:
        data = array.cast(pa.large_string()) if _is_string(array.type) else array
        data = data.cast(pa.large_binary())
        for row in bad:
            values[row] = _ENCODER.encode({"base64": base64.b64encode(data[row].as_py()).decode()})
    return values


def _time(array: pa.Array) -> Values:
    kind = array.type
    if pa.types.is_timestamp(kind) and kind.tz is not None:
        array = array.cast(pa.timestamp(kind.unit, "UTC"))
    text = pc.replace_substring(array.cast(pa.string()), " ", "T", max_replacements=1)
    # A fraction of a second stays only as far as it is not zero.
    text = pc.replace_substring_regex(text, r"\.0+(Z?)$", r"\1")
    values = _plain(text)
    for row, value in enumerate(text.to_pylist()):
        if value is not None and value.startswith(_OUT_OF_RANGE.replace(" ", "T", 1)):
            number = array[row].cast(pa.int32() if pa.types.is_date32(kind) else pa.int64())
            values[row] = _ENCODER.encode(number.as_py())
    return values


def _list(array: pa.Array) -> Values:
    items = json_values(array.flatten())
    found: Values = []
    begin = 0
    for length in pc.list_value_length(array).to_pylist():
        if length is None:
            found.append(None)
            continue
        found.append(b"[" + b",".join(v or b"null" for v in items[begin : begin + length]) + b"]")
        begin += length
    return found


def _map(array: pa.Array) -> Values:
    pairs = array.cast(pa.list_(pa.struct([("key", array.type.key_type), ("value", array.type.item_type)])))
    text = is_text(array.type.key_type)
    lengths = pc.list_value_length(pairs).to_pylist()
    flat = pairs.flatten()
    keys, values = json_values(flat.field("key")), json_values(flat.field("value"))
    members = [(k or b"null", v or b"null") for k, v in zip(keys, values, strict=True)]
    found: Values = []
    begin = 0
    for length in lengths:
        if length is None:
            found.append(None)
            continue
        mine = members[begin : begin + length]
        begin += length
        names = {k for k, _ in mine}
        if text and len(names) == len(mine) and all(k.startswith(b'"') for k in names):
            found.append(b"{" + b",".join(k + b":" + v for k, v in mine) + b"}")
        else:
            found.append(b"[" + b",".join(b"[" + k + b"," + v + b"]" for k, v in mine) + b"]")
    return found


def _struct(array: pa.Array) -> Values:
    names = [_ENCODER.encode(field.name) + b":" for field in array.type]
    columns = [json_values(child) for child in array.flatten()]
    there = array.is_valid().to_pylist()
    return [
        b"{" + b",".join(n + (c[row] or b"null") for n, c in zip(names, columns, strict=True)) + b"}" if valid else None
        for row, valid in enumerate(there)
    ]


_ENCODERS: list[tuple[Callable[[pa.DataType], bool], Callable[[pa.Array], Values]]] = [
    (lambda t: _is_string(t) or _is_binary(t), _bytes),
    (
        lambda t: bool(
            pa.types.is_null(t)
            or pa.types.is_boolean(t)
            or pa.types.is_integer(t)
            or pa.types.is_floating(t)
            or pa.types.is_decimal(t)
        ),
        _plain,
    ),
    (lambda t: bool(pa.types.is_date(t) or pa.types.is_time(t) or pa.types.is_timestamp(t)), _time),
    (lambda t: bool(pa.types.is_duration(t)), lambda a: _plain(a.cast(pa.int64()))),
    (
        lambda t: bool(
            pa.types.is_list(t)
            or pa.types.is_large_list(t)
            or pa.types.is_fixed_size_list(t)
            or pa.types.is_list_view(t)
            or pa.types.is_large_list_view(t)
        ),
        _list,
    ),
    (lambda t: bool(pa.types.is_map(t)), _map),
    (lambda t: bool(pa.types.is_struct(t)), _struct),
]
