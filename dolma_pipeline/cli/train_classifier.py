"""`dolma train-classifier`: a fastText classifier from documents, labelled by where they are or what they measure.

A recipe with one `classifier` stage: read in parallel, resumed where it stopped, its account in a manifest.
"""

from __future__ import annotations

import argparse
from pathlib import Path, PurePosixPath
from typing import Annotated

import msgspec
from msgspec import Meta, field

from dolma_pipeline.cli import arguments as cli
from dolma_pipeline.cli.drop_in.shared import Config, WorkDir, ledger, require, sources, spread
from dolma_pipeline.errors import BadInputError, ConfigError
from dolma_pipeline.recipe import Classifier, FastText, Labelled, PositiveInt, Quantize, Recipe, Source, Stage

Share = Annotated[float, Meta(ge=0.0, le=1.0)]
Globs = list[str]


class LabelConfig(Config, frozen=True):
    """Which documents have a label."""

    documents: Globs = field(default_factory=list)
    """Without any: those of the whole."""
    attributes: list[str] = field(default_factory=list)
    where: str | None = None


class TrainClassifierConfig(Config, frozen=True):
    """What to learn from, and what to make of it."""

    output: Annotated[str | None, Meta(description="file of the model: .bin, or .ftz for a quantised one")] = None
    positive: Annotated[Globs, Meta(description="globs of documents with the label `positive`")] = field(
        default_factory=list
    )
    negative: Annotated[Globs, Meta(description="globs of documents with the label `negative`")] = field(
        default_factory=list
    )
    labels: Annotated[
        dict[str, LabelConfig],
        Meta(description="instead: `documents`, `attributes`, `where` by label; the first rule that holds counts"),
    ] = field(default_factory=dict)
    documents: Annotated[Globs, Meta(description="of the labels that have no `documents` of their own")] = field(
        default_factory=list
    )
    attributes: Annotated[list[str], Meta(description="experiments beside the documents, for `where`")] = field(
        default_factory=list
    )
    target: Annotated[str | None, Meta(description="label whose score the thresholds are on; default: the first")] = (
        None
    )
    held_out: Annotated[Share, Meta(description="share of documents that are judged on, by hash of id")] = 0.1
    max_documents: Annotated[PositiveInt | None, Meta(description="most of a label, drawn by hash of id")] = None
    lower: Annotated[bool, Meta(description="lower-case texts, in training and in use")] = False
    strip: Annotated[bool, Meta(description="drop white space at the ends, in training and in use")] = True
    removal_rates: Annotated[list[Share], Meta(description="shares to find thresholds for")] = field(
        default_factory=lambda: Classifier(labels={"a": Labelled(), "b": Labelled()}).removal_rates
    )
    fasttext: FastText = FastText()
    quantize: Quantize | None = None
    seed: int = 17
    processes: Annotated[PositiveInt, Meta(description="workers, which read; one of them trains")] = 1
    work_dir: WorkDir = WorkDir()
    dryrun: Annotated[bool, Meta(description="print the configuration and stop")] = False


def add_options(parser: argparse.ArgumentParser) -> None:
    cli.add_options(parser, TrainClassifierConfig, {"work_dir.input": "inputs are read where they are"})


def run(arguments: argparse.Namespace) -> int:
    config = cli.load_config(arguments, TrainClassifierConfig)
    recipe, model = to_recipe(config)
    if config.dryrun:
        import yaml

        print(yaml.safe_dump(msgspec.to_builtins(config), allow_unicode=True, sort_keys=True), end="")
        return 0
    from dolma_pipeline.classifier.table import render
    from dolma_pipeline.run import RunOptions, run_recipe

    late: BadInputError | None = None
    try:
        run_recipe(recipe, RunOptions(processes=config.processes))
    except BadInputError as error:
        # It is raised when all is done.
        late = error
    print(render(Path(model)))
    if late is not None:
        raise late
    return 0


def to_recipe(config: TrainClassifierConfig) -> tuple[Recipe, str]:
    """A recipe with one `classifier` stage, and the file of its model."""
    require(config.output, "output", "the file of the model")
    output = config.output or ""
    if not output.endswith((".bin", ".ftz")):
        raise ConfigError(f"$.output: expected a file `*.bin`, or `*.ftz` for a quantised model, found `{output}`")
    labels = _labels(config)
    found: dict[str, Source] = {}
    which: dict[str, Labelled] = {}
    whole: list[str] | None = None
    for name, label in labels.items():
        if label.documents:
            mine = _add(found, label.documents, [*config.attributes, *label.attributes])
        else:
            if not config.documents:
                raise ConfigError(f"$.labels.{name}.documents: expected globs of documents, found none here or for all")
            if label.where is None:
                raise ConfigError(
                    f"$.labels.{name}.where: expected a rule that tells its documents from those of other labels, "
                    "found none"
                )
            if whole is None:
                experiments = dict.fromkeys([*config.attributes, *(a for x in labels.values() for a in x.attributes)])
                whole = _add(found, config.documents, list(experiments))
            mine = whole
        which[name] = Labelled(sources=mine, where=label.where)
    quantize = config.quantize
    if quantize is None and output.endswith(".ftz"):
        quantize = Quantize()
    name = PurePosixPath(output).name.rpartition(".")[0]
    stage = Classifier(
        labels=which,
        name=name,
        target=config.target,
        held_out=config.held_out,
        max_documents=config.max_documents,
        lower=config.lower,
        strip=config.strip,
        fasttext=config.fasttext,
        quantize=quantize,
        removal_rates=config.removal_rates,
        destination=output,
    )
    beside = str(PurePosixPath(output).parent)
    recipe = Recipe(
        name=f"classifier {name}",
        work_dir=ledger(config.work_dir, beside, "classifier", name, [output]),
        layout="beside",
        seed=config.seed,
        sources=found,
        stages=[Stage(classifier=stage)],
    )
    return recipe, output


def _labels(config: TrainClassifierConfig) -> dict[str, LabelConfig]:
    if config.labels:
        if config.positive or config.negative:
            raise ConfigError("$.labels: expected `labels`, or `positive` and `negative`, found both")
        if len(config.labels) < 2:
            raise ConfigError(f"$.labels: expected two labels or more, found {len(config.labels)}")
        return config.labels
    for name in ("positive", "negative"):
        require(getattr(config, name), name, "globs of documents with this label")
    return {
        "positive": LabelConfig(documents=config.positive),
        "negative": LabelConfig(documents=config.negative),
    }


def _add(found: dict[str, Source], patterns: list[str], attributes: list[str]) -> list[str]:
    """The sources that `patterns` reach into, entered under names of their own."""
    mine = []
    experiments = list(dict.fromkeys(attributes))
    for name, source in sources(spread(patterns), attributes=experiments, beside=bool(experiments)).items():
        number, unused = 2, name
        while unused in found:
            unused, number = f"{name}-{number}", number + 1
        found[unused] = source
        mine.append(unused)
    return mine
