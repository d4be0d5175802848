"""From labelled documents to a model: the same bytes, the reference's scores, a manifest that says all."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from dolma_pipeline import _native
from dolma_pipeline.classifier.line import TextForm
from dolma_pipeline.classifier.manifest import ClassifierManifest, read_manifest
from dolma_pipeline.classifier.metrics import evaluate
from dolma_pipeline.classifier.train import in_order
from dolma_pipeline.config.load import decode
from dolma_pipeline.config.recipe import Recipe
from dolma_pipeline.engine.run import RunOptions, run_recipe
from dolma_pipeline.errors import ConfigError, StageError
from tests import needs

fasttext: Any = needs.module("fasttext")

SMALL = {"dim": 8, "bucket": 2000, "min_count": 1, "epoch": 10, "learning_rate": 0.5}
FRUIT = ["apple", "pear", "plum", "cherry", "melon", "grape", "fig"]
TOOLS = ["hammer", "saw", "drill", "wrench", "plane", "axe", "chisel"]
BOTH = ["the", "of", "and", "a", "to", "in", "is"]


def write(directory: Path, name: str, words: list[str], count: int, shards: int = 2) -> None:
    """Documents of `words` and common ones, and how many of their words are `words` as the attribute own.n."""
    rng = random.Random(name)
    for shard in range(shards):
        documents, beside = [], []
        for i in range(count // shards):
            own = [rng.choice(words) for _ in range(rng.randint(1, 6))]
            text = [*own, *(rng.choice(BOTH) for _ in range(8))]
            rng.shuffle(text)
            row = {"id": f"{name}{shard}-{i}", "text": " \n".join(text)}
            documents.append(json.dumps(row) + "\n")
            span = {"own__own__n": [[0, 1, len(own)]]}
            beside.append(json.dumps({"id": row["id"], "attributes": span}) + "\n")
        for kind, lines in (("documents", documents), ("attributes/own", beside)):
            path = directory / name / kind / f"{shard}.jsonl"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("".join(lines))


def train(directory: Path, work: str = "run", processes: int = 1, **settings: Any) -> ClassifierManifest:
    recipe = decode(
        Recipe,
        {
            "name": "c",
            "work_dir": str(directory / work),
            "seed": 4,
            "sources": {
                name: {"documents": str(directory / name / "documents" / "*"), "attributes": ["own"]}
                for name in ("fruit", "tools")
            },
            "stages": [
                {
                    "classifier": {
                        "labels": {"fruit": {"sources": ["fruit"]}, "tools": {"sources": ["tools"]}},
                        "held_out": 0.25,
                        "fasttext": SMALL,
                        **settings,
                    }
                }
            ],
        },
    )
    run_recipe(recipe, RunOptions(progress="none", processes=processes, keep_scratch=True))
    extension = "ftz" if "quantize" in settings else "bin"
    return read_manifest(directory / work / "classifiers" / f"classifier.{extension}")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("classifier")
    write(directory, "fruit", FRUIT, 300)
    write(directory, "tools", TOOLS, 240)
    return directory


@pytest.fixture(scope="module")
def made(data: Path) -> ClassifierManifest:
    return train(data)


def test_manifest(data: Path, made: ClassifierManifest) -> None:
    assert (made.labels, made.target, made.text) == (["fruit", "tools"], "fruit", TextForm())
    assert made.model == "classifier.bin"
    assert made.blake3 == _native.blake3_file(str(data / "run" / "classifiers" / "classifier.bin"))
    sizes = {name: (e.training + e.held_out, e.used) for name, e in made.examples.items()}
    assert sizes == {"fruit": (300, made.examples["fruit"].training), "tools": (240, made.examples["tools"].training)}
    assert 50 < made.examples["fruit"].held_out < 100
    assert [Path(i.path).parent.parent.name for i in made.inputs] == ["fruit", "fruit", "tools", "tools"]
    assert made.inputs[0].blake3 == _native.blake3_file(made.inputs[0].path)
    assert made.versions["fasttext"].startswith("fasttext")
    assert made.metrics is not None
    assert made.metrics.accuracy > 0.95
    assert [t.rate for t in made.thresholds] == [0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]
    assert all(abs(t.removed - t.rate) < 0.05 for t in made.thresholds)


@pytest.mark.parametrize("quantize", [None, {}, {"cutoff": 300, "retrain": True}])
def test_the_library_gives_the_same_held_out_scores(
    data: Path, made: ClassifierManifest, quantize: dict[str, Any] | None
) -> None:
    work = "run" if quantize is None else f"run-{len(quantize)}"
    manifest = made if quantize is None else train(data, work, quantize=quantize)
    path = str(data / work / "classifiers" / manifest.model)
    reference, native = fasttext.FastText._FastText(path), _native.FastText(path)
    files = sorted((data / work / "scratch" / "01-classifier-read").rglob("*.parquet"))
    held_out = [(label, text) for _, label, out, text in in_order([str(f) for f in files]) if out]
    assert len(held_out) > 100
    labels = [f"__label__{name}" for name in manifest.labels]
    batch = native.scores(pa.array([t for _, t in held_out], pa.large_string()), labels, strip=True)
    scores = np.stack([c.to_numpy() for c in batch.columns], axis=1)
    for row, (_, text) in zip(scores, held_out, strict=True):
        expected = {
            label: s for s, label in reference.f.predict(text.replace("\n", " ").strip() + "\n", 2, 0.0, "strict")
        }
        assert row.tolist() == pytest.approx([expected[label] for label in labels], abs=1e-5)
    assert manifest.metrics == evaluate(manifest.labels, np.asarray([label for label, _ in held_out]), scores)


def test_the_same_bytes_with_two_workers(data: Path, made: ClassifierManifest) -> None:
    again = train(data, "other", processes=2)
    assert again == made


def test_quantised_bytes_are_the_same(data: Path) -> None:
    first, second = (train(data, f"q{i}", quantize={"cutoff": 300, "retrain": True}) for i in (1, 2))
    assert first == second
    assert first.quantize is not None


def test_a_rerun_does_nothing_and_another_rate_trains_no_reading(data: Path, made: ClassifierManifest) -> None:
    model = data / "run" / "classifiers" / "classifier.bin"
    before = model.stat().st_mtime_ns
    assert train(data) == made
    assert model.stat().st_mtime_ns == before
    read = data / "run" / "ledger" / "01-classifier-read" / "segment-00000.jsonl.zst"
    entry = read.stat().st_mtime_ns
    assert train(data, removal_rates=[0.5]).thresholds == [made.thresholds[5]]
    assert read.stat().st_mtime_ns == entry


def test_labels_by_rule(data: Path) -> None:
    labels = {"much": {"where": "own.n > 4"}, "little": {"where": "own.n < 3"}}
    made = train(data, "rule", labels=labels, max_documents=60)
    rules: dict[str, Callable[[float], bool]] = {"much": lambda n: n > 4, "little": lambda n: n < 3}
    for name, keeps in rules.items():
        rows = [json.loads(line) for f in data.glob("*/attributes/own/*") for line in f.read_text().splitlines()]
        count = sum(keeps(row["attributes"]["own__own__n"][0][2]) for row in rows)
        found = made.examples[name]
        assert (found.training + found.held_out, found.used) == (count, 60)
    assert made.where == {"much": "own.n > 4", "little": "own.n < 3"}
    counts = json.loads((data / "rule" / "manifest.json").read_text())["stages"][0]["counts"]
    dropped = sum(c["dropped"]["no label"] for c in counts.values())
    assert dropped == 540 - sum(e.training + e.held_out for e in made.examples.values())


def test_the_split_goes_by_id_and_repeated_texts_are_counted(tmp_path: Path) -> None:
    write(tmp_path, "fruit", FRUIT, 40, shards=1)
    write(tmp_path, "tools", TOOLS, 40, shards=1)
    path = tmp_path / "fruit" / "documents" / "1.jsonl"
    rows = [json.loads(line) for line in (tmp_path / "fruit" / "documents" / "0.jsonl").read_text().splitlines()]
    beside = (tmp_path / "fruit" / "attributes" / "own" / "0.jsonl").read_text()
    path.write_text("".join(json.dumps({**row, "id": f"copy{row['id']}"}) + "\n" for row in rows))
    (tmp_path / "fruit" / "attributes" / "own" / "1.jsonl").write_text(beside.replace('"id": "', '"id": "copy'))
    made = train(tmp_path)
    assert 0 < made.repeated <= made.examples["fruit"].held_out
    warnings = json.loads((tmp_path / "run" / "manifest.json").read_text())["warnings"]
    assert warnings == [
        f"classifier `classifier`: the texts of {made.repeated} of {made.metrics and made.metrics.documents} held-out "
        "documents were also trained on, under other ids; dedupe before, or the figures flatter"
    ]


def test_nothing_to_learn_from(tmp_path: Path) -> None:
    write(tmp_path, "fruit", FRUIT, 20)
    write(tmp_path, "tools", TOOLS, 20)
    with pytest.raises(StageError) as error:
        train(tmp_path, labels={"a": {"where": "own.n > 0"}, "b": {"where": "own.n > 3"}})
    assert str(error.value) == (
        "classifier `classifier`: expected documents of every label to train on, found none of `b`; "
        "check its `sources` and `where`"
    )
    with pytest.raises(StageError, match=r"^fastText could not train on .*lines\.txt: .*; a lower learning_rate helps"):
        train(tmp_path, fasttext={**SMALL, "learning_rate": 1e30})
    assert not list((tmp_path / "run" / "classifiers").glob("*"))


def test_without_the_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, "fruit", FRUIT, 2)
    write(tmp_path, "tools", TOOLS, 2)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"^training a classifier needs the fasttext library, found none; `pip inst"):
        train(tmp_path)
