"""Every type of column as JSON, or refused by name."""

import base64
import datetime
import json
import math
import random
import uuid
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from dolma_pipeline.errors import DataError
from dolma_pipeline.formats.arrow_json import check_type, is_identifier, is_text, json_values, strings

DAY = datetime.date(2024, 2, 29)
NOON = datetime.datetime(2024, 2, 29, 12, 0, 0, 500)


@pytest.mark.parametrize(
    ("array", "expected"),
    [
        (pa.array([True, None, False]), [b"true", None, b"false"]),
        (pa.array([2**64 - 1], pa.uint64()), [b"18446744073709551615"]),
        (pa.array([-1, None], pa.int8()), [b"-1", None]),
        (pa.array([0.1, math.nan, math.inf, None]), [b"0.1", b"null", b"null", None]),
        (pa.array([1.5], pa.float16()), [b"1.5"]),
        (pa.array([Decimal("12345678901234567890.10")], pa.decimal128(30, 2)), [b"12345678901234567890.10"]),
        (pa.array(["a\n\u2028é", None]), ['"a\\n\u2028é"'.encode(), None]),
        (pa.array(["a"], pa.string_view()), [b'"a"']),
        (pa.array(["a", "b", "a"]).dictionary_encode(), [b'"a"', b'"b"', b'"a"']),
        (pa.array([b"text", b"\xff"]), [b'"text"', b'{"base64":"/w=="}']),
        (pa.array([b"ab"], pa.binary(2)), [b'"ab"']),
        (pa.array([b"ab"], pa.binary_view()), [b'"ab"']),
        (pa.array([DAY]), [b'"2024-02-29"']),
        (pa.array([NOON], pa.timestamp("us")), [b'"2024-02-29T12:00:00.000500"']),
        (pa.array([1], pa.timestamp("ns")), [b'"1970-01-01T00:00:00.000000001"']),
        (pa.array([3600], pa.timestamp("s", "Europe/Berlin")), [b'"1970-01-01T01:00:00Z"']),
        (pa.array([10**17], pa.timestamp("s")), [b"100000000000000000"]),
        (pa.array([86399000001], pa.time64("us")), [b'"23:59:59.000001"']),
        (pa.array([5], pa.duration("ns")), [b"5"]),
        (pa.array([[1, None], None, []], pa.list_(pa.int64())), [b"[1,null]", None, b"[]"]),
        (pa.array([[1, 2], None, [3, 4]], pa.list_(pa.int64(), 2)), [b"[1,2]", None, b"[3,4]"]),
        (pa.array([["a"], None], pa.large_list(pa.string())), [b'["a"]', None]),
        (pa.array([[1], [2, 3], None], pa.list_view(pa.int64())), [b"[1]", b"[2,3]", None]),
        (pa.array([{"a": 1, "b": None}, None]), [b'{"a":1,"b":null}', None]),
        (
            pa.array([[("a", 1)], None, [("a", 1), ("a", 2)]], pa.map_(pa.string(), pa.int64())),
            [b'{"a":1}', None, b'[["a",1],["a",2]]'],
        ),
        (pa.array([[(1, "x")]], pa.map_(pa.int64(), pa.string())), [b'[[1,"x"]]']),
        (pa.array([uuid.UUID(int=1).bytes], pa.uuid()), [b'"00000000-0000-0000-0000-000000000001"']),
        (pa.nulls(2), [None, None]),
        (pa.array([[{"t": DAY}]]).slice(0, 1), [b'[{"t":"2024-02-29"}]']),
    ],
    ids=lambda v: str(v.type) if isinstance(v, pa.Array) else "",
)
def test_every_type(array: pa.Array, expected: list[bytes | None]) -> None:
    check_type(array.type)
    assert json_values(array) == expected


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        (pa.month_day_nano_interval(), "expected a type that JSON can hold, found month_day_nano_interval"),
        (
            pa.list_(pa.struct([("a", pa.int8()), ("a", pa.int8())])),
            "expected fields of different names, found two called `a`",
        ),
    ],
)
def test_what_json_cannot_hold_is_refused(kind: pa.DataType, reason: str) -> None:
    with pytest.raises(DataError) as caught:
        check_type(kind)
    assert str(caught.value) == reason


