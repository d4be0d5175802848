"""Filters that outlive a run: what one has marked the next one knows, and no run counts its own keys twice."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from dolma_pipeline.config.recipe import Bloom, Dedupe, DocumentKey, Ngrams, Paragraphs, Recipe, Source, Stage
from dolma_pipeline.dedupe.filter_keys import read_filter
from dolma_pipeline.dedupe.reduce import ReducePartition, reduce_partition
from dolma_pipeline.engine.run import RunOptions, run_recipe
from dolma_pipeline.engine.task import Context
from dolma_pipeline.errors import ConfigError, DataError, StageError


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


def run(directory: Path, name: str, texts: list[str], file: Path, **settings: Any) -> list[str]:
    """Runs one dedupe with a filter in `file`, and returns its warnings."""
    path = directory / name / "documents" / "a.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [{"id": str(i), "text": text, "metadata": {"url": text}} for i, text in enumerate(texts)]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    bloom = Bloom(file=str(file), **settings.pop("bloom", {}))
    options: dict[str, Any] = {"name": "dup", "partitions": 2, "format": "jsonl", "bloom": bloom}
    if "paragraphs" not in settings:
        options["documents"] = DocumentKey()
    stage = Dedupe(**options | settings)
    recipe = Recipe(
        name=name,
        work_dir=str(directory / name / "w"),
        sources={"s": Source(documents=str(path))},
        stages=[Stage(dedupe=stage)],
    )
    return run_recipe(recipe, RunOptions(progress="none")).warnings


NGRAMS = Paragraphs(ngrams=Ngrams(length=3))
DEFAULT = Paragraphs()


@pytest.mark.parametrize("read_only", [False, True])
@pytest.mark.parametrize(
    ("made", "used", "different"),
    [
        ({}, {"paragraphs": DEFAULT}, 'items: expected "paragraphs", found "documents"'),
        (
            {"documents": DocumentKey(key="metadata.url")},
            {"paragraphs": DEFAULT},
            'items: expected "paragraphs", found "documents"; field: expected "text", found "metadata.url"',
        ),
        ({}, {"documents": DocumentKey(key="metadata.url")}, 'field: expected "metadata.url", found "text"'),
        (
            {"paragraphs": Paragraphs(separator="\n\n")},
            {"paragraphs": DEFAULT},
            'paragraph separator: expected "\\n", found "\\n\\n"',
        ),
        ({"paragraphs": DEFAULT}, {"paragraphs": NGRAMS}, 'items: expected "ngrams", found "paragraphs"'),
        (
            {"paragraphs": Paragraphs(ngrams=Ngrams(length=5, stride=2))},
            {"paragraphs": NGRAMS},
            "n-gram length: expected 3, found 5; n-gram stride: expected 1, found 2",
        ),
        (
            {"paragraphs": Paragraphs(ngrams=Ngrams(length=3, skip_short_paragraphs=True))},
            {"paragraphs": NGRAMS},
            "skip_short_paragraphs: expected false, found true",
        ),
    ],
)
def test_a_filter_of_other_keys_is_refused(
    tmp_path: Path, made: dict[str, Any], used: dict[str, Any], different: str, read_only: bool
) -> None:
    file = tmp_path / "f.bloom"
    run(tmp_path, "made", ["a b c d e", "b c d e f"], file, **made)
    before = file.read_bytes()
    with pytest.raises(ConfigError) as error:
        run(tmp_path, "used", ["a b c d e"], file, bloom={"read_only": read_only}, **used)
    assert str(error.value) == (
        f"$.stages[0].dedupe.bloom.file: {file}: the filter holds other keys than this stage makes: {different}; "
        "name another file for these keys, or use the settings that the filter was made with"
    )
    assert file.read_bytes() == before
    assert not (tmp_path / "used" / "w" / "attributes").exists()


def test_other_partitions_are_refused_before_any_work(tmp_path: Path) -> None:
    file = tmp_path / "f.bloom"
    run(tmp_path, "made", ["a"], file)
    with pytest.raises(ConfigError) as error:
        run(tmp_path, "used", ["a"], file, partitions=3)
    assert str(error.value) == (
        f"$.stages[0].dedupe.bloom.file: {file}: expected a filter of 3 partitions, found one of 2; "
        "set the number of partitions to 2, or name another file"
    )


def test_two_stages_of_one_recipe_with_one_filter(tmp_path: Path) -> None:
    (tmp_path / "documents").mkdir()
    (tmp_path / "documents" / "a.jsonl").write_text('{"id": "1", "text": "a"}\n')
    file = str(tmp_path / "f.bloom")

    def recipe(second: Dedupe) -> Recipe:
        first = Dedupe(name="one", documents=DocumentKey(), bloom=Bloom(file=file))
        return Recipe(
            name="two",
            work_dir=str(tmp_path / "w"),
            sources={"s": Source(documents=str(tmp_path / "documents" / "*"))},
            stages=[Stage(dedupe=first), Stage(dedupe=second)],
        )

    with pytest.raises(ConfigError) as error:
        run_recipe(recipe(Dedupe(name="two", paragraphs=Paragraphs(), bloom=Bloom(file=file))))
    assert str(error.value) == (
        f"$.stages[1].dedupe.bloom.file: {file}: `$.stages[0]` writes other keys into this filter than this stage "
        f'makes: items: expected "paragraphs", found "documents"; name another file'
    )
    assert not Path(file).exists()
    options = RunOptions(progress="none")
    reading = Dedupe(name="two", documents=DocumentKey(), bloom=Bloom(file=file, read_only=True))
    said = run_recipe(recipe(reading), options).warnings
    assert len(said) == 1
    assert said[0].startswith("dedupe `two`: 1 of 1 documents (100.0%) are marked as seen before, and the filter ")


def test_a_filter_that_was_replaced_after_planning_is_refused(tmp_path: Path) -> None:
    """The check before any work does not see what comes into being later; the one on loading does."""
    file = tmp_path / "f.bloom"
    run(tmp_path, "made", ["a"], file, paragraphs=Paragraphs())
    config = ReducePartition(
        dedupe=Dedupe(name="dup", documents=DocumentKey(), partitions=2, bloom=Bloom(file=str(file), read_only=True)),
        keys="",
        partition=0,
        verdicts=str(tmp_path / "p.verdicts"),
        before=str(tmp_path / "before.filter"),
    )
    with pytest.raises(StageError, match=r"^dedupe `dup`: .*f\.bloom: the filter holds other keys than this stage "):
        reduce_partition(config, Context())


def test_a_filter_that_holds_nearly_all_keys_is_said(tmp_path: Path) -> None:
    file = tmp_path / "f.bloom"
    texts = [f"text {i}" for i in range(20)]
    assert run(tmp_path, "made", texts, file) == []
    said = [
        f"dedupe `dup`: 18 of 20 documents (90.0%) are marked as seen before, and the filter {file} held 20 keys when "
        f"it was loaded: if it was made of these same texts, they are marked as duplicates of themselves; name "
        f"another file, or remove this one, to mark only what repeats"
    ]
    assert run(tmp_path, "read", [*texts[:18], "new", "newer"], file, bloom={"read_only": True}) == said
    assert run(tmp_path, "fewer", [*texts[:17], "1", "2", "3"], file, bloom={"read_only": True}) == []
    assert run(tmp_path, "again", [*texts[:18], "new", "newer"], file)[0] == said[0]


def test_a_filter_made_to_be_read_is_not_called_full(tmp_path: Path) -> None:
    """It holds as many keys as it was sized for. Only one that was loaded and added to grows from run to run."""
    file = tmp_path / "f.bloom"
    assert run(tmp_path, "made", [str(i) for i in range(200)], file, partitions=1) == []
    assert run(tmp_path, "read", ["x", "1"], file, partitions=1, bloom={"read_only": True}) == []
    said = run(tmp_path, "more", ["x", "y"], file, partitions=1)
    assert len(said) == 1
    assert said[0].startswith("dedupe `dup`: the filter holds 202 keys, it was planned for 2")
    assert said[0].endswith(
        " at 1e-06: another run will overfill it; `estimated_keys` is to count the keys of all runs"
    )


def test_settings_that_change_no_key_are_said(tmp_path: Path) -> None:
    file = tmp_path / "f.bloom"
    rates = {"false_positive_rate": 1e-3}
    run(tmp_path, "made", ["a b c", "d"], file, min_words=2, bloom=rates)
    assert run(tmp_path, "stricter", ["a b c", "e f g"], file, min_words=3, bloom=rates | {"read_only": True}) == []
    assert run(tmp_path, "looser", ["a b c", "d", "e"], file, bloom={"read_only": True}) == [
        f"dedupe `dup`: the filter {file} was made with min_words 2 (here 0): it lacks the items that this left out, "
        f"and none of them is marked because of it",
        f"dedupe `dup`: the filter {file} was planned for a false-positive rate of 0.001: the 1e-06 of this run has no "
        "effect on a filter that is loaded",
    ]
    run(tmp_path, "adding", ["x", "y y"], file, min_length=2, bloom=rates)
    keys = read_filter(file).keys
    assert (keys.min_words, keys.min_length, keys.skip_empty) == (2, 2, True)
    assert read_filter(file).held == 2


def test_filters_of_other_programs_and_versions(tmp_path: Path) -> None:
    file = tmp_path / "f.bloom"
    file.write_bytes(bytes.fromhex("17f1f08101000000") + bytes(64))
    with pytest.raises(
        DataError, match=r"f\.bloom: expected a filter file of dolma_pipeline, found one of Dolma \(vers"
    ):
        run(tmp_path, "dolma", ["a"], file)
    file.write_bytes(b"")
    with pytest.raises(DataError, match=r"f\.bloom: expected a filter file, found an empty file$"):
        run(tmp_path, "empty", ["a"], file)
    file.write_bytes(b"DOLMABLM" + (1).to_bytes(8, "little") + bytes(120))
    with pytest.raises(DataError, match=r"expected a filter file of version 2, found version 1; remove it, or name an"):
        run(tmp_path, "older", ["a"], file)
