"""Filters that outlive a run: what one has marked the next one knows, and no run counts its own keys twice."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from dolma_pipeline.errors import ConfigError, DataError, StageError
from dolma_pipeline.recipe import Bloom, Dedupe, DocumentKey, Recipe, Source, Stage
from dolma_pipeline.run import RunOptions, run_recipe


def marked(directory: Path, name: str, texts: str, file: Path, **bloom: Any) -> str:
    """Runs a dedupe of documents with these letters as texts, and returns those that it marked."""
    path = directory / name / "documents" / "a.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{json.dumps({'id': str(i), 'text': text})}\n" for i, text in enumerate(texts)))
    stage = Dedupe(
        name="dup", documents=DocumentKey(), bloom=Bloom(file=str(file), **bloom), partitions=2, format="jsonl"
    )
    recipe = Recipe(
        name=name,
        work_dir=str(directory / name / "w"),
        sources={"s": Source(documents=str(path))},
        stages=[Stage(dedupe=stage)],
    )
    run_recipe(recipe, RunOptions(progress="none"))
    rows = (directory / name / "w" / "attributes" / "dup" / "s" / "a.jsonl").read_text().splitlines()
    return "".join(t for t, row in zip(texts, rows, strict=True) if any(json.loads(row)["attributes"].values()))


def test_a_filter_that_is_kept(tmp_path: Path) -> None:
    file = tmp_path / "f" / "filter.bin"
    assert marked(tmp_path, "one", "abca", file) == "a"
    assert marked(tmp_path, "two", "bdd", file) == "bd"
    before = file.read_bytes()
    assert marked(tmp_path, "three", "abcde", file, read_only=True) == "abcd"
    assert file.read_bytes() == before


def test_a_run_repeated_does_not_meet_its_own_keys(tmp_path: Path) -> None:
    file = tmp_path / "filter.bin"
    marked(tmp_path, "one", "ab", file)
    first = file.read_bytes()
    assert marked(tmp_path, "two", "bcc", file) == "bc"
    assert marked(tmp_path, "two", "bccd", file) == "bc"
    marked(tmp_path, "other", "z", file)
    with pytest.raises(StageError, match=r"filter.bin was changed by another run since this one wrote it; remove "):
        marked(tmp_path, "two", "bccde", file)
    file.write_bytes(first)
    assert marked(tmp_path, "two", "bccdef", file) == "bc"


def test_a_run_repeated_with_another_filter_adds_to_that(tmp_path: Path) -> None:
    one, two = tmp_path / "one.bin", tmp_path / "two.bin"
    marked(tmp_path, "of-two", "xy", two)
    assert marked(tmp_path, "run", "axb", one) == ""
    kept = one.read_bytes()
    assert marked(tmp_path, "run", "axb", two) == "x"
    assert marked(tmp_path, "run", "axbb", two) == "xb"
    assert marked(tmp_path, "read", "abxyz", two, read_only=True) == "abxy"
    assert one.read_bytes() == kept


def test_what_is_no_filter(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as error:
        marked(tmp_path, "run", "a", tmp_path)
    assert str(error.value) == (
        f"$.stages[0].dedupe.bloom.file: expected the file of a filter, found the directory `{tmp_path}`"
    )
    (tmp_path / "text").write_text("text of another kind")
    with pytest.raises(DataError, match=r"text: expected a filter file, found "):
        marked(tmp_path, "run", "a", tmp_path / "text")
    assert (tmp_path / "text").read_text() == "text of another kind"
    with pytest.raises(StageError, match=r"expected a filter to compare with at .*none.bin"):
        marked(tmp_path, "run", "a", tmp_path / "none.bin", read_only=True)
