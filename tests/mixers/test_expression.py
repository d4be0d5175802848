"""drop rules: what they mean, against a slow evaluator of one document at a time; and what their mistakes say."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dolma_pipeline.errors import ConfigError
from dolma_pipeline.formats.attributes import DOCUMENT, SPANS
from dolma_pipeline.mixers import expression
from dolma_pipeline.mixers.syntax import MAX_DEPTH

Span: TypeAlias = tuple[int, int, float]
Document: TypeAlias = dict[str, Any]


def column(rows: list[list[Span] | None]) -> pa.Array:
    keys = ("start", "end", "score")
    return pa.array([None if r is None else [dict(zip(keys, s, strict=True)) for s in r] for r in rows], SPANS)


def hits(text: str, columns: dict[str, pa.Array]) -> list[bool]:
    (n,) = {len(c) for c in columns.values()}
    found: list[bool] = expression.compile(text, "$.rule").evaluate(columns, n).tolist()
    return found


SCORES = pa.array([0.2, 0.5, None, 0.0], DOCUMENT)
LISTS = column([[(0, 2, 0.5), (1, 4, 1.0)], [], None, [(3, 9, 0.0)]])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("t.a < 0.5", [True, False, False, True]),
        ("not t.a < 0.5", [False, True, False, False]),
        ("t.a != 0.5", [True, False, False, True]),
        ("t.a < 0.5 or t.a >= 0.5", [True, True, False, True]),
        ("t.a < 0.5 or true.there", [True, True, True, True]),
        ("t.a < 0.5 and true.there", [True, False, False, True]),
        ("t.a", [True, True, False, False]),
        ("not t.a", [False, False, True, True]),
        ("any(t.a)", [True, True, False, False]),
        ("count(t.a) == 1", [True, True, False, True]),
        ("max(t.a) == 0.2", [True, False, False, False]),
        ("sum(t.a) == 0", [False, False, True, True]),
        ("fraction(t.a) == 1", [True, True, False, False]),
        ("t.s == 0.5", [True, False, False, False]),
        ("t.s", [True, False, False, False]),
        ("any(t.s)", [True, False, False, False]),
        ("count(t.s) == 2 or count(t.s) == 1", [True, False, False, True]),
        ("max(t.s) >= 1", [True, False, False, False]),
        ("max(t.s) < 1", [False, False, False, True]),
        ("sum(t.s) == 1.5", [True, False, False, False]),
        ("sum(t.s) == 0", [False, True, True, True]),
        ("fraction(t.s) == 4 / length", [True, False, False, False]),
        ("fraction(t.s) == 0", [False, True, True, True]),
        ("length > 4", [True, True, True, False]),
        ("bytes > length", [False, True, False, False]),
        ('source == "wiki"', [True, False, False, True]),
        ("source != 'wiki'", [False, True, False, False]),
        ("id == source", [False, True, False, False]),
        ("1 / t.a > 0", [True, True, False, False]),
        ("2 + 3 * 4 - 6 / 2 == 11 and 2 - 1 - 1 == 0", [True] * 4),
        ("-t.a < -0.4", [False, True, False, False]),
        ("- - 1_000 == 1e3 and .5 == 0.5", [True] * 4),
        ("not (t.a < 0.5 and t.s > 0)", [False, True, False, True]),
        ("not not t.a", [True, True, False, False]),
        ("1 < 2", [True] * 4),
    ],
)
def test_meaning(text: str, expected: list[bool]) -> None:
    columns = {
        "t.a": SCORES,
        "t.s": LISTS,
        "true.there": pa.array([1.0] * 4),
        "length": pa.array([8, 6, 5, 0]),
        "bytes": pa.array([8, 9, 5, 0]),
        "source": pa.array(["wiki", "books", None, "wiki"], pa.large_string()),
        "id": pa.array(["a", "books", "c", "d"], pa.large_string()),
    }
    assert hits(text, columns) == expected


def test_both_forms_of_a_document_attribute_mean_the_same() -> None:
    lists = column([[(0, 5, 0.5)], [(0, 5, 0.0)], []])
    scores = pa.array([0.5, 0.0, None])
    length = pa.array([5, 5, 5])
    for text in ("t.a", "not t.a", "t.a < 1", "count(t.a) < 1", "max(t.a) > 0", "sum(t.a) < 1", "fraction(t.a) > 0.5"):
        assert hits(text, {"t.a": lists, "length": length}) == hits(text, {"t.a": scores, "length": length}), text


def test_an_attribute_no_file_has_is_null_everywhere() -> None:
    columns = {"t.a": pa.nulls(2), "length": pa.array([1, 1])}
    for text in ("t.a", "t.a < 1", "not t.a < 1", "count(t.a) > 0", "fraction(t.a) > 0", "max(t.a) < 1"):
        assert hits(text, columns) == [False, False], text


def test_slices_and_chunks_are_read_from_where_they_begin() -> None:
    assert hits("t.s == 0.5", {"t.s": LISTS.slice(0, 1)}) == [True]
    assert hits("t.s == 0", {"t.s": LISTS.slice(3)}) == [True]
    chunked = pa.chunked_array([LISTS.slice(1, 2), LISTS.slice(0, 1)])
    assert hits("count(t.s) == 2", {"t.s": chunked}) == [False, False, True]


def test_overlapping_spans_cover_a_character_once() -> None:
    nested = column([[(0, 8, 1.0), (1, 2, 1.0), (3, 4, 1.0)], [(5, 99, 1.0), (0, 2, 1.0), (1, 3, 1.0)]])
    length = pa.array([16, 10])
    assert hits("fraction(t.s) == 0.5", {"t.s": nested, "length": length}) == [True, False]
    assert hits("fraction(t.s) == 0.8", {"t.s": nested, "length": length}) == [False, True]


def test_a_rule_knows_what_it_reads() -> None:
    rule = expression.compile('fraction(a.b) > 1 and `x-y.z` < c.d + a.b or source == "s"', "$.rule")
    assert rule.names == ("a.b", "x-y.z", "c.d")
    assert rule.fields == ("length", "source")


@pytest.mark.parametrize(
    ("text", "message", "column"),
    [
        ("gopher.words <", "expected a number after `<` at column 15, found the end", 15),
        ("a.b < 1 and", "expected a condition after `and` at column 12, found the end", 12),
        ("a.b <\n and", "expected a number after `<` at column 8, found `and`", 8),
        ("1 +", "expected a number after `+` at column 4, found the end", 4),
        ("a.b < 1 < 2", "expected one comparison at column 9; join two of them with `and`", 9),
        ("(a.b", "expected `)` for the `(` at column 1 at column 5, found the end", 5),
        ("length", "expected a condition at column 1, found a number; compare it with something", 1),
        ("not source", "expected a condition at column 5, found text; compare it with something", 5),
        ("a.b < source", "expected a number after `<` at column 7, found a text", 7),
        ("(a.b < 1) + 2 < 3", "expected a number before `+` at column 1", 1),
        ("source < 'x'", "expected `==` or `!=` between texts at column 8", 8),
        ("source == 3", "expected a quoted text after `==` at column 11, found `3`", 11),
        ("a.b & c.d", "expected a name, a number or a sign at column 5, found `&`; write `and`", 5),
        ("a.b == 'x", "expected a closing ' at column 8 for this one", 8),
        ("max(3) > 1", "expected an attribute after `max(` at column 5, found `3`", 5),
        ("a.b c.d", "expected `and`, `or` or the end after `a.b` at column 5, found `c.d`", 5),
        ("lenght < 3", "expected `tagger.attribute` at column 1, found `lenght`; did you mean `length`?", 1),
        (
            "ft-lang.en < 3",
            "expected `tagger.attribute` at column 1, found `ft`; a name with a hyphen goes in backquotes",
            1,
        ),
        (" ", "expected a condition such as `tagger.attribute < 0.5` at column 1, found nothing", 1),
    ],
)
def test_mistakes_show_their_place(text: str, message: str, column: int) -> None:
    with pytest.raises(ConfigError) as caught:
        expression.compile(text, "$.stages[4].mix.drop.short")
    line = text.replace("\n", " ")
    assert str(caught.value) == f"$.stages[4].mix.drop.short: {message}\n    {line}\n    {' ' * (column - 1)}^"


@pytest.mark.parametrize("text", ["(" * 100_000, "not " * 100_000 + "a.b", "-" * 100_000 + "1 < 2", "(-" * 50_000])
def test_depth_is_bounded(text: str) -> None:
    with pytest.raises(ConfigError, match=f"expected at most {MAX_DEPTH} levels of parentheses at column"):
        expression.compile(text, "$")


def test_length_is_not_bounded() -> None:
    text = " or ".join(["a.b < 1 + 1" + " + 1" * 100] * 1000)
    assert hits(text, {"a.b": pa.array([101.0, 102.0])}) == [True, False]


@given(st.text("abc.()<>=!+-*/ 01'\"`ndortlengh_é\n", max_size=30))
def test_any_text_is_a_rule_or_a_config_error(text: str) -> None:
    try:
        rule = expression.compile(text, "$")
    except ConfigError:
        return
    fields = {f: pa.array(["x"]) if f in ("source", "id") else pa.array([1]) for f in rule.fields}
    assert len(rule.evaluate({**{name: pa.array([1.0]) for name in rule.names}, **fields}, 1)) == 1


def test_missing_columns_are_a_mistake_of_the_caller() -> None:
    with pytest.raises(KeyError, match=r"no column for `a\.b`"):
        expression.compile("a.b < 1", "$").evaluate({}, 3)
    with pytest.raises(ValueError, match="expected 3 rows, found 4"):
        expression.compile("t.a < 1", "$").evaluate({"t.a": SCORES}, 3)


# The twin: the same language, one document at a time, in plain Python.

Number: TypeAlias = tuple[str, Callable[[Document], float | None]]
Condition: TypeAlias = tuple[str, Callable[[Document], bool | None]]
EIGHTHS = st.integers(-16, 16).map(lambda i: i / 8)
NAMES = ("t.doc", "t.span")


def spans_of(document: Document, name: str) -> list[Span]:
    value = document[name]
    if value is None:
        return []
    return value if isinstance(value, list) else [(0, document["length"], value)]


def fraction(document: Document, name: str) -> float:
    covered = {i for start, end, _ in spans_of(document, name) for i in range(start, end) if i < document["length"]}
    return len(covered) / document["length"] if document["length"] else 0.0


MEASURES: dict[str, Callable[[Document, str], float | None]] = {
    "{}": lambda d, n: spans_of(d, n)[0][2] if spans_of(d, n) else None,
    "count({})": lambda d, n: float(len(spans_of(d, n))),
    "max({})": lambda d, n: max((s for _, _, s in spans_of(d, n)), default=None),
    "sum({})": lambda d, n: sum(s for _, _, s in spans_of(d, n)),
    "fraction({})": fraction,
}


def both(left: float | None, right: float | None, sign: str) -> float | None:
    if left is None or right is None or (sign == "/" and right == 0):
        return None
    return {"+": left + right, "-": left - right, "*": left * right, "/": left / (right or 1)}[sign]


def measured(form: str, name: str) -> Number:
    return form.format(name), lambda d: MEASURES[form](d, name)


def calculated(left: Number, sign: str, right: Number) -> Number:
    return f"({left[0]} {sign} {right[0]})", lambda d: both(left[1](d), right[1](d), sign)


def compared(left: Number, sign: str, right: Number) -> Condition:
    def truth(document: Document) -> bool | None:
        a, b = left[1](document), right[1](document)
        if a is None or b is None:
            return None
        return {"<": a < b, "<=": a <= b, ">": a > b, ">=": a >= b, "==": a == b, "!=": a != b}[sign]

    return f"{left[0]} {sign} {right[0]}", truth


def present(name: str) -> Condition:
    return name, lambda d: any(score != 0 for _, _, score in spans_of(d, name))


def negated(inner: Condition) -> Condition:
    def truth(document: Document) -> bool | None:
        value = inner[1](document)
        return None if value is None else not value

    return f"not ({inner[0]})", truth


def joined(left: Condition, word: str, right: Condition) -> Condition:
    def truth(document: Document) -> bool | None:
        values = (left[1](document), right[1](document))
        deciding = word == "or"
        if deciding in values:
            return deciding
        return None if None in values else not deciding

    return f"({left[0]}) {word} ({right[0]})", truth


numbers: st.SearchStrategy[Number] = st.recursive(
    st.one_of(
        EIGHTHS.map(lambda x: (str(x), lambda d: x)),
        st.just(("length", lambda d: float(d["length"]))),
        st.builds(measured, st.sampled_from(sorted(MEASURES)), st.sampled_from(NAMES)),
    ),
    lambda inner: st.builds(calculated, inner, st.sampled_from("+-*/"), inner),
    max_leaves=4,
)
conditions: st.SearchStrategy[Condition] = st.recursive(
    st.one_of(
        st.builds(compared, numbers, st.sampled_from(["<", "<=", ">", ">=", "==", "!="]), numbers),
        st.sampled_from(NAMES).map(present),
    ),
    lambda inner: st.one_of(st.builds(negated, inner), st.builds(joined, inner, st.sampled_from(["and", "or"]), inner)),
    max_leaves=5,
)
a_span = st.tuples(st.integers(0, 12), st.integers(0, 12), EIGHTHS).map(lambda s: (min(s[:2]), max(s[:2]), s[2]))
documents = st.fixed_dictionaries(
    {
        "t.doc": st.none() | EIGHTHS,
        "t.span": st.none() | st.lists(a_span, max_size=4),
        "length": st.integers(0, 10),
    }
)


@settings(max_examples=300, deadline=None)
@given(conditions, st.lists(documents, max_size=8))
def test_rules_agree_with_their_slow_twin(condition: Condition, batch: list[Document]) -> None:
    text, truth = condition
    columns = {
        "t.doc": pa.array([d["t.doc"] for d in batch], DOCUMENT),
        "t.span": column([d["t.span"] for d in batch]),
        "length": pa.array([d["length"] for d in batch], pa.int64()),
    }
    found = expression.compile(text, "$").evaluate(columns, len(batch))
    assert found.dtype == np.bool_
    assert found.tolist() == [truth(d) is True for d in batch]


def test_of_a_long_expression_an_error_shows_what_is_around_the_place() -> None:
    rules = [f"length == {n:04d}" for n in range(1000)]
    rules[500] = "length = 0500"
    with pytest.raises(ConfigError) as error:
        expression.compile(" or ".join(rules), "$.drop.long")
    head, line, caret = str(error.value).splitlines()
    assert head == "$.drop.long: expected a name, a number or a sign at column 9008, found `=`; write `==`"
    assert (line[:6], line[-2:], len(line)) == ("    … ", " …", 4 + 2 + 600 + 2)
    assert line[caret.index("^") - 7 :][:13] == rules[500]


@pytest.mark.parametrize("text", ["a" * 10_000 + " < 1", "length < 1 " + "a" * 10_000, "'" + "a" * 10_000])
def test_an_error_names_only_the_beginning_of_a_long_word(text: str) -> None:
    with pytest.raises(ConfigError) as error:
        expression.compile(text, "$.drop.long")
    assert len(str(error.value)) < 1000
