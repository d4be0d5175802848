"""The weighted longest common subsequence against a slow twin, and what scores are made of."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dolma_pipeline.stages.decontaminate.index import Postings, ngram_hashes, word_weights
from dolma_pipeline.stages.decontaminate.items import Item, words_of
from dolma_pipeline.stages.decontaminate.overlap import Match, Overlap, in_order

QUESTION = "which of the two rivers that meet in the old town of Passau carries more water in the month of June"
ANSWER = "the Inn carries more water than the Danube does"


def item(question: str, answer: str = "", passage: str = "", name: str = "q:1") -> Item:
    tokens = words_of(pa.array([question, answer, passage], pa.large_string()))
    parts = (tokens[0], tokens[1], tokens[2])
    return Item(evaluation="e", name=name, question=question, answer=answer, passage=passage, tokens=parts)


def find(items: list[Item], *texts: str, threshold: float = 0.8) -> list[Match]:
    tokens = words_of(pa.array(texts, pa.large_string()))
    flat = np.concatenate(tokens)
    offsets = np.cumsum([0, *map(len, tokens)])
    return Overlap(items, 5, threshold).find(flat, offsets, ngram_hashes(flat, 5))


def slow(part: list[int], weights: list[float], window: list[int]) -> float:
    if not part or not window:
        return 0.0
    best = max(slow(part[1:], weights[1:], window), slow(part, weights, window[1:]))
    if part[0] == window[0]:
        best = max(best, weights[0] + slow(part[1:], weights[1:], window[1:]))
    return best


WORDS = st.lists(st.integers(0, 4), max_size=6)


@given(WORDS, WORDS)
def test_the_subsequence_is_that_of_a_slow_twin(part: list[int], window: list[int]) -> None:
    weights = np.array([1.0 + 0.25 * word for word in part])
    words, others = np.array(part, np.uint64), np.array(window, np.uint64)
    total, begin, end = in_order(words, weights, others)
    assert total == slow(part, weights.tolist(), window)
    # The range has all of it, and no shorter one at its ends.
    assert in_order(words, weights, others[begin:end])[0] == total
    if total:
        assert window[begin] in part
        assert window[end - 1] in part


def test_an_item_word_for_word() -> None:
    text = f"Before it. {QUESTION.upper()}? {ANSWER}! And more behind it."
    assert find([item(QUESTION, ANSWER)], "nothing", text) == [Match(1, 0, 1.0, 2, 23)]


def test_a_changed_word_costs_its_own_weight() -> None:
    changed = QUESTION.replace("Passau", "Regensburg")
    (match,) = find([item(QUESTION, ANSWER)], f"{changed} {ANSWER}")
    words, weights = word_weights([item(QUESTION, ANSWER)])
    question = item(QUESTION).tokens[0]
    of_question = weights[np.searchsorted(words, question)]
    lost = weights[np.searchsorted(words, item("Passau").tokens[0][0])]
    assert match.score == pytest.approx(1 - 0.75 * lost / of_question.sum(), abs=1e-12)


def test_an_answer_far_away_does_not_count() -> None:
    far = " ".join(f"w{i}" for i in range(300))
    assert find([item(QUESTION, ANSWER)], f"{QUESTION} {far} {ANSWER}") == []
    (match,) = find([item(QUESTION, ANSWER)], f"{QUESTION} {far} {ANSWER}", threshold=0.7)
    assert 0.75 <= match.score < 0.8


def test_a_short_answer_stands_there_as_it_is_or_not_at_all() -> None:
    (match,) = find([item(QUESTION, "the Inn")], f"{QUESTION} it is the Inn")
    assert match.score == 1.0
    assert find([item(QUESTION, "the Inn")], f"{QUESTION} the river Inn") == []
    (match,) = find([item(QUESTION, "the Inn")], f"the Inn, {QUESTION}")
    assert match.score == 1.0


def test_words_in_another_order_are_another_text() -> None:
    words = QUESTION.split()
    turned = " ".join([*words[10:], *words[:10]])
    assert find([item(QUESTION)], turned) == []


def test_a_question_that_is_short_counts_for_less() -> None:
    short = "who wrote the second book of the trilogy"
    assert find([item(short)], short) == []
    answer = "nobody knows who wrote it for certain"
    assert find([item(short, answer)], f"{short} {answer}") == []
    (match,) = find([item(short, answer)], f"{short} {answer}", threshold=0.7)
    assert match.score == pytest.approx(0.75 * (0.5 + 0.5 * 8 / 20) + 0.25)


def test_ngrams_do_not_reach_from_one_document_into_the_next() -> None:
    words = QUESTION.split()
    assert find([item(QUESTION)], " ".join(words[:11]), " ".join(words[11:])) == []


def test_of_many_items_with_the_same_words_each_is_found_by_its_rarest() -> None:
    frame = "which of the following statements about the topic of {} is the one that is true of it and of all others"
    items = [item(frame.format(f"n{i}"), name=f"q:{i}") for i in range(400)]
    found = find(items, frame.format("n7"), threshold=0.97)
    assert [m.item for m in found] == [7]


@given(
    st.lists(st.lists(st.integers(0, 3), max_size=7), min_size=1, max_size=4), st.lists(st.integers(0, 3), max_size=9)
)
def test_postings_are_those_of_a_slow_twin(items: list[list[int]], text: list[int]) -> None:
    made = [
        Item(
            evaluation="e",
            name=str(n),
            question="",
            answer="",
            passage="",
            tokens=(np.array(i, np.uint64), np.empty(0, np.uint64), np.empty(0, np.uint64)),
        )
        for n, i in enumerate(items)
    ]
    postings = Postings(made, 2)
    hits, grams = postings.look_up(ngram_hashes(np.array(text, np.uint64), 2))
    which, owners, places = postings.expand(grams)
    found = sorted(zip(hits[which].tolist(), owners.tolist(), places.tolist(), strict=True))
    expected = sorted(
        (at, n, place)
        for at in range(len(text) - 1)
        for n, i in enumerate(items)
        for place in range(len(i) - 1)
        if i[place : place + 2] == text[at : at + 2]
    )
    assert found == expected