@pytest.mark.parametrize(
    ("array", "expected"),
    [
        (pa.array([7, None, -1]), ["7", None, "-1"]),
        (pa.array([2**64 - 1], pa.uint64()), [str(2**64 - 1)]),
        (pa.array([Decimal(12)], pa.decimal128(20, 0)), ["12"]),
        (pa.array([b"a", None]), ["a", None]),
        (pa.array([uuid.UUID(int=1).bytes], pa.uuid()), [str(uuid.UUID(int=1))]),
        (pa.array([5, 5]).dictionary_encode(), ["5", "5"]),
    ],
)
def test_ids(array: pa.Array, expected: list[str | None]) -> None:
    assert is_identifier(array.type)
    assert (strings(array)[0].to_pylist(), strings(array)[1]) == (expected, {})


def test_what_is_text_and_what_may_be_an_id() -> None:
    kinds = [
        pa.string(),
        pa.binary(3),
        pa.null(),
        pa.int64(),
        pa.decimal128(9, 2),
        pa.float64(),
        pa.bool_(),
        pa.date32(),
    ]
    assert [is_text(k) for k in kinds] == [True, True, True, False, False, False, False, False]
    assert [is_identifier(k) for k in kinds] == [True, True, True, True, False, False, False, False]
    assert (is_text(pa.uuid()), is_text(pa.json_())) == (False, True)
    assert not is_text(pa.list_(pa.string()))


def test_one_value_that_is_not_utf8_is_told_alone() -> None:
    buffers = [None, pa.py_buffer(b"\0\0\0\0\1\0\0\0\3\0\0\0"), pa.py_buffer(b"aa\xff")]
    column = pa.Array.from_buffers(pa.string(), 2, buffers)
    assert strings(column)[0].to_pylist() == ["a", None]
    assert strings(column)[1] == {1: "invalid UTF-8 at byte 1"}
    assert json_values(column) == [b'"a"', b'{"base64":"Yf8="}']


def _leaf(rng: random.Random) -> tuple[pa.DataType, Any]:
    kinds: list[tuple[pa.DataType, Any]] = [
        (pa.int64(), lambda: rng.randint(-(2**63), 2**63 - 1)),
        (pa.float64(), lambda: rng.uniform(-1e9, 1e9)),
        (pa.bool_(), lambda: rng.random() < 0.5),
        (pa.string(), lambda: "".join(rng.choices('a"\\\n\té😀', k=rng.randint(0, 5)))),
        (pa.binary(), lambda: bytes(rng.choices(range(256), k=rng.randint(0, 3)))),
    ]
    return rng.choice(kinds)


def _nested(rng: random.Random, depth: int) -> tuple[pa.DataType, Any]:
    kind, make = _leaf(rng) if depth == 0 else _nested(rng, depth - 1)
    choice = rng.randrange(3)
    if choice == 0:
        return kind, make
    if choice == 1:
        return pa.list_(kind), lambda: None if rng.random() < 0.2 else [make() for _ in range(rng.randint(0, 3))]
    other, make_other = _leaf(rng)
    return pa.struct(
        [("x", kind), ("y", other)]
    ), lambda: None if rng.random() < 0.2 else {"x": make(), "y": make_other()}


def _plain(value: Any) -> Any:
    """What JSON has of a value."""
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            return {"base64": base64.b64encode(value).decode()}
    if isinstance(value, list):
        return [_plain(v) for v in value]
    return {k: _plain(v) for k, v in value.items()} if isinstance(value, dict) else value


@pytest.mark.parametrize("seed", range(60))
def test_nested_values_come_out_as_they_went_in(seed: int) -> None:
    rng = random.Random(seed)
    kind, make = _nested(rng, 3)
    values = [make() for _ in range(20)]
    array = pa.array([None, *values, None], kind).slice(1, 20)
    found = [None if v is None else json.loads(v) for v in json_values(array)]
    assert found == [_plain(v) for v in values]
