"""The stage: what it marks, what it writes, what it says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import dolma_pipeline as dp
from dolma_pipeline.stages.decontaminate.config import Decontaminate, EvaluationFields
from dolma_pipeline.stages.decontaminate.op import _words, char_span

QUESTION = "Which of the two rivers that meet in the old town of Passau carries more water in the month of June?"
ANSWER = "The Inn carries more water than the Danube does."
OTHER = "A text about something else: how to bake bread from rye, water, salt, and the sour dough of the day before."


def lines(path: Path, *rows: dict[str, Any]) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    return str(path)


def made(tmp_path: Path, *stages: Any, **settings: Any) -> dp.Recipe:
    evaluations = lines(
        tmp_path / "evals" / "rivers.jsonl",
        {"question": QUESTION, "answer": ANSWER},
        {"question": "too short", "answer": "yes"},
    )
    documents = lines(
        tmp_path / "web" / "documents" / "x.jsonl",
        {"id": "a", "text": OTHER},
        {"id": "b", "text": f"Première ligne 😀\nçà et là: {QUESTION} {ANSWER} Et plus."},
        {"id": "c", "text": f"{QUESTION.lower().replace('passau', 'Linz')}\n\n{ANSWER}"},
        {"id": "d", "text": ""},
    )
    stage = Decontaminate(evaluations={"rivers": evaluations}, **settings)
    return dp.recipe("t", {"web": dp.Source(documents=documents)}, [stage, *stages], work_dir=tmp_path / "run")


def attributes(run: dp.Run) -> list[dict[str, Any]]:
    (path,) = run.files("attributes/decontaminate/")
    return [row for batch in dp.read_attributes(path) for row in batch.to_pylist()]


def test_documents_with_items_are_marked_and_matches_are_written(tmp_path: Path) -> None:
    run = dp.run(made(tmp_path))
    rows = attributes(run)
    assert [row["decontaminate__contaminated"] for row in rows] == [None, 1.0, 1.0, None]
    assert [row["decontaminate__evaluation"] for row in rows] == [None, "rivers", "rivers", None]
    assert [row["decontaminate__item"] for row in rows] == [None, "rivers.jsonl:1", "rivers.jsonl:1", None]
    assert rows[1]["decontaminate__score"] == 1.0
    assert 0.8 < rows[2]["decontaminate__score"] < 1.0
    text = f"Première ligne 😀\nçà et là: {QUESTION} {ANSWER} Et plus."
    (span,) = rows[1]["decontaminate__match"]
    assert text[span["start"] : span["end"]] == QUESTION.removesuffix("?")
    (path,) = run.files("decontaminate/")
    matches = [json.loads(line) for line in path.read_text().splitlines()]
    assert [(m["id"], m["line"], m["item"], m["question"]) for m in matches] == [
        ("b", 2, "rivers.jsonl:1", QUESTION),
        ("c", 3, "rivers.jsonl:1", QUESTION),
    ]
    assert matches[0]["text"] == text
    details = run.details("01-decontaminate")
    assert (details["documents"], details["contaminated"]) == (4, 2)
    assert details["table"]["rows"] == [["rivers", 1, 1, 2]]
    assert run.manifest.warnings == [
        "decontaminate `decontaminate`: 1 item is not looked for; an item needs 20 words (`min_words`), 5 of them in "
        "the question, and a whole text that scores 0.8",
        "decontaminate `decontaminate`: 2 of 4 documents of source `web` (50.00%) hold evaluation items, more than the "
        "0.10% of `alarm`; look at some of them in decontaminate/decontaminate/matches.jsonl before a mix drops them",
    ]
    assert dp.verify(tmp_path / "run") == []


def test_a_mix_drops_what_is_marked(tmp_path: Path) -> None:
    run = dp.run(
        made(tmp_path, dp.Mix(drop={"leaked": "decontaminate.contaminated", "r": 'decontaminate.item == "x"'}))
    )
    assert run.dropped().to_pylist() == [{"stage": "02-mixed", "source": "web", "rule": "leaked", "documents": 2}]


def test_rules_find_a_stage_with_a_hyphen_in_its_name(tmp_path: Path) -> None:
    run = dp.run(made(tmp_path, dp.Mix(drop={"leaked": "my_evals.contaminated"}), name="my-evals", format="jsonl.gz"))
    assert [row["documents"] for row in run.dropped().to_pylist()] == [2]


def test_one_and_two_processes_write_the_same(tmp_path: Path) -> None:
    one = dp.run(made(tmp_path / "1"))
    two = dp.run(made(tmp_path / "2"), processes=2)
    assert attributes(one) == attributes(two)
    (first,), (second,) = one.files("decontaminate/"), two.files("decontaminate/")
    assert first.read_text().replace(f"{tmp_path}/1", "") == second.read_text().replace(f"{tmp_path}/2", "")


def test_shared_ngrams(tmp_path: Path) -> None:
    rows = attributes(dp.run(made(tmp_path, method="ngrams")))
    assert [row["decontaminate__contaminated"] for row in rows] == [None, 1.0, None, None]
    assert rows[1]["decontaminate__score"] == 1.0
    rows = attributes(dp.run(made(tmp_path / "8", method="ngrams", ngram=8, threshold=0.3)))
    assert [row["decontaminate__score"] for row in rows] == [None, 1.0, pytest.approx(6 / 14), None]


def test_shared_paragraphs(tmp_path: Path) -> None:
    run = dp.run(made(tmp_path, method="paragraphs"))
    assert [row["decontaminate__contaminated"] for row in attributes(run)] == [None, None, None, None]
    text = f"{OTHER}\n{QUESTION}\n"
    lines(tmp_path / "web" / "documents" / "x.jsonl", {"id": "a", "text": text})
    again = dp.run(dp.recipe("t", run_sources(tmp_path), [stage_of(tmp_path)], work_dir=tmp_path / "run2"))
    (row,) = attributes(again)
    (span,) = row["decontaminate__match"]
    assert text[span["start"] : span["end"]] == QUESTION.removesuffix("?")


def run_sources(tmp_path: Path) -> dict[str, dp.Source]:
    return {"web": dp.Source(documents=f"{tmp_path}/web/documents/x.jsonl")}


def stage_of(tmp_path: Path) -> Decontaminate:
    return Decontaminate(evaluations={"rivers": f"{tmp_path}/evals/rivers.jsonl"}, method="paragraphs")


def test_an_item_without_a_question_is_an_error_with_its_line(tmp_path: Path) -> None:
    recipe = made(tmp_path, fields=EvaluationFields(question="prompt"))
    with pytest.raises(dp.DolmaError) as caught:
        dp.run(recipe)
    assert str(caught.value) == (
        f"{tmp_path}/evals/rivers.jsonl:1: expected an evaluation item with a string in `prompt`: "
        "missing field `prompt`"
    )


def test_settings_that_do_nothing_are_refused(tmp_path: Path) -> None:
    with pytest.raises(dp.DolmaError) as caught:
        made(tmp_path, method="paragraphs", ngram=3, threshold=0.5)
    assert str(caught.value).splitlines() == [
        "$.stages[0].decontaminate.ngram: has no effect with `method: paragraphs`, which compares whole paragraphs",
        "$.stages[0].decontaminate.threshold: has no effect with `method: paragraphs`, which compares whole paragraphs",
    ]


def test_a_set_without_files(tmp_path: Path) -> None:
    recipe = dp.recipe(
        "t",
        {"web": dp.Source(documents=lines(tmp_path / "documents" / "x.jsonl", {"id": "a", "text": "x"}))},
        [Decontaminate(evaluations={"mmlu": f"{tmp_path}/mmlu/*.jsonl"})],
        work_dir=tmp_path / "run",
    )
    with pytest.raises(dp.DolmaError) as caught:
        dp.plan(recipe)
    assert str(caught.value).startswith("$.stages[0].decontaminate.evaluations.mmlu: no file matches")


@given(st.text(alphabet="ab.' é😀ก\n\r\u0301", max_size=30), st.data())
def test_words_stand_where_their_span_says(text: str, data: st.DataObject) -> None:
    words = _words(text)
    if not len(words):
        return
    begin = data.draw(st.integers(0, len(words) - 1))
    end = data.draw(st.integers(begin + 1, len(words)))
    start, stop = char_span(text, begin, end)
    assert _words(text[start:stop]).tolist() == words[begin:end].tolist()


@pytest.mark.parametrize(
    ("settings", "needs"),
    [
        ({}, "5 of them in the question, and a whole text that scores 0.8"),
        ({"method": "ngrams"}, "13 of them in the question"),
    ],
)
def test_items_that_nothing_could_match_are_said(tmp_path: Path, settings: dict[str, Any], needs: str) -> None:
    # A question of four words has no 5-gram, however long the answer is.
    evaluations = lines(tmp_path / "e.jsonl", {"question": "who wrote this book", "answer": " ".join(["a"] * 30)})
    documents = lines(tmp_path / "documents" / "x.jsonl", {"id": "a", "text": "x"})
    stage = Decontaminate(evaluations={"e": evaluations}, **settings)
    run = dp.run(dp.recipe("t", {"s": dp.Source(documents=documents)}, [stage], work_dir=tmp_path / "run"))
    assert run.manifest.warnings == [
        "decontaminate `decontaminate`: 1 item is not looked for; an item needs 20 words (`min_words`), " + needs
    ]
