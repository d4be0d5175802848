"""Taggers in Python that give whole numbers, texts and flags."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pytest

from dolma_pipeline import api
from dolma_pipeline.errors import StageError
from dolma_pipeline.formats.kinds import SPANS, TYPES, Kind
from dolma_pipeline.taggers import BaseTagger, DocResult, Document, Span, add_tagger, batch_tagger, tagger
from dolma_pipeline.taggers.base import Documents
from dolma_pipeline.taggers.data_types import InputSpec

ALL: dict[str, Kind] = {"n": "int64", "t": "string", "b": "bool", "x": "float64", "s": "spans"}
VALUES: dict[str, Any] = {"n": 2**53 + 1, "t": "", "b": False, "x": 0.1234567, "s": [Span(0, 1)]}


def expected(rows: int) -> list[dict[str, Any]]:
    full = {"n": 2**53 + 1, "t": "", "b": False, "x": 0.12346, "s": [{"start": 0, "end": 1, "score": 1.0}]}
    none: dict[str, Any] = {"n": None, "t": None, "b": None, "x": None, "s": []}
    return [full, none][:rows]


def plain(name: str, table: pa.Table) -> tuple[list[dict[str, Any]], list[pa.DataType]]:
    table = table.rename_columns([c.removeprefix(f"{name}__") for c in table.column_names])
    return table.to_pylist(), table.schema.types


def test_a_function_gives_every_kind() -> None:
    @tagger("kinds_function_v1", attributes=ALL)
    def function(text: str) -> dict[str, Any]:
        return VALUES if text else {}

    found = plain("kinds_function_v1", api.tag(["a", ""], ["kinds_function_v1"]))
    assert found == (expected(2), [TYPES[kind] for kind in ALL.values()])


def test_a_batch_gives_every_kind() -> None:
    @batch_tagger("kinds_batch_v1", attributes=ALL)
    def batch(documents: Documents) -> dict[str, Any]:
        return {
            "n": np.array([2**53 + 1]), "t": pa.array([""]).dictionary_encode(), "b": [False], "x": [0.1234567],
            "s": pa.array([[(0, 1, 1.0)]], SPANS),
        }  # fmt: skip

    found = plain("kinds_batch_v1", api.tag(["a"], ["kinds_batch_v1"]))
    assert found == (expected(1), [TYPES[kind] for kind in ALL.values()])


@pytest.mark.parametrize("own_rows", [False, True])
def test_a_class_gives_every_kind(own_rows: bool) -> None:
    class Plain(BaseTagger):
        attributes: ClassVar[Mapping[str, Kind]] = {"length": "int64", **ALL}

        def predict(self, doc: Document) -> DocResult:
            if not doc.text:
                return DocResult(doc=doc, spans=[])
            values = {k: v for k, v in VALUES.items() if k != "s"}
            return DocResult(doc=doc, spans=[Span(0, 1, "s"), Span(0, len(doc.text), "length", 7)], values=values)

    class Own(Plain):
        def tag(self, row: Any) -> dict[str, Any]:
            return {**super().tag(row), "length": 7} if row.text else {}

    name = f"kinds_class_{own_rows}_v1"
    add_tagger(name)(Own if own_rows else Plain)
    rows, types = plain(name, api.tag(["a", ""], [name]))
    assert rows == [{"length": length, **row} for length, row in zip([7, None], expected(2), strict=True)]
    assert types == [TYPES[kind] for kind in ("int64", *ALL.values())]


def test_one_declared_attribute_takes_the_value_alone() -> None:
    @tagger("kinds_single_v1", attributes={"licence": "string"})
    def licence(text: str) -> str | None:
        return "cc-by" if "cc" in text else None

    table = api.tag(["cc", "x"], ["kinds_single_v1"])
    assert table.to_pydict() == {"kinds_single_v1__licence": ["cc-by", None]}


REFUSED: list[tuple[Any, dict[str, Kind] | None, str]] = [
    ("cc", None, "`score`: expected a number or a list of spans, found the text 'cc'; for texts declare it with "
                 'attributes={"score": "string"}'),
    (2**53 + 1, None, "`score`: expected a number that a float64 holds, found 9007199254740993; for whole numbers "
                      'declare it with attributes={"score": "int64"}'),
    (3.0, {"n": "int64"}, "`n`: expected a whole number (int64) of 64 bits, found 3.0; `int(...)` makes one"),
    (True, {"n": "int64"}, "`n`: expected a whole number (int64) of 64 bits, found True; `int(...)` makes one"),
    (2**63, {"n": "int64"}, "`n`: expected a whole number (int64) of 64 bits, found 9223372036854775808; 64 bits hold "
                            "-9223372036854775808 to 9223372036854775807"),
    (float("nan"), {"n": "int64"}, "`n`: expected a whole number (int64) of 64 bits, found nan; return None where "
                                   "there is no number"),
    (3, {"t": "string"}, "`t`: expected a text (string), found 3; `str(...)` makes one"),
    ("\ud800", {"t": "string"}, "`t`: expected a text that is Unicode, found half a surrogate: "),
    (1, {"b": "bool"}, "`b`: expected true or false (bool), found 1; `bool(...)` makes one"),
    ({"n": [Span(0, 1)] * 2}, {"n": "int64"}, "`n`: expected a whole number (int64) or one span over the whole text, "),
    ("x", {"s": "spans"}, "`s`: expected a list of spans, found 'x'"),
]  # fmt: skip


@pytest.mark.parametrize("number", range(len(REFUSED)))
def test_values_of_other_kinds_are_refused(number: int) -> None:
    value, attributes, reason = REFUSED[number]
    name = f"kinds_refused{number}_v1"
    tagger(name, attributes=attributes)(lambda text: value)
    with pytest.raises(StageError) as caught:
        api.tag(["a"], [name])
    assert str(caught.value).startswith(f"tagger `{name}`, document `0`: {reason}")


COLUMNS: list[tuple[Any, Kind, str]] = [
    ([0.5], "int64", "`a`: expected whole numbers (int64), found double"),
    ([1], "string", "`a`: expected texts (string), found int64"),
    ([1], "bool", "`a`: expected booleans, found int64"),
    (["1"], "float64", '`a`: expected numbers, found string; for texts declare it with attributes={"a": "string"}'),
    (pa.array([2**63], pa.uint64()), "int64", "`a`: expected whole numbers (int64), found Integer value 9223"),
]  # fmt: skip


@pytest.mark.parametrize("number", range(len(COLUMNS)))
def test_columns_of_other_kinds_are_refused(number: int) -> None:
    column, kind, reason = COLUMNS[number]
    name = f"kinds_columns{number}_v1"
    batch_tagger(name, attributes={"a": kind})(lambda documents: {"a": column})
    with pytest.raises(StageError) as caught:
        api.tag(["a"], [name])
    assert str(caught.value).startswith(f"tagger `{name}`: {reason}")


def test_results_keep_their_values_in_rows_and_json() -> None:
    spec = InputSpec(id="1", text="ab")
    result = DocResult(doc=Document.from_spec(spec), spans=[], values={"e__t__of": "x", "e__t__n": 3})
    _, row = result.to_spec()
    assert row.attributes == {"e__t__of": "x", "e__t__n": 3}
    assert DocResult.from_spec(spec, row) == result
    assert DocResult.from_json({**result.to_json(with_doc=True)}) == result
