"""`dolma train-classifier`: a fastText classifier from documents, labelled by where they are or what they measure.

A recipe with one `classifier` stage: read in parallel, resumed where it stopped, its account in a manifest.
"""

from __future__ import annotations

import argparse
from pathlib import PurePosixPath
from typing import Annotated

from msgspec import Meta, field

from dolma_pipeline.cli import arguments as cli
from dolma_pipeline.cli.command import NO_EFFECT, Config, WorkDir, require, run_command
from dolma_pipeline.cli.sources import ledger, name_of, sources, spread, unused
from dolma_pipeline.config.recipe import Classifier, FastText, Labelled, PositiveInt, Quantize, Recipe, Source, Stage
from dolma_pipeline.errors import ConfigError
from dolma_pipeline.formats.columns import Columns
from dolma_pipeline.io.files import find_files
from dolma_pipeline.io.url import local

Share = Annotated[float, Meta(ge=0.0, le=1.0)]
Globs = list[str]


class LabelConfig(Config, frozen=True):
    """Which documents have a label."""

    documents: Annotated[Globs, Meta(description="globs of document files, instead of those of the command")] = field(
        default_factory=list
    )
    attributes: Annotated[list[str], Meta(description="names of the attribute files beside the documents")] = field(
        default_factory=list
    )
    where: Annotated[str | None, Meta(description="an expression as in `drop` that must be true of the documents")] = (
        None
    )


class TrainClassifierConfig(Config, frozen=True):
    """What to learn from, and what to make of it."""

    output: Annotated[str | None, Meta(description="the file of the model: .bin, or .ftz for a quantised one")] = None
    positive: Annotated[Globs, Meta(description="globs of document files with the label `positive`")] = field(
        default_factory=list
    )
    negative: Annotated[Globs, Meta(description="globs of document files with the label `negative`")] = field(
        default_factory=list
    )
    labels: Annotated[
        dict[str, LabelConfig],
        Meta(
            description="`documents`, `attributes` and `where` of each label, instead of the two above; the first "
            "label that fits "
            "counts"
        ),
    ] = field(default_factory=dict)
    documents: Annotated[
        Globs, Meta(description="globs of document files for the labels that name none of their own")
    ] = field(default_factory=list)
    attributes: Annotated[
        list[str], Meta(description="names of the attribute files beside the documents, for `where`")
    ] = field(default_factory=list)
    columns: Annotated[
        Columns | None,
        Meta(description="the names of the fields that hold `id`, `text` and so on, if documents call them otherwise"),
    ] = None
    target: Annotated[
        str | None, Meta(description="the label whose score the thresholds are for; without it, the first")
    ] = None
    held_out: Annotated[
        Share,
        Meta(description="the share of documents that is judged on instead of trained on, by a hash of id and text"),
    ] = 0.1
    max_documents: Annotated[
        PositiveInt | None,
        Meta(description="the largest number of documents of a label, drawn by a hash of id and text"),
    ] = None
    lower: Annotated[bool, Meta(description="lower-case texts, in training and in use")] = False
    strip: Annotated[bool, Meta(description="remove white space at the ends of texts, in training and in use")] = True
    removal_rates: Annotated[
        list[Share], Meta(description="the shares of documents to remove for which thresholds are found")
    ] = field(default_factory=lambda: Classifier(labels={"a": Labelled(), "b": Labelled()}).removal_rates)
    fasttext: FastText = FastText()
    quantize: Quantize | None = None
    seed: Annotated[int, Meta(description="the seed of the training")] = 17
    processes: Annotated[PositiveInt, Meta(description="how many workers read at once; one of them trains")] = 1
    work_dir: WorkDir = WorkDir()
    dryrun: Annotated[bool, Meta(description="print the configuration and stop")] = False


KEYS = {
    "sources.*.attributes": "attributes",
    "sources.*.columns": "columns",
    "stages[0].classifier": "",
    "stages[0].classifier.destination": "output",
}


def add_options(parser: argparse.ArgumentParser) -> None:
    cli.add_options(parser, TrainClassifierConfig, NO_EFFECT)


def run(arguments: argparse.Namespace) -> int:
    return run_command(
        arguments, TrainClassifierConfig, _found, keys=KEYS, processes=lambda c: c.processes, show=print_result
    )


def print_result(config: TrainClassifierConfig, recipe: Recipe) -> None:
    from dolma_pipeline.classifier.table import render

    print(render(local(config.output or "")))


def to_recipes(config: TrainClassifierConfig) -> list[Recipe]:
    """One recipe with one `classifier` stage."""
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
            mine = _add(found, config, label.documents, [*config.attributes, *label.attributes])
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
                whole = _add(found, config, config.documents, list(experiments))
            mine = whole
        which[name] = Labelled(sources=mine, where=label.where)
    quantize = config.quantize
    if quantize is None and output.endswith(".ftz"):
        quantize = Quantize()
    name = name_of(PurePosixPath(output).name.rpartition(".")[0])
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
    return [
        Recipe(
            name=f"classifier {name}",
            work_dir=ledger(config.work_dir, beside, "classifier", name, [output]),
            layout="beside",
            seed=config.seed,
            sources=found,
            stages=[Stage(classifier=stage)],
        )
    ]


def _found(config: TrainClassifierConfig) -> list[Recipe]:
    """As `to_recipes`; a glob that matches nothing is told by the key that has it, of which there are many."""
    recipes = to_recipes(config)
    globs = {"positive": config.positive, "negative": config.negative, "documents": config.documents}
    globs |= {f"labels.{name}.documents": label.documents for name, label in config.labels.items()}
    for key, patterns in globs.items():
        find_files(patterns, f"$.{key}")
    return recipes


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


def _add(
    found: dict[str, Source], config: TrainClassifierConfig, patterns: list[str], attributes: list[str]
) -> list[str]:
    """The sources that `patterns` reach into, entered under names of their own."""
    mine = []
    experiments = list(dict.fromkeys(attributes))
    reached = sources(spread(patterns), columns=config.columns, attributes=experiments, beside=bool(experiments))
    for name, source in reached.items():
        mine.append(unused(name, found))
        found[mine[-1]] = source
    return mine
