"""Near-duplicates end to end: what is marked and why, which document stays, and what the run says of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from dolma_pipeline.config.load import decode
from dolma_pipeline.config.recipe import Recipe
from dolma_pipeline.engine.plan import make_plan
from dolma_pipeline.errors import ConfigError
from tests.dedupe.near_corpus import attributes, details, recipe, run, similarity, text, write

ALONE = {
    "duplicate": None,
    "cluster_id": None,
    "cluster_size": 1,
    "cluster_rank": 0,
    "duplicate_of": None,
    "similarity": None,
    "containment": None,
    "rule": None,
}


def marked(directory: Path, **settings: Any) -> dict[str, str]:
    """Runs the stage, and returns which document each duplicate is one of."""
    run(recipe(directory, directory / "w", **settings))
    rows = attributes(directory / "w")
    return {id: row["duplicate_of"] for id, row in rows.items() if row["duplicate"] is not None}


def documents(directory: Path, source: str, **texts: str) -> None:
    write(directory / source / "documents" / "1.jsonl", [{"id": id, "text": t} for id, t in texts.items()])


def test_attributes(tmp_path: Path) -> None:
    one, two = text(1, 200), text(1, 200, changed=[100])
    documents(tmp_path, "a", first=one, other=text(2), copy=one, nothing=" - ", near=two)
    manifest = run(recipe(tmp_path, tmp_path / "w"))
    rows = attributes(tmp_path / "w")
    assert rows["other"] == rows["nothing"] == ALONE
    assert rows["near"] == {
        "duplicate": None,
        "cluster_id": 4,
        "cluster_size": 3,
        "cluster_rank": 0,
        "duplicate_of": None,
        "similarity": None,
        "containment": None,
        "rule": None,
    }
    shared = {"duplicate": 1.0, "cluster_id": 4, "cluster_size": 3, "duplicate_of": "near", "rule": "jaccard"}
    alike = {"similarity": similarity(one, two), "containment": 195 / 198}
    assert rows["first"] == {**shared, **alike, "cluster_rank": 1}
    assert rows["copy"] == {**shared, **alike, "cluster_rank": 2}
    found = details(manifest)
    assert found["table"]["rows"] == [["a", 5, 2, "40.0%"]]
    expected = {
        "documents": 5,
        "without_text": 1,
        "keys": 4,
        "links": found["links"],
        "components": 1,
        "largest_component": 3,
        "rounds": 0,
        "clusters": 1,
        "largest_cluster": 3,
        "duplicates": 2,
    }
    assert {key: found[key] for key in expected} == expected
    assert manifest.stages[0].counts["a"].edited == {"duplicate": 2}
    assert manifest.warnings == [
        "dedupe `near`: 1 document took no part, without a word or shorter than `min_length`",
        "dedupe `near`: 2 of 5 documents of source `a` (40.0%) are marked as near-duplicates; look at some of them "
        "before a mix drops them",
    ]


def test_a_document_is_compared_with_those_that_stay(tmp_path: Path) -> None:
    """The first and the last of a chain are linked over the one between them, and are no duplicates."""
    changes = {"left": range(0, 30, 3), "middle": (), "right": range(60, 90, 3)}
    texts = {name: text(1, 300, changed=list(changed)) for name, changed in changes.items()}
    texts["left"] += " more words"
    documents(tmp_path, "a", **texts)
    assert similarity(texts["left"], texts["right"]) < 0.7
    assert min(similarity(texts["middle"], texts[name]) for name in ("left", "right")) > 0.8
    minhash = {"bands": 40, "rows": 3, "verify": {"threshold": 0.75}}
    assert marked(tmp_path, minhash=minhash) == {"middle": "left"}


def test_a_source_of_higher_priority_stays(tmp_path: Path) -> None:
    documents(tmp_path, "a", a=text(1) + " and more of it")
    documents(tmp_path, "b", b=text(1))
    assert marked(tmp_path) == {"b": "a"}
    assert marked(tmp_path, priority={"b": 1}) == {"a": "b"}
    assert marked(tmp_path, priority={"b": 1}, minhash={"keep": ["longest"]}) == {"b": "a"}


def test_ties_are_broken_by_the_text_and_then_by_order(tmp_path: Path) -> None:
    one, two = text(1, changed=[9]), text(1, changed=[8])
    assert len(one) == len(two)
    documents(tmp_path, "a", one=one, two=two, three=one)
    documents(tmp_path, "b", four=two)
    first = marked(tmp_path)
    turned = tmp_path / "turned"
    documents(turned, "a", four=two)
    documents(turned, "b", three=one, two=two, one=one)
    stays = "one" if "one" not in first else "two"
    assert set(first.values()) == {stays}
    # Equal texts stand in input order; which text stays does not depend on it.
    assert set(marked(turned).values()) == {"three" if stays == "one" else "four"}


@pytest.mark.parametrize(
    ("keep", "stays"),
    [
        ([{"newest": "metadata.date"}], "new"),
        ([{"newest": "metadata.date"}, "longest"], "new"),
        (["longest", {"newest": "metadata.date"}], "long"),
        ([{"score": "gopher_v2.word_count"}], "good"),
        ([{"score": "0 - gopher_v2.word_count"}], "new"),
    ],
)
def test_keep_rules(tmp_path: Path, keep: list[Any], stays: str) -> None:
    rows = [
        {"id": "old", "text": text(1) + " and more", "metadata": {"date": "2024-05-06"}},
        {"id": "new", "text": text(1), "metadata": {"date": "2025-01-01"}},
        {"id": "long", "text": text(1) + " longerthanallothers", "metadata": {"date": "2023"}},
        {"id": "good", "text": text(1) + " g o o d", "metadata": {}},
    ]
    write(tmp_path / "a" / "documents" / "1.jsonl", rows)
    tag = {"tag": {"taggers": ["gopher_v2"]}}
    found = marked(tmp_path, minhash={"keep": keep}, before=[tag])
    assert found == dict.fromkeys({"old", "new", "long", "good"} - {stays}, stays)


def test_an_attribute_that_there_is_not(tmp_path: Path) -> None:
    documents(tmp_path, "a", a="a")
    tag = {"tag": {"taggers": ["gopher_v2"]}}
    settings = recipe(tmp_path, tmp_path / "w", minhash={"keep": [{"score": "gopher_v2.word_cont"}]}, before=[tag])
    with pytest.raises(ConfigError) as error:
        make_plan(decode(Recipe, settings))
    assert str(error.value).startswith(
        "$.stages[1].dedupe.minhash.keep[0].score: column 1: unknown attribute `gopher_v2.word_cont`; did you mean "
        "`gopher_v2.word_count`? (known: "
    )


def test_a_field_that_documents_lack(tmp_path: Path) -> None:
    rows = [{"id": str(i), "text": text(1, changed=[i]), "metadata": {"date": "2024"}} for i in range(4)]
    rows[2]["metadata"] = {}
    write(tmp_path / "a" / "documents" / "1.jsonl", rows)
    manifest = run(recipe(tmp_path, tmp_path / "w", minhash={"keep": [{"newest": "metadata.date"}]}))
    assert (
        "dedupe `near`: keep[0]: 1 of 4 documents that were compared have no `metadata.date`, and come behind those "
        "that have one"
    ) in manifest.warnings


def test_contained(tmp_path: Path) -> None:
    whole = text(1, 300)
    documents(
        tmp_path,
        "a",
        part=whole[: len(whole) * 9 // 10].rpartition(" ")[0],
        whole=whole,
        near=text(1, 300, changed=[5]),
    )
    minhash = {"bands": 40, "rows": 3, "verify": {"rule": "contained"}, "keep": ["longest"]}
    assert marked(tmp_path, minhash=minhash) == {"part": "whole"}
    row = attributes(tmp_path / "w")["part"]
    assert (row["containment"], row["rule"]) == (1.0, "contained")


def test_characters(tmp_path: Path) -> None:
    one = "".join(chr(0x4E00 + (i * i * 7 + i * 31) % 2000) for i in range(300))
    documents(tmp_path, "a", one=one, two=one[:150] + "山" + one[150:], three=one[::-1])
    assert marked(tmp_path, minhash={"unit": "chars"}) == {"one": "two"}
    assert marked(tmp_path, minhash={"unit": "chars"}, min_length=301) == {}


def test_nothing_to_compare(tmp_path: Path) -> None:
    documents(tmp_path, "a", a=" ", b="...")
    manifest = run(recipe(tmp_path, tmp_path / "w"))
    assert attributes(tmp_path / "w") == {"a": ALONE, "b": ALONE}
    assert manifest.warnings == [
        "dedupe `near`: nothing was compared: none of 2 documents has a text that takes part",
    ]


def test_a_mix_by_these_attributes(tmp_path: Path) -> None:
    documents(
        tmp_path, "a", **{f"x{i}": text(1, changed=[i]) for i in range(5)}, y=text(2), z=text(2, changed=[3]), q=text(4)
    )
    drop = {"template": "near.cluster_size > 3", "copies": "near.duplicate == 1.0", "rule": "near.rule == 'contained'"}
    mix = {"mix": {"drop": drop, "format": "jsonl"}}
    manifest = run(recipe(tmp_path, tmp_path / "w", stages=[mix]))
    assert manifest.stages[1].counts["a"].dropped == {"template": 5, "copies": 1}
    (mixed,) = (tmp_path / "w" / "mixed").rglob("*.jsonl")
    lines = mixed.read_text().splitlines()
    kept = {json.loads(line)["id"] for line in lines}
    assert len(kept) == 2
    assert "q" in kept


def test_json_lines(tmp_path: Path) -> None:
    documents(tmp_path, "a", one=text(1), two=text(1) + " more")
    run(recipe(tmp_path, tmp_path / "w", format="jsonl"))
    lines = (tmp_path / "w" / "attributes" / "near" / "a" / "1.jsonl").read_text().splitlines()
    first, second = (json.loads(line)["attributes"] for line in lines)
    one, two = len(text(1)), len(text(1) + " more")
    assert second == {
        "cluster_id": [[0, two, 1]],
        "cluster_size": [[0, two, 2]],
        "cluster_rank": [[0, two, 0]],
    }
    assert first == {
        "duplicate": [[0, one, 1.0]],
        "cluster_id": [[0, one, 1]],
        "cluster_size": [[0, one, 2]],
        "cluster_rank": [[0, one, 1]],
        "duplicate_of": "two",
        "similarity": [[0, one, similarity(text(1), text(1) + " more")]],
        "containment": [[0, one, 1.0]],
        "rule": "jaccard",
    }


def test_ids_of_other_kinds(tmp_path: Path) -> None:
    write(tmp_path / "a" / "documents" / "1.jsonl", [{"id": 7, "text": text(1)}, {"id": [8], "text": text(1) + " x"}])
    run(recipe(tmp_path, tmp_path / "w", columns={"as_dolma": True}, format="jsonl"))
    lines = (tmp_path / "w" / "attributes" / "near" / "a" / "1.jsonl").read_text().splitlines()
    first, second = (json.loads(line) for line in lines)
    assert (first["id"], second["id"]) == (7, [8])
    assert first["attributes"]["duplicate_of"] == "[8]"


def test_a_plan_shows_the_curve_and_no_round(tmp_path: Path) -> None:
    documents(tmp_path, "a", a="a")
    shown = str(make_plan(decode(Recipe, recipe(tmp_path, tmp_path / "w", minhash={"preset": "fineweb"}))))
    assert (
        "link what shares one of 14 bands of 8 rows, in 8 partitions; found by similarity: 0.5: 5.3 %, 0.6: 21.1 %, "
        "0.7: 56.5 %, 0.75: 77.2 %, 0.8: 92.4 %, 0.85: 98.8 %, 0.9: 100.0 %, 0.95: 100.0 %\n"
    ) in shown
    assert "-large-" not in shown
    assert "-small-" not in shown


def test_behind_a_mix(tmp_path: Path) -> None:
    """Files that the run itself writes are read twice too, and their attributes are looked up when they are there."""
    documents(tmp_path, "a", one=text(1), two=text(1) + " more", short="few words", three=text(3))
    mix = {"mix": {"name": "first", "drop": {"short": "length < 20"}}}
    tag = {"tag": {"taggers": ["gopher_v2"]}}
    settings = recipe(
        tmp_path, tmp_path / "w", minhash={"keep": [{"score": "0 - gopher_v2.word_count"}]}, before=[mix, tag]
    )
    assert "03-near-links" in str(make_plan(decode(Recipe, settings)))
    run(settings)
    rows = attributes(tmp_path / "w")
    assert {id: row["duplicate_of"] for id, row in rows.items()} == {"one": None, "two": "one", "three": None}
