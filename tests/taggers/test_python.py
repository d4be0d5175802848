"""Taggers written in Python: what they may give, and what is said when they give something else."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pytest

from dolma_pipeline.errors import StageError
from dolma_pipeline.formats.attributes import DOCUMENT, SPANS
from dolma_pipeline.taggers import (
    BaseTagger,
    BaseTaggerWithMetadata,
    DocResult,
    Document,
    Span,
    TaggerFailure,
    TaggerSet,
    add_tagger,
    batch_tagger,
    load_taggers,
    tagger,
)
from dolma_pipeline.taggers.base import Kind
from tests.taggers.toys import documents, rows


def run(name: str, texts: list[str], raw: list[bytes] | None = None) -> list[dict[str, Any]]:
    columns = load_taggers([name]).tag(documents(texts, raw))
    return rows({attribute: column for (_, attribute), column in columns.items()})


def test_a_number_becomes_the_attribute_score() -> None:
    @tagger("python_number_v1")
    def share(text: str) -> float:
        return len(text) / 3

    assert run("python_number_v1", ["ab", ""]) == [{"score": 0.66667}, {"score": 0.0}]
    assert load_taggers(["python_number_v1"]).attribute_names() == [("python_number_v1", "score")]


def test_a_dict_gives_several_attributes_absent_where_missing() -> None:
    @tagger("python_dict_v1")
    def parts(text: str) -> dict[str, Any]:
        found: dict[str, Any] = {"first": [Span(0, 1)], "none": None} if text else {}
        return found | ({"long": np.float32(1.5)} if len(text) > 2 else {})

    assert run("python_dict_v1", ["", "a", "abc"]) == [
        {"first": []},
        {"first": [(0, 1, 1.0)]},
        {"first": [(0, 1, 1.0)], "long": 1.5},
    ]
    assert load_taggers(["python_dict_v1"]).undeclared == ("python_dict_v1",)


def test_spans_are_grouped_by_type() -> None:
    @tagger("python_spans_v1", attributes={"upper": "spans", "digit": "spans"})
    def find(text: str) -> list[Span]:
        kinds = ((i, "upper" if c.isupper() else "digit") for i, c in enumerate(text) if c.isupper() or c.isdigit())
        return [Span(i, i + 1, kind, 0.123456) for i, kind in kinds]

    assert run("python_spans_v1", ["éA1B"]) == [
        {"upper": [(1, 2, 0.12346), (3, 4, 0.12346)], "digit": [(2, 3, 0.12346)]},
    ]
    empty = load_taggers(["python_spans_v1"]).tag(documents([]))
    assert {a: c.type for (_, a), c in empty.items()} == {"upper": SPANS, "digit": SPANS}


def test_a_batch_tagger_gives_columns() -> None:
    @batch_tagger("python_batch_v1", attributes={"length": "float64", "all": "spans"})
    def measure(batch: Any) -> dict[str, Any]:
        lengths = pa.compute.utf8_length(batch.text)
        spans = [[{"start": 0, "end": n, "score": 1.0}] if n else [] for n in lengths.to_pylist()]
        return {"all": spans, "length": np.array(lengths) / 7}

    assert run("python_batch_v1", ["é1", ""]) == [{"length": 0.28571, "all": [(0, 2, 1.0)]}, {"length": 0.0, "all": []}]
    columns = load_taggers(["python_batch_v1"]).tag(documents(["a"]))
    assert [(a, c.type) for (_, a), c in columns.items()] == [("length", DOCUMENT), ("all", SPANS)]


def test_a_class_in_the_shape_of_dolma() -> None:
    @add_tagger("python_class_v1")
    class Lines(BaseTagger):
        """Lines and their number."""

        @property
        def defaults(self) -> list[str]:
            return ["long"]

        def predict(self, doc: Document) -> DocResult:
            spans = [Span(start=0, end=len(doc.text), type="count", score=doc.text.count("\n"))]
            spans.append(Span(0, 0, type="", score=1))
            if len(doc.text) > 3:
                spans.append(Span(0, 3, "long"))
            return DocResult(doc=doc, spans=spans)

    assert run("python_class_v1", ["a\nbc", "a"]) == [
        {"long": [(0, 3, 1.0)], "count": [(0, 4, 1.0)]},
        {"long": [], "count": [(0, 1, 0.0)]},
    ]


def test_a_class_may_declare_scores_of_documents() -> None:
    @add_tagger("python_declared_v1")
    class Length(BaseTagger):
        attributes: ClassVar[dict[str, Kind]] = {"length": "float64"}

        def predict(self, doc: Document) -> DocResult:
            end = len(doc.text) - (doc.text == "part")
            return DocResult(doc=doc, spans=[Span(0, end, "length", score=len(doc.text))])

    assert run("python_declared_v1", ["abc"]) == [{"length": 3.0}]
    with pytest.raises(TaggerFailure, match=r"`length`: expected a score or one span over the whole text, found \["):
        run("python_declared_v1", ["part"])


def test_a_class_may_ask_for_metadata() -> None:
    @add_tagger("python_metadata_v1")
    class Stars(BaseTaggerWithMetadata):
        def predict(self, doc: Any) -> DocResult:
            return DocResult(doc=doc, spans=[Span(0, len(doc.text), f"v{doc.version}", doc.metadata.get("stars", 0))])

    assert load_taggers(["python_metadata_v1"]).needs_raw
    raw = [b'{"id":"d0","text":"a","version":"7","metadata":{"stars":5}}', b'{"id":"d1","text":"b"}']
    assert run("python_metadata_v1", ["a", "b"], raw) == [
        {"v7": [(0, 1, 5.0)], "vNone": []},
        {"v7": [], "vNone": [(0, 1, 0.0)]},
    ]


def raise_key_error(text: str) -> Any:
    return dict[str, float]()["nothing"] if text == "bad" else 1.0


BAD: list[tuple[Callable[[str], Any], str]] = [
    (raise_key_error, "KeyError: 'nothing'"),
    (lambda text: float("nan") if text == "bad" else 1.0, "`score`: expected a finite score, found nan"),
    (
        lambda text: "much" if text == "bad" else 1.0,
        '`score`: expected a number, found \'much\'; for texts declare it with attributes={"score": "string"}',
    ),
    (lambda text: {"a": [Span(0, 4)] if text == "bad" else []}, "`a`: expected 0 <= start <= end <= 3, found 0 and 4"),
    (lambda text: {"a": [(0, 1)] if text == "bad" else []}, "`a`: expected a Span, found (0, 1)"),
    (lambda text: {"a": 1.0 if text == "bad" else []}, "`a`: expected a list of spans, found 1.0"),
]


@pytest.mark.parametrize(("number", "reason"), [(i, reason) for i, (_, reason) in enumerate(BAD)])
def test_a_failure_names_the_tagger_the_document_and_the_reason(number: int, reason: str) -> None:
    tagger(f"python_bad{number}_v1")(BAD[number][0])
    with pytest.raises(StageError) as caught:
        run(f"python_bad{number}_v1", ["good", "bad"])
    assert str(caught.value) == f"tagger `python_bad{number}_v1`, document `d1`: {reason}"
    failure = caught.value
    assert isinstance(failure, TaggerFailure)
    assert (failure.tagger, failure.row, failure.document, failure.reason) == (
        f"python_bad{number}_v1",
        1,
        "d1",
        reason,
    )


def test_a_value_that_was_not_declared_is_a_failure() -> None:
    tagger("python_undeclared_v1", attributes={"a": "float64"})(lambda text: {"b": 1.0})
    with pytest.raises(TaggerFailure, match=r"`b` is not one of the declared attributes a$"):
        run("python_undeclared_v1", ["x"])


COLUMNS: list[tuple[Any, Any, str]] = [
    ({"a": [1.0]}, None, "`a`: expected a value for each of 2 documents, found 1"),
    (
        {"a": ["x", "y"]},
        None,
        '`a`: expected numbers, found string; for texts declare it with attributes={"a": "string"}',
    ),
    ({"a": [1.0, float("inf")]}, None, "`a`: expected finite scores, found nan or infinity"),
    ({"a": [[1], [2]]}, None, "`a`: expected lists of struct<start, end, score>, found list<item: int64>"),
    ({"b": [1, 2]}, {"a": "float64"}, "expected the declared attributes a, found b"),
    (
        {"a": [1, "x"]},
        None,
        "`a`: expected values of one kind, found others: Could not convert 'x' with type str: "
        "tried to convert to int64",
    ),
]


@pytest.mark.parametrize("number", range(len(COLUMNS)))
def test_columns_that_are_no_attributes(number: int) -> None:
    given, attributes, reason = COLUMNS[number]
    name = f"python_columns{number}_v1"
    batch_tagger(name, attributes=attributes)(lambda batch: given)
    with pytest.raises(TaggerFailure) as caught:
        run(name, ["x", "y"])
    assert str(caught.value) == f"tagger `{name}`: {reason}"


def test_an_attribute_has_one_of_the_kinds() -> None:
    reason = r"^attribute `a`: expected one of float64, int64, string, bool, spans, found `score`$"
    with pytest.raises(ValueError, match=reason):
        tagger("python_kind_v1", attributes={"a": "score"})  # type: ignore[dict-item]


def test_a_tagger_of_any_class_fails_by_name() -> None:
    class Broken:
        name = "broken"
        attributes = None

        def tag(self, documents: Any) -> dict[str, Any]:
            raise ZeroDivisionError("division by zero")

    with pytest.raises(TaggerFailure, match=r"^tagger `broken`: ZeroDivisionError: division by zero$"):
        TaggerSet([Broken()]).tag(documents(["a"]))
