"""What a run directory says, and what it takes to be absent."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from dolma_pipeline.engine.task import Counts
from dolma_pipeline.report.account import MOST_EXAMPLES, load_run, rules, total


def test_rules_are_ordered_by_what_they_drop() -> None:
    counts = [Counts(dropped={"a": 1, "b": 5, "never": 0}), Counts(dropped={"c": 5, "a": 1})]
    assert rules(counts) == ["b", "c", "a"]
    assert [c.dropped for c in counts] == [{"a": 1, "b": 5, "never": 0}, {"c": 5, "a": 1}]


def test_total_leaves_its_parts_alone() -> None:
    parts = [Counts(documents_in=2, documents_out=1, dropped={"a": 1}), Counts(documents_in=1, documents_out=1)]
    assert total(parts) == Counts(documents_in=3, documents_out=2, dropped={"a": 1})
    assert parts[0].documents_in == 2


def test_stages_are_called_as_in_the_recipe(toy_run: Path) -> None:
    run = load_run(toy_run)
    labels = [run.label(stage) for stage in run.manifest.stages]
    assert labels == ["01-tag", "02-near", "03-kept", "04-tokens", "05-train"]
    assert (run.first.documents_in, run.first.quarantined) == (113, 3)


def test_tokens_from_details_where_they_have_them(toy_run: Path, manifest: dict[str, Any]) -> None:
    assert load_run(toy_run).tokens == {"news": 222, "wiki": 274}
    manifest["stages"][3]["details"] = {"tokens": {"news": 5, "wiki": 7}}
    (toy_run / "manifest.json").write_text(json.dumps(manifest))
    assert load_run(toy_run).tokens == {"news": 5, "wiki": 7}


def test_figures_that_are_none_are_left_out(toy_run: Path, manifest: dict[str, Any]) -> None:
    manifest["stages"][4]["details"] = {"loss": [[2, 5.0], [1, 9.0], [3, None], "x"], "perplexity": "none"}
    (toy_run / "manifest.json").write_text(json.dumps(manifest))
    training = load_run(toy_run).training
    assert training is not None
    assert (training.loss, training.perplexity, training.last_loss) == (((1, 9.0), (2, 5.0)), None, 5.0)


def test_examples_are_bounded_and_broken_lines_passed_over(toy_run: Path) -> None:
    path = toy_run / "quarantine" / "wiki" / "wiki.jsonl.jsonl"
    good = path.read_text().splitlines()[0]
    path.write_text("\n".join(["{", "[]", '{"file": 1}', *[good] * 30]))
    assert len(load_run(toy_run).quarantined) == MOST_EXAMPLES
