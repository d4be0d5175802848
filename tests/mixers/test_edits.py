"""Edits: which spans go, against a twin that looks at every character; nothing leaks, whatever overlaps."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dolma_pipeline import _native
from dolma_pipeline.config.recipe import Edit
from dolma_pipeline.errors import ConfigError
from dolma_pipeline.formats.attributes import SPANS
from dolma_pipeline.mixers.edits import Applied, EditPlan, attribute, check, label, plan_edits
from dolma_pipeline.mixers.edits import apply as apply_natively

Span = tuple[int, int, float]


def column(rows: list[list[Span] | None]) -> pa.Array:
    keys = ("start", "end", "score")
    return pa.array([None if r is None else [dict(zip(keys, s, strict=True)) for s in r] for r in rows], SPANS)


def no_values(edit: int, rows: list[int]) -> list[str | None]:
    raise AssertionError(edit)


def plan(edits: list[Edit], columns: list[pa.Array], texts: list[str], **more: object) -> EditPlan:
    lengths = np.asarray([len(t) for t in texts], np.int64)
    options = {"values": no_values, **more}
    return plan_edits(edits, columns, pa.array(texts, pa.large_string()), lengths, **options)  # type: ignore[arg-type]


def apply(edits: list[Edit], columns: list[pa.Array], texts: list[str], **more: object) -> list[str]:
    made = plan(edits, columns, texts, **more)
    changed = _native.apply_edits(pa.array(texts, pa.large_string()), made.spans, made.replacements)
    return [t if c is None else c for t, c in zip(texts, changed.to_pylist(), strict=True)]


CUT = Edit(cut="t.a")
MARK = Edit(replace="t.a", with_="X")


def test_overlapping_spans_are_one() -> None:
    assert apply([CUT], [column([[(0, 5, 1.0), (3, 10, 1.0)]])], ["0123456789ab"]) == ["ab"]
    assert apply([MARK], [column([[(3, 10, 1.0), (0, 5, 1.0), (4, 6, 1.0)]])], ["0123456789ab"]) == ["Xab"]


def test_spans_that_touch_are_two() -> None:
    assert apply([MARK], [column([[(0, 2, 1.0), (2, 4, 1.0)]])], ["0123456"]) == ["XX456"]


def test_the_earlier_edit_names_the_replacement() -> None:
    first, second = Edit(replace="t.a", with_="A"), Edit(replace="t.b", with_="B")
    texts, columns = ["0123456789"], [column([[(4, 8, 1.0)]]), column([[(2, 5, 1.0), (8, 9, 1.0)]])]
    assert apply([first, second], columns, texts) == ["01AB9"]
    assert apply([second, first], columns[::-1], texts) == ["01BB9"]


def test_spans_are_clipped_to_the_text_and_counted_in_code_points() -> None:
    texts = ["añ🙂b", "", "xy"]
    spans = column([[(1, 3, 1.0), (9, 12, 1.0)], [(0, 5, 1.0)], [(1, 99, 1.0), (-4, 0, 1.0), (1, 1, 1.0)]])
    made = plan([CUT], [spans], texts)
    assert made.spans.to_pylist() == [
        [{"start": 1, "end": 3, "replacement": 0}],
        [],
        [{"start": 1, "end": 2, "replacement": 0}],
    ]
    assert made.counts == {"cut t.a": 2}
    assert apply([CUT], [spans], texts) == ["ab", "", "x"]


def test_scores_are_windowed() -> None:
    spans = column([[(0, 1, 0.5), (1, 2, 0.9), (2, 3, 0.1)]])
    for low, high, left in [(0.5, None, "2"), (None, 0.5, "01"), (0.5, 0.9, "12"), (None, None, "")]:
        assert apply([Edit(cut="t.a", min_score=low, max_score=high)], [spans], ["012"]) == [left]


def test_a_document_attribute_is_a_span_over_the_whole_text() -> None:
    assert apply([Edit(cut="t.a", min_score=0.5)], [pa.array([0.9, 0.1, None])], ["ab", "cd", "ef"]) == ["", "cd", "ef"]


def test_dolmas_replacements() -> None:
    spans = [column([[(1, 3, 1.0), (2, 4, 1.0)], [(0, 1, 1.0)], []])]
    texts = ["0123456", "é2", "z"]
    assert apply([Edit(span="$.x", replacement="<{}|{}>")], spans, texts) == ["0<123|123>456", "<é|é>2", "z"]
    assert apply([Edit(span="$.x", replacement="[..]")], spans, texts) == ["0[..]456", "[..]2", "z"]


def test_a_program_is_asked_for_the_documents_that_have_spans() -> None:
    spans = [column([[(1, 3, 1.0), (5, 6, 1.0)], [(0, 1, 1.0)], [], [(0, 1, 0.1)]])]
    texts = ["0123456", "é2", "z", "ab"]
    asked = []

    def values(edit: int, rows: list[int]) -> list[str | None]:
        asked.append((edit, rows))
        return ["[{}]", None]

    edit = Edit(span="$.x", replacement="$.metadata.m", min_score=0.5)
    # A document without a string keeps the text in its spans.
    assert apply([edit], spans, texts, values=values) == ["0[12]34[5]6", "é2", "z", "ab"]
    assert asked == [(0, [0, 1])]
    assert plan([edit], spans, texts, values=values).counts == {"span $.x": 2}


def test_documents_that_dolma_edits_otherwise_are_counted() -> None:
    def overlapping(*edits: list[Span]) -> int:
        columns = [column([[], spans]) for spans in edits]
        return plan(
            [Edit(replace=f"t.{i}", with_=str(i)) for i in range(len(edits))], columns, ["", "0123456789"]
        ).overlapping

    assert overlapping([(0, 4, 1.0), (2, 6, 1.0), (8, 9, 1.0), (8, 10, 1.0)]) == 1
    assert overlapping([(0, 4, 1.0), (4, 6, 1.0)]) == 0
    # What lies within the first span changes nothing; so does the same span of a later edit, and not of an earlier one.
    assert overlapping([(0, 4, 1.0), (1, 3, 1.0)]) == 0
    assert overlapping([(0, 4, 1.0)], [(0, 4, 1.0)]) == 0
    assert overlapping([(1, 4, 1.0)], [(0, 4, 1.0)]) == 1


def test_braces_of_the_other_forms_are_text() -> None:
    assert apply([Edit(replace="t.a", with_="{}$.x")], [column([[(0, 1, 1.0)]])], ["ab"]) == ["{}$.xb"]


def test_texts_nobody_wants_are_left_alone() -> None:
    spans = column([[(0, 1, 1.0)], [(0, 1, 1.0)]])
    wanted = np.asarray([False, True])
    assert apply([CUT], [spans], ["ab", "cd"], wanted=wanted) == ["ab", "d"]
    assert plan([CUT], [spans], ["ab", "cd"], wanted=wanted).counts == {"cut t.a": 1}


def test_nothing_to_do() -> None:
    made = plan([CUT], [pa.nulls(2)], ["a", "b"])
    assert (made.spans.to_pylist(), made.replacements, made.counts) == ([[], []], [], {"cut t.a": 0})
    assert plan([], [], []).spans.to_pylist() == []


def test_replacements_are_listed_once() -> None:
    made = plan(
        [MARK, CUT, MARK], [column([[(0, 1, 1.0)]]), column([[(2, 3, 1.0)]]), column([[(4, 5, 1.0)]])], ["012345"]
    )
    assert made.replacements == ["X", ""]
    assert [s["replacement"] for s in made.spans.to_pylist()[0]] == [0, 1, 0]
    assert made.counts == {"replace t.a": 2, "cut t.a": 1}


def test_names_and_labels() -> None:
    assert (attribute(MARK), attribute(Edit(cut="`x-y`.z")), attribute(Edit(span="$.q"))) == ("t.a", "x-y.z", None)
    assert [label(e) for e in (MARK, CUT, Edit(span="$.q"))] == ["replace t.a", "cut t.a", "span $.q"]


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (Edit(), "expected exactly one of `replace`, `cut` and `span`, found none"),
        (Edit(cut="a.b", span="$"), "expected exactly one of `replace`, `cut` and `span`, found `cut` and `span`"),
        (Edit(cut="a.b", with_="x"), "`with` goes with `replace`, found it with `cut`"),
        (Edit(replace="a.b", replacement="x"), "`replacement` goes with `span`, found it with `replace`; write `with`"),
        (
            Edit(span="$.x", replacement="$5"),
            'expected a jq program that gives a string after `$`, found the number 5; for the text `$5` write `$"$5"`',
        ),
        (
            Edit(span="$.x", replacement="$"),
            'expected a jq program that gives a string after `$`, found no program; for the text `$` write `$"$"`',
        ),
        (Edit(cut="a.b", min_score=2, max_score=1), "expected min_score below max_score, found 2 and 1: no score fits"),
    ],
)
def test_edits_that_cannot_be_meant(edit: Edit, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        check(edit, "$.mix.edit[0]")
    assert str(caught.value) in (f"$.mix.edit[0]: {message}", f"$.mix.edit[0].replacement: {message}")


def twin(text: str, by_edit: list[list[tuple[int, int]]]) -> str:
    """Two neighbouring characters belong together if some span has both; each such run goes as one."""
    spans = [(start, min(end, len(text)), rank) for rank, all_ in enumerate(by_edit) for start, end in all_]
    spans = [s for s in spans if s[0] < s[1]]
    out, i = "", 0
    while i < len(text):
        if not any(start <= i < end for start, end, _ in spans):
            out, i = out + text[i], i + 1
            continue
        j = i
        while any(start <= j and j + 1 < end for start, end, _ in spans):
            j += 1
        out += "ABC"[min(rank for start, end, rank in spans if start <= j and i < end)]
        i = j + 1
    return out


a_span = st.tuples(st.integers(0, 14), st.integers(0, 14)).map(lambda s: (min(s), max(s)))
a_document = st.tuples(st.text("xyé🙂", max_size=12), st.lists(st.lists(a_span, max_size=4), min_size=3, max_size=3))


@settings(max_examples=300, deadline=None)
@given(st.lists(a_document, max_size=5))
def test_edits_agree_with_their_slow_twin(documents: list[tuple[str, list[list[tuple[int, int]]]]]) -> None:
    edits = [Edit(replace=f"t.{c}", with_=c) for c in "ABC"]
    columns = [column([[(s, e, 1.0) for s, e in spans[i]] for _, spans in documents]) for i in range(3)]
    assert apply(edits, columns, [t for t, _ in documents]) == [twin(t, spans) for t, spans in documents]


scored = st.tuples(st.integers(-3, 14), st.integers(-3, 14), st.sampled_from((0.0, 0.5, 1.0, float("nan"))))
of_three = st.lists(st.lists(scored, max_size=4), min_size=3, max_size=3)
changes = st.sampled_from(
    (CUT, MARK, Edit(replace="t.b", with_="é"), Edit(cut="t.b", min_score=0.5), Edit(cut="t.c", max_score=0.6))
)


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.tuples(st.text("xyé🙂", max_size=12), of_three, st.booleans()), max_size=5),
    st.lists(changes, min_size=1, max_size=3),
)
def test_one_native_call_edits_as_the_plan_does(
    documents: list[tuple[str, list[list[Span]], bool]], edits: list[Edit]
) -> None:
    texts = [text for text, _, _ in documents]
    columns = [column([by_edit[i] for _, by_edit, _ in documents]) for i in range(len(edits))]
    wanted = np.asarray([flag for _, _, flag in documents], np.bool_)
    made = plan(edits, columns, texts, wanted=wanted)
    array = pa.array(texts, pa.large_string())
    expected = _native.apply_edits(array, made.spans, made.replacements) if len(made.spans.values) else None
    rows = np.where(wanted, np.arange(len(texts)), -1)
    assert apply_natively(edits, columns, array, rows) == Applied(expected, made.counts, made.overlapping)
    # The same of the documents that are left.
    left = pa.array(np.flatnonzero(wanted))
    some = apply_natively(edits, [c.take(left) for c in columns], array, np.flatnonzero(wanted))
    assert some == Applied(expected, made.counts, made.overlapping)


def test_columns_of_other_forms_are_left_to_the_plan() -> None:
    texts, rows = pa.array(["ab"], pa.large_string()), np.asarray([0])
    assert apply_natively([CUT], [pa.array([0.9])], texts, rows) is None
    assert apply_natively([CUT], [pa.nulls(1)], texts, rows) is None
    assert apply_natively([Edit(span="$.x")], [column([[(0, 1, 1.0)]])], texts, rows) is None
