"""`dolma fertility`: how many tokens one or several tokenizers need for documents, by source and by language.

A recipe with one `fertility` stage: measured in parallel, resumed where it stopped.
"""

from __future__ import annotations

import argparse
from typing import Annotated

from msgspec import Meta, field

from dolma_pipeline.cli import arguments as cli
from dolma_pipeline.cli.command import NO_EFFECT, Config, WorkDir, require, run_command
from dolma_pipeline.cli.sources import ledger, root_of, sources, spread
from dolma_pipeline.config.recipe import Fertility, PositiveInt, Recipe, Stage
from dolma_pipeline.formats.columns import Columns
from dolma_pipeline.io import fs


class FertilityConfig(Config, frozen=True):
    """What to measure on what."""

    documents: Annotated[list[str], Meta(description="globs of document files; each data set is a source")] = field(
        default_factory=list
    )
    tokenizer: Annotated[
        list[str], Meta(description="tokenizer.json files, or directories that hold one, to compare")
    ] = field(default_factory=list)
    by: Annotated[
        str | None,
        Meta(
            description="what groups documents: a field such as `metadata.lang`, or a tagger of languages by its "
            "best score"
        ),
    ] = None
    attributes: Annotated[
        list[str], Meta(description="names of the attribute files beside the documents, for `by`")
    ] = field(default_factory=list)
    baseline: Annotated[str | None, Meta(description="the group of `by` that others are compared with")] = None
    sample: Annotated[
        float,
        Meta(gt=0.0, le=1.0, description="the share of documents that is measured, chosen by a hash of id and text"),
    ] = 1.0
    report: Annotated[str | None, Meta(description="the directory for fertility.json and report.html")] = None
    json: Annotated[bool, Meta(description="print fertility.json instead of the tables")] = False
    columns: Annotated[
        Columns | None,
        Meta(description="the names of the fields that hold `id`, `text` and so on, if documents call them otherwise"),
    ] = None
    text_field: Annotated[str, Meta(description="the field that holds the text")] = "text"
    id_field: Annotated[str | None, Meta(description="the field that holds the id; null makes ids from the texts")] = (
        "id"
    )
    seed: Annotated[int, Meta(description="the seed of the sample")] = 17
    processes: Annotated[PositiveInt, Meta(description="how many workers run at once")] = 1
    work_dir: WorkDir = WorkDir()
    dryrun: Annotated[bool, Meta(description="print the configuration and stop")] = False


KEYS = {
    "sources.**": "documents",
    "sources.*.attributes": "attributes",
    "sources.*.columns": "columns",
    "stages[0].fertility": "",
    "stages[0].fertility.tokenizers": "tokenizer",
    "stages[0].fertility.destination": "report",
}


def add_options(parser: argparse.ArgumentParser) -> None:
    cli.add_options(parser, FertilityConfig, NO_EFFECT)


def run(arguments: argparse.Namespace) -> int:
    return run_command(
        arguments, FertilityConfig, to_recipes, keys=KEYS, processes=lambda c: c.processes, show=print_result
    )


def print_result(config: FertilityConfig, recipe: Recipe) -> None:
    from dolma_pipeline.fertility.merge import RESULT
    from dolma_pipeline.fertility.table import render
    from dolma_pipeline.io.url import local

    result = local(directory_of(config)) / RESULT
    print(fs.read_text(result).rstrip("\n") if config.json else render(result))


def work_dir_of(config: FertilityConfig) -> str:
    return ledger(config.work_dir, root_of(config.documents), "fertility", "report", config.documents)


def directory_of(config: FertilityConfig) -> str:
    """The directory that the report goes to."""
    return config.report if config.report is not None else f"{work_dir_of(config)}/fertility"


def to_recipes(config: FertilityConfig) -> list[Recipe]:
    """One recipe with one `fertility` stage."""
    require(config.documents, "documents", "globs of document files")
    require(config.tokenizer, "tokenizer", "tokenizer.json files, or directories with one")
    stage = Fertility(
        tokenizers=config.tokenizer,
        by=config.by,
        baseline=config.baseline,
        sample=config.sample,
        destination=directory_of(config),
        text_field=config.text_field,
        id_field=config.id_field,
    )
    return [
        Recipe(
            name="fertility",
            work_dir=work_dir_of(config),
            layout="beside",
            seed=config.seed,
            sources=sources(
                spread(config.documents),
                columns=config.columns,
                attributes=config.attributes,
                beside=bool(config.attributes),
            ),
            stages=[Stage(fertility=stage)],
        )
    ]
