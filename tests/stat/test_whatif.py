"""What rules would remove: every count by hand, and the same whatever the number of workers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from dolma_pipeline.config.load import decode
from dolma_pipeline.config.recipe import Recipe
from dolma_pipeline.engine.manifest import RunManifest
from dolma_pipeline.engine.run import RunOptions, run_recipe
from dolma_pipeline.engine.task import Counts
from dolma_pipeline.errors import BadInputError, ConfigError
from dolma_pipeline.io.atomic import read_json
from dolma_pipeline.stat.result import WhatIf, total
from tests.corpus import make_corpus, recipe
from tests.report.test_html import EVIL, Page

STAT: dict[str, Any] = {
    "sweeps": [{"expression": "mine.n < {t}", "at": [0, 3, 100]}],
    "drop": {"low": "mine.n < 4", "marked": "mine.m", "odd": 'id == "b5"'},
    "examples": 2,
}


def write(directory: Path, name: str, rows: list[tuple[str, float | None, bool]]) -> None:
    """Documents with the attributes mine.n and mine.m beside them."""
    documents, attributes = directory / name / "documents", directory / name / "attributes" / "mine"
    documents.mkdir(parents=True)
    attributes.mkdir(parents=True)
    lines, beside = [], []
    for i, n, marked in rows:
        lines.append(json.dumps({"id": i, "text": f"{i} {EVIL} text"}) + "\n")
        spans = {"mine__mine__n": [[0, 1, n]]} if n is not None else {}
        spans |= {"mine__mine__m": [[0, 1, 1]]} if marked else {}
        beside.append(json.dumps({"id": i, "attributes": spans}) + "\n")
    (documents / "d.jsonl").write_text("".join(lines))
    (attributes / "d.jsonl").write_text("".join(beside))


def run(directory: Path, stat: dict[str, Any], **more: Any) -> tuple[WhatIf, RunManifest]:
    made = decode(
        Recipe,
        {
            "name": "try",
            "work_dir": str(directory / "run"),
            "sources": {
                name: {"documents": str(directory / name / "documents" / "*"), "attributes": ["mine"]}
                for name in ("a", "b")
            },
            "stages": [{"stat": stat}],
            **more,
        },
    )
    manifest = run_recipe(made, RunOptions(progress="none"))
    return read_json(directory / "run" / "stat" / "whatif.json", WhatIf), manifest


@pytest.fixture
def two(tmp_path: Path) -> Path:
    write(tmp_path, "a", [("a1", 1, False), ("a2", 2, True), ("a3", 3, False)])
    write(tmp_path, "b", [("b1", 1, False), ("b2", None, True), ("b3", 7, True), ("b4", 9, False), ("b5", 9, False)])
    return tmp_path


def documents(amounts: dict[str, Any]) -> dict[str, int]:
    return {source: amount.documents for source, amount in amounts.items()}


def test_sweep(two: Path) -> None:
    found, manifest = run(two, STAT)
    assert documents(found.read) == {"a": 3, "b": 5}
    (sweep,) = found.sweeps
    assert [documents(t.removed) for t in sweep.thresholds] == [{"a": 0, "b": 0}, {"a": 2, "b": 1}, {"a": 3, "b": 4}]
    assert documents(sweep.unknown) == {"a": 0, "b": 1}
    size = len(f"a1 {EVIL} text")
    assert sweep.thresholds[1].removed["a"].bytes == 2 * size
    at_three = sweep.thresholds[1]
    assert [(e.id, e.value) for e in at_three.kept] == [("a3", 3.0), ("b3", 7.0)]
    assert at_three.dropped[0].id == "a2"
    assert at_three.dropped[1].id in ("a1", "b1")
    assert at_three.kept[0].place == f"{two}/a/documents/d.jsonl:3"
    assert at_three.kept[0].excerpt == f"a3 {EVIL} text"
    (account,) = manifest.stages
    assert (account.kind, sum(c.documents_in for c in account.counts.values())) == ("stat", 8)


def test_rules_alone_first_and_uniquely(two: Path) -> None:
    found, _ = run(two, STAT)
    low, marked, odd = found.rules
    assert [total(r.alone).documents for r in found.rules] == [4, 3, 1]
    assert [total(r.first).documents for r in found.rules] == [4, 2, 1]
    assert [documents(r.only) for r in found.rules] == [{"a": 2, "b": 1}, {"a": 0, "b": 2}, {"a": 0, "b": 1}]
    assert total(found.dropped).documents == 7
    assert {e.id for e in marked.examples} == {"b2", "b3"}
    assert [e.id for e in odd.examples] == ["b5"]
    assert {e.id for e in low.examples} < {"a1", "a3", "b1"}


def test_examples_are_those_whose_fate_is_up_to_the_threshold(two: Path) -> None:
    found, _ = run(two, {"sweeps": [{"expression": "mine.n < {t} and mine.m", "at": [5]}], "examples": 9})
    (threshold,) = found.sweeps[0].thresholds
    assert ([e.id for e in threshold.dropped], [e.id for e in threshold.kept]) == (["a2"], ["b3"])


def test_the_page_is_whole_whatever_a_text_says(two: Path) -> None:
    run(two, STAT)
    text = (two / "run" / "stat" / "report.html").read_text()
    page = Page(text)
    assert "script" not in page.tags
    assert page.headings(text) == ["Rules", "mine.n &lt; {t}", "Distributions"]
    assert f"a3 {EVIL} text" in page.rows


def test_bad_lines_are_set_aside(two: Path) -> None:
    path = two / "a" / "documents" / "d.jsonl"
    path.write_text('{"id": 1}\n' + path.read_text())
    with pytest.raises(BadInputError, match="1 of 9 documents"):
        run(two, STAT)
    assert "d.jsonl" in (two / "run" / "quarantine" / "a" / "d.jsonl.jsonl").read_text()
    counts = read_json(two / "run" / "manifest.json", RunManifest).stages[0].counts["a"]
    assert counts == Counts(
        documents_in=4, documents_out=3, quarantined=1, bytes_in=counts.bytes_in, bytes_out=counts.bytes_out
    )


@pytest.mark.parametrize(
    ("stat", "message"),
    [
        ({"histograms": False}, "$.stages[0].stat: expected attributes to describe or rules to try, found neither"),
        (
            {"regex": "("},
            "$.stages[0].stat.regex: expected a regular expression, found `(`: missing ), unterminated subpattern at "
            "position 0",
        ),
        (
            {"drop": {"x": "mine.k < 3"}},
            "$.stages[0].stat.drop.x: column 1: unknown attribute `mine.k`; did you mean `mine.n`? "
            "(known: `mine.m`, `mine.n`)",
        ),
        (
            {"sweeps": [{"expression": "mine.n < 3", "at": [1]}]},
            "$.stages[0].stat.sweeps[0].expression: expected `{t}` once, as one side of a comparison such as "
            "`gopher_v2.word_count < {t}`, found `mine.n < 3`",
        ),
    ],
)
def test_mistakes(two: Path, stat: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as error:
        run(two, stat)
    assert str(error.value) == message


@pytest.mark.slow
def test_the_same_with_two_workers_and_from_both_forms(tmp_path: Path) -> None:
    corpus = make_corpus(tmp_path / "corpus")
    stat = {
        "sweeps": [{"expression": "gopher_v2.word_count < {t}", "at": [30, 60]}],
        "drop": {"few": "gopher_v2.word_count < 40", "lines": "count(c4_v2.lines_with_too_few_words) > 0"},
    }
    found = []
    for processes, form in ((1, "parquet"), (2, "jsonl.gz")):
        settings = recipe(corpus, tmp_path / f"run{processes}")
        tag = {"tag": {"experiment": "base", "taggers": ["gopher_v2", "c4_v2"], "format": form}}
        settings["stages"] = [tag, {"stat": stat}]
        run_recipe(decode(Recipe, settings), RunOptions(progress="none", processes=processes))
        found.append((tmp_path / f"run{processes}" / "stat" / "whatif.json").read_bytes())
    assert found[0] == found[1]
    assert total(read_json(tmp_path / "run1" / "stat" / "whatif.json", WhatIf).dropped).documents >= 12
