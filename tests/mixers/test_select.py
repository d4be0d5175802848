"""The native selectors as Python sees them; what expressions mean is tested beside them in rust_ext."""

from __future__ import annotations

import json
from typing import Any

import pyarrow as pa
import pytest

from dolma_pipeline._native import Selector, SpanSelector
from dolma_pipeline.formats.attributes import SPANS

LANGUAGE = "$.attributes[?(@.e__ft__en && @.e__ft__en[0] && @.e__ft__en[0][2] < 0.5)]"


def lines(*documents: dict[str, Any]) -> pa.Array:
    return pa.array([json.dumps(d).encode() for d in documents], pa.large_binary())


DOCUMENTS = lines({"id": "a", "text": "añ"}, {"id": "b", "text": "b", "metadata": {"n": "x"}})


def test_rows_of_attribute_files_are_merged() -> None:
    selector = Selector([], [LANGUAGE])
    rows = lines({"e__ft__en": [[0, 2, 0.4]]}, {"e__ft__en": [[0, 1, 0.6]]})
    assert selector.names == ["e__ft__en"]
    assert selector.select(DOCUMENTS).to_pylist() == [True, True]
    assert selector.select(DOCUMENTS, [rows]).to_pylist() == [False, True]
    assert selector.select(DOCUMENTS, [rows, rows.take(pa.array([1, 0]))]).to_pylist() == [True, False]


def test_columns_stand_for_rows() -> None:
    spans = pa.array([[], [{"start": 0, "end": 1, "score": 0.25}]], SPANS)
    columns = [("e__ft__en", pa.array([0.4, None])), ("e__t__s", spans)]
    assert Selector([LANGUAGE], []).select(DOCUMENTS, columns=columns).to_pylist() == [True, False]
    by_end = Selector([".attributes.e__ft__en[0][1] == 2"], [], "jq")
    assert by_end.select(DOCUMENTS, columns=columns).to_pylist() == [True, False]
    found = SpanSelector("$.attributes.e__t__s").spans(DOCUMENTS, columns=columns)
    assert found.type == SPANS
    assert found.to_pylist() == [[], [{"start": 0, "end": 1, "score": 0.25}]]


def test_slices_are_read_from_where_they_begin() -> None:
    rows = lines({"a": [[0, 1, 1]]}, {})
    selector = Selector(["$.attributes.a"], [])
    assert selector.select(DOCUMENTS.slice(1), [rows.slice(1)]).to_pylist() == [False]
    assert selector.select(DOCUMENTS.slice(0, 1), columns=[("a", pa.array([None, 1.0]).slice(1))]).to_pylist() == [True]


def test_errors_are_those_of_the_last_batch() -> None:
    selector = Selector([".metadata.n | add"], [], "jq")
    assert selector.select(DOCUMENTS).to_pylist() == [None, None]
    assert selector.errors == [
        (0, "jq `.metadata.n | add`: cannot use null as iterable (array or object)"),
        (1, 'jq `.metadata.n | add`: cannot use "x" as iterable (array or object)'),
    ]
    assert selector.select(lines({"metadata": {"n": [1, 2]}})).to_pylist() == [True]
    assert selector.errors == []
    spans = SpanSelector("$.metadata.n")
    assert spans.spans(DOCUMENTS).to_pylist() == [[], []]
    assert spans.errors == [(1, 'expected [[start, end, score], ...], found "x"')]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((["$.a[?(@.b <)]"], []), "expected a path, a number, a quoted string, `true`, `false` or `null` at column 12"),
        (([], [".a |"], "jq"), "jq `.a |`: expected term at column 5"),
        (([], [], "xpath"), "expected the syntax `jsonpath` or `jq`, found `xpath`"),
    ],
)
def test_expressions_that_cannot_be_meant(arguments: tuple[Any, ...], message: str) -> None:
    with pytest.raises(ValueError, match="expected") as caught:
        Selector(*arguments)
    assert message in str(caught.value)


def test_wrong_arrays_are_errors() -> None:
    selector = Selector([], ["$.a"])
    with pytest.raises(TypeError, match="expected large_binary, found LargeUtf8"):
        selector.select(pa.array(["{}"], pa.large_string()))
    with pytest.raises(ValueError, match="expected attributes for 2 documents, found 1"):
        selector.select(DOCUMENTS, [lines({})])
    with pytest.raises(ValueError, match="attribute `k`: expected float64, int64, large_string, bool or list"):
        selector.select(DOCUMENTS, columns=[("k", pa.array([1, 2], pa.int32()))])
    with pytest.raises(ValueError, match="expected raw documents without nulls"):
        selector.select(pa.array([None], pa.large_binary()))


@pytest.mark.parametrize(("syntax", "middle"), [("jq", ".b == ]"), ("jsonpath", "@.b == ]")])
def test_of_a_long_expression_an_error_shows_what_is_around_the_place(syntax: str, middle: str) -> None:
    part = middle.replace("]", "1")
    text = f" {'or' if syntax == 'jq' else '||'} ".join([part] * 500 + [middle] + [part] * 500)
    with pytest.raises(ValueError, match="column") as error:
        Selector([text if syntax == "jq" else f"$[?({text})]"], [], syntax)
    message = str(error.value)
    assert message.startswith(f"{syntax} `… ")
    assert middle in message
    assert 600 < len(message) < 800
