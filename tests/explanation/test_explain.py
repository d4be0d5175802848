"""Why documents stay or go: the answers for all documents add up to the account of the run."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

import dolma_pipeline as dp
from dolma_pipeline.config.recipe_minhash import MinHash
from dolma_pipeline.explanation.render import render
from dolma_pipeline.explanation.story import Difference, Pair
from tests.corpus import make_corpus
from tests.corpus import recipe as recipe_of_corpus

LONG = "The quick brown fox jumps over the lazy dog. "


def write(directory: Path, *documents: dict[str, Any] | str) -> str:
    directory.mkdir(parents=True)
    lines = [d if isinstance(d, str) else json.dumps(d) for d in documents]
    (directory / "x.jsonl.gz").write_bytes(gzip.compress("\n".join([*lines, ""]).encode()))
    return f"{directory}/*.gz"


def small(tmp_path: Path, **mix: Any) -> dp.Run:
    documents = write(
        tmp_path / "web" / "documents",
        {"id": "a", "text": LONG * 3},
        {"id": "b", "text": "short"},
        {"id": "c", "text": LONG * 3},
        {"id": "d", "text": LONG * 4 + "\n\nx\n" + LONG},
        '{"id": "broken", "text": 1}',
    )
    rules = {"short": "base.char_length_v1.length < 100", "copy": "exact.duplicate == 1"}
    made = dp.recipe(
        "small",
        {"web": dp.Source(documents=documents)},
        [
            dp.Tag(experiment="base", taggers=["char_length_v1", "c4_v2"]),
            dp.Dedupe(name="exact", documents=dp.DocumentKey()),
            dp.Mix(drop=rules, edit=[dp.Edit(cut="c4_v2.lines_with_too_few_words")], **mix),
        ],
        work_dir=tmp_path / "run",
        max_bad_fraction=0.5,
    )
    return dp.run(made)


def test_what_became_of_every_document_is_what_the_account_says(tmp_path: Path) -> None:
    corpus = make_corpus(tmp_path / "corpus", shards=1, documents=30)
    recipe = recipe_of_corpus(corpus, tmp_path / "run")
    recipe["stages"][3]["mix"]["budget"]["bytes"] = 9_000
    made = dp.load_recipe(str(write_recipe(tmp_path, recipe)))
    done = dp.run(made)
    outcomes: Counter[str] = Counter()
    copies = 0
    for source in "ab":
        for i in range(30):
            (story,) = dp.explain(tmp_path / "run", f"{source}-0-{i}")
            mixed = next(stage for stage in story.stages if stage.rules)
            outcomes[mixed.dropped_by or ("budget" if mixed.copies == 0 else "kept")] += 1
            copies += mixed.copies or 0
            tokens = [stage for stage in story.stages if stage.tokens]
            assert bool(tokens) == (mixed.dropped_by is None and mixed.copies != 0), story.id
    dropped: Counter[str] = Counter()
    for row in done.dropped().to_pylist():
        dropped[row["rule"]] += row["documents"]
    kept = outcomes.pop("kept")
    assert outcomes == dropped
    assert dropped["copy"] > 0
    assert dropped["budget"] > 0
    (account,) = [s for s in done.manifest.stages if s.kind == "mix"]
    assert copies == sum(c.documents_out for c in account.counts.values())
    assert kept <= copies


def write_recipe(directory: Path, made: dict[str, Any]) -> Path:
    path = directory / "recipe.json"
    made["stages"] = [stage for stage in made["stages"] if "train" not in stage]
    path.write_text(json.dumps(made))
    return path


def test_a_document_that_stays(tmp_path: Path) -> None:
    small(tmp_path)
    (story,) = dp.explain(tmp_path / "run", "d")
    source = f"{tmp_path}/web/documents/x.jsonl.gz"
    written = f"{tmp_path}/run/mixed/mixed/documents/web/x.jsonl.zst"
    assert render(story) == "\n".join(
        (
            f"{source}:4: document d of source web",
            "  The quick brown fox jumps over the lazy dog. The quick brown fox jumps over the lazy dog. The quick…",
            "01-tag",
            "  base__char_length_v1__length                   229",
            "  base__c4_v2__lines_with_no_ending_punctuation  2 spans: 181..182 (1), 182..184 (1)",
            "  base__c4_v2__lines_with_too_few_words          2 spans: 181..182 (1), 182..184 (1)",
            "  base__c4_v2__line_count                        4",
            "02-exact",
            "03-mixed",
            "  [ ] short: base.char_length_v1.length < 100   base.char_length_v1.length = 229",
            "  [ ] copy: exact.duplicate == 1   exact.duplicate = none",
            "  edited: 2 spans cut c4_v2.lines_with_too_few_words",
            "  text: 229 -> 226 bytes",
            f"  written to {written}:2",
            "=> It passed every stage.",
        )
    )


def test_a_duplicate_names_the_first_one(tmp_path: Path) -> None:
    small(tmp_path)
    (story,) = dp.explain(tmp_path / "run", "c")
    assert story.stages[1].attributes == {"exact__duplicate": 1.0}
    assert story.stages[1].first == f"{tmp_path}/web/documents/x.jsonl.gz:1 (id a)"
    assert story.outcome == "`03-mixed` dropped it by the rule `copy`."
    assert [(r.name, r.answer) for r in story.stages[2].rules] == [("short", False), ("copy", True)]


def test_rules_behind_the_first_that_is_true_are_not_reached(tmp_path: Path) -> None:
    small(tmp_path)
    (story,) = dp.explain(tmp_path / "run", "b")
    assert render(story).splitlines()[-4:] == [
        "  [x] short: base.char_length_v1.length < 100   base.char_length_v1.length = 5",
        "  [ ] copy: exact.duplicate == 1   exact.duplicate = none   (not reached)",
        "  dropped by the rule `short`",
        "=> `03-mixed` dropped it by the rule `short`.",
    ]


def test_taggers_without_files_answer_the_same(tmp_path: Path) -> None:
    documents = write(tmp_path / "documents", {"id": "a", "text": LONG}, {"id": "b", "text": LONG * 9})
    made = dp.recipe(
        "once",
        {"web": dp.Source(documents=documents)},
        [
            dp.Tag(experiment="base", taggers=["char_length_v1", "gopher_v2"], keep=False),
            dp.Mix(drop={"short": "base.char_length_v1.length < 100", "few": "gopher_v2.word_count < 90"}),
        ],
        work_dir=tmp_path / "run",
    )
    dp.run(made)
    (short,) = dp.explain(tmp_path / "run", "a")
    (few,) = dp.explain(tmp_path / "run", "b")
    assert [s.dropped_by for s in (*short.stages, *few.stages)] == ["short", "few"]
    assert [r.values for r in short.stages[0].rules] == [
        {"base.char_length_v1.length": 45.0},
        {"gopher_v2.word_count": 9.0},
    ]


def test_a_line_that_was_set_aside(tmp_path: Path) -> None:
    small(tmp_path)
    with pytest.raises(dp.DolmaError) as caught:
        dp.explain(tmp_path / "run", "broken")
    assert str(caught.value) == (
        f"{tmp_path}/web/documents/x.jsonl.gz:5: the line with the id `broken` was set aside: "
        "expected a string for `text`, found a number"
    )


def test_an_id_or_a_source_that_there_is_not(tmp_path: Path) -> None:
    small(tmp_path)
    with pytest.raises(dp.DolmaError) as caught:
        dp.explain(tmp_path / "run", "zz")
    assert str(caught.value) == (
        f"{tmp_path}/run: expected a document with the id `zz` in 1 file of its sources, found none"
    )
    with pytest.raises(dp.DolmaError) as caught:
        dp.explain(tmp_path / "run", "a", source="wub")
    assert str(caught.value) == "expected a source of the run (web), found `wub`"


def test_an_output_that_lacks_what_its_mix_keeps(tmp_path: Path) -> None:
    small(tmp_path)
    output = tmp_path / "run" / "mixed" / "mixed" / "documents" / "web" / "x.jsonl.zst"
    output.write_bytes(b"")
    with pytest.raises(dp.DolmaError) as caught:
        dp.explain(tmp_path / "run", "d")
    assert str(caught.value) == (
        f"{output}: expected document `d` of {tmp_path}/web/documents/x.jsonl.gz:4 in it, as stage 03-mixed keeps it, "
        f"found none; `dolma verify {tmp_path}/run` tells whether the file has changed"
    )


def test_a_sample_of_what_a_rule_dropped(tmp_path: Path) -> None:
    small(tmp_path)
    assert [(s.id, s.line, s.stage, s.expression) for s in dp.sample_rule(tmp_path / "run", "short")] == [
        ("b", 2, "03-mixed", "base.char_length_v1.length < 100")
    ]
    assert [s.id for s in dp.sample_rule(tmp_path / "run", "copy", 1)] == ["c"]
    with pytest.raises(dp.DolmaError) as caught:
        dp.sample_rule(tmp_path / "run", "shirt")
    assert str(caught.value) == (
        "expected a rule of a mix (short, copy, select, min_text_length, expression_failed), found `shirt`; "
        "did you mean `short`?"
    )


def test_a_sample_is_the_same_on_every_call_and_has_as_many_as_asked_for(tmp_path: Path) -> None:
    rows = [{"id": f"d{i}", "text": "x"} for i in range(50)]
    made = dp.recipe(
        "many",
        {"web": dp.Source(documents=write(tmp_path / "documents", *rows))},
        [dp.Mix(drop={"short": "length < 5"})],
        work_dir=tmp_path / "run",
    )
    dp.run(made)
    first = dp.sample_rule(tmp_path / "run", "short", 7)
    assert len(first) == 7
    assert first == dp.sample_rule(tmp_path / "run", "short", 7)
    assert [s.line for s in first] == sorted(s.line for s in first)
    more = dp.sample_rule(tmp_path / "run", "short", 20)
    assert {s.id for s in first} < {s.id for s in more}


def test_a_near_duplicate_stands_beside_the_document_that_stays(tmp_path: Path) -> None:
    words = [f"w{n}" for n in range(60)]
    changed = [*words[:30], "other", *words[31:]]
    rows = [{"id": "a", "text": " ".join([*words, "end"])}, {"id": "b", "text": " ".join(changed)}]
    made = dp.recipe(
        "near",
        {"web": dp.Source(documents=write(tmp_path / "documents", *rows, {"id": "c", "text": "something else"}))},
        [dp.Dedupe(name="near", minhash=MinHash()), dp.Mix(drop={"near": "near.duplicate"})],
        work_dir=tmp_path / "run",
    )
    dp.run(made)
    (story,) = dp.explain(tmp_path / "run", "b")
    place = f"{tmp_path}/documents/x.jsonl.gz:1"
    assert story.stages[0].pair == Pair(
        kept="a",
        place=place,
        differences=[Difference(here="other", there="w30"), Difference(here="", there="end")],
        words_in_common=round(59 / 60, 4),
    )
    assert f"  98.3% of its words stand in {place} in the same order\n    - other\n    + w30\n" in render(story)
    assert [s.id for s in dp.sample_rule(tmp_path / "run", "near")] == ["b"]
    (stays,) = dp.explain(tmp_path / "run", "a")
    assert (stays.stages[0].pair, stays.stages[0].attributes["near__cluster_size"]) == (None, 2)
