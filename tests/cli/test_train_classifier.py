"""`dolma train-classifier`: options to a recipe, and a run to figures on the terminal."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from dolma_pipeline.classifier.manifest import read_manifest
from dolma_pipeline.cli.main import main
from dolma_pipeline.cli.train_classifier import TrainClassifierConfig, to_recipes
from dolma_pipeline.config.load import decode
from dolma_pipeline.config.recipe import Classifier, FastText, Labelled, Quantize, Recipe, Source, Stage
from dolma_pipeline.config.validation import validate
from dolma_pipeline.errors import ConfigError
from tests import needs
from tests.classifier.test_train import FRUIT, TOOLS, write


def recipe(config: dict[str, Any]) -> Recipe:
    (made,) = to_recipes(decode(TrainClassifierConfig, config, lax=True))
    validate(made)
    return made


def test_positive_and_negative() -> None:
    config = {
        "output": "models/quality.bin",
        "positive": ["/d/wiki/documents/*.gz", "/d/books/documents/*.gz"],
        "negative": ["/d/web/documents/*.gz", "/e/wiki/documents/*.gz"],
        "max_documents": "1000",
        "fasttext": {"dim": 16},
        "seed": 3,
    }
    made = recipe(config)
    assert made.sources == {
        "wiki": Source(documents="/d/wiki/documents/*.gz"),
        "books": Source(documents="/d/books/documents/*.gz"),
        "web": Source(documents="/d/web/documents/*.gz"),
        "wiki-2": Source(documents="/e/wiki/documents/*.gz"),
    }
    stage = Classifier(
        labels={"positive": Labelled(sources=["wiki", "books"]), "negative": Labelled(sources=["web", "wiki-2"])},
        name="quality",
        max_documents=1000,
        fasttext=FastText(dim=16),
        destination="models/quality.bin",
    )
    assert made.stages == [Stage(classifier=stage)]
    assert made.seed == 3
    assert re.fullmatch(r"models/\.dolma/classifier-quality-[0-9a-f]{8}", made.work_dir)


def test_the_file_of_a_model_may_be_called_anything() -> None:
    made = recipe({"output": "my models/q ü (2).bin", "positive": ["/d/a/*"], "negative": ["/d/b/*"]})
    assert isinstance(made.stages[0].classifier, Classifier)
    assert (made.stages[0].classifier.name, made.stages[0].classifier.destination) == (
        "q_ü_2_",
        "my models/q ü (2).bin",
    )


def test_labels_by_rule_read_the_documents_once() -> None:
    config = {
        "output": "q.ftz",
        "documents": ["/d/web/documents/*.gz"],
        "attributes": ["base"],
        "labels": {"long": {"where": "a.n > 5"}, "short": {"where": "a.n < 2"}},
    }
    made = recipe(config)
    assert made.sources == {"web": Source(documents="/d/web/documents/*.gz", attributes=["base"])}
    assert isinstance(made.stages[0].classifier, Classifier)
    assert made.stages[0].classifier.labels == {
        "long": Labelled(sources=["web"], where="a.n > 5"),
        "short": Labelled(sources=["web"], where="a.n < 2"),
    }
    assert made.stages[0].classifier.quantize == Quantize()


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({}, "$.output: expected the file of the model, found none; give it in the file or as `--output`"),
        ({"output": "q"}, "$.output: expected a file `*.bin`, or `*.ftz` for a quantised model, found `q`"),
        ({"output": "q.bin", "positive": ["a/*"]},
            "$.negative: expected globs of documents with this label, found none; give it in the file or as "
            "`--negative`"),
        ({"output": "q.bin", "labels": {"a": {"documents": ["a/*"]}}},
            "$.labels: expected two labels or more, found 1"),
        ({"output": "q.bin", "labels": {"a": {}, "b": {}}, "positive": ["a/*"]},
            "$.labels: expected `labels`, or `positive` and `negative`, found both"),
        ({"output": "q.bin", "labels": {"a": {}, "b": {}}},
            "$.labels.a.documents: expected globs of documents, found none here or for all"),
        ({"output": "q.bin", "documents": ["d/*"], "labels": {"a": {}, "b": {}}},
            "$.labels.a.where: expected a rule that tells its documents from those of other labels, found none"),
        ({"output": "q.bin", "labels": {"a": {"document": ["a/*"]}}},
            "$.labels.a.document: unknown key; did you mean `documents`? (allowed: `documents`, `attributes`, "
            "`where`)"),
    ],
)  # fmt: skip
def test_mistakes(config: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as error:
        to_recipes(decode(TrainClassifierConfig, config, lax=True))
    assert str(error.value) == message


def test_a_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    needs.module("fasttext")
    write(tmp_path, "fruit", FRUIT, 120)
    write(tmp_path, "tools", TOOLS, 120)
    model = tmp_path / "models" / "q.bin"
    small = ["--fasttext.dim", "8", "--fasttext.bucket", "500", "--fasttext.min_count", "1"]
    fruit, tools = (str(tmp_path / name / "documents" / "*") for name in ("fruit", "tools"))
    labels = f"{{fruit: {{documents: ['{fruit}']}}, tools: {{documents: ['{tools}']}}}}"
    command = ["train-classifier", "--output", str(model), "--labels", labels, *small, "--removal_rates", "0.5"]
    assert main(command) == 0
    shown = capsys.readouterr().out
    m = read_manifest(model)
    assert m.metrics is not None
    assert shown.startswith(f"{model}: ")
    assert f"blake3 {m.blake3}" in shown
    lines = [line.split() for line in shown.splitlines()]
    assert ["50%", f"{m.thresholds[0].threshold:.5f}", f"{m.thresholds[0].removed:.1%}"] in [x[:3] for x in lines]
    figures = m.metrics.labels["fruit"]
    e = m.examples["fruit"]
    row = [
        "fruit",
        e.used,
        e.held_out,
        *(f"{x:.4f}" for x in (figures.precision, figures.recall, figures.f1, figures.auc)),
    ]
    assert [str(cell) for cell in row] in lines


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--positive", "none/*", "--negative", "none/*"], "--positive: $.positive: no file matches `none/*`"),
        (["--labels", "{a: {documents: [none/*]}, b: {documents: [x/*]}}"],
            "--labels: $.labels.a.documents: no file matches `none/*`"),
        (["--labels", "["], "--labels=:1:2: not YAML: while parsing a flow node, expected the node content, but found "
            "'<stream end>'"),
    ],
)  # fmt: skip
def test_options_that_cannot_be_meant(options: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train-classifier", "--output", "q.bin", *options]) == 2
    assert capsys.readouterr().err == f"dolma: error: {message}\n"
