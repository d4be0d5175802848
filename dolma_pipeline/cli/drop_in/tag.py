"""`dolma tag`: attribute files beside the documents, or in the directories that `destination` lists."""

from __future__ import annotations

import argparse
from typing import Annotated, Literal

from msgspec import Meta, field

from dolma_pipeline.cli import arguments as cli
from dolma_pipeline.cli.command import NO_EFFECT as READ_IN_PLACE
from dolma_pipeline.cli.command import Config, WorkDir, require, run_command
from dolma_pipeline.cli.sources import ledger, parent_of, root_of, sources
from dolma_pipeline.config.recipe import PositiveInt, Recipe, Stage, Tag
from dolma_pipeline.errors import ConfigError
from dolma_pipeline.formats.columns import AS_DOLMA, Columns

SortKey = Literal[
    "calls",
    "cumulative",
    "filename",
    "line",
    "name",
    "nfl",
    "pcalls",
    "stdname",
    "time",
    "tottime",
    "cumtime",
    "ncalls",
]


class Profile(Config, frozen=True):
    enable: bool = False
    output: str | None = None
    steps: int | None = None
    sort_key: SortKey = "tottime"
    lines: int = 100


class TagConfig(Config, frozen=True):
    """Dolma's configuration of `tag`."""

    documents: Annotated[list[str], Meta(description="globs of document files, or directories that hold them")] = field(
        default_factory=list
    )
    destination: Annotated[
        list[str] | None,
        Meta(
            description="directories for the attribute files, one for each glob; without them, they go beside the "
            "documents"
        ),
    ] = None
    tagger_modules: Annotated[
        list[str], Meta(description="modules, .py files or package directories that add taggers")
    ] = field(default_factory=list)
    taggers: Annotated[list[str], Meta(description="names of taggers, run in one pass; `dolma list` has them")] = field(
        default_factory=list
    )
    experiment: Annotated[
        str | None, Meta(description="the directory of the attribute files; without it, each tagger has its own")
    ] = None
    columns: Annotated[
        Columns | None,
        Meta(description="the names of the fields that hold `id`, `text` and so on, if documents call them otherwise"),
    ] = None
    processes: Annotated[PositiveInt, Meta(description="how many workers run at once")] = 1
    ignore_existing: Annotated[
        bool, Meta(description="do everything again, and write over attribute files of others")
    ] = False
    debug: Annotated[bool, Meta(description="use one process, in which a debugger can stop")] = False
    profile: Profile = Profile()
    work_dir: WorkDir = WorkDir()
    dryrun: Annotated[bool, Meta(description="print the configuration and stop")] = False


_TIMINGS = "timings.json in the ledger directory has the time of every phase"
NO_EFFECT = READ_IN_PLACE | {
    "profile.enable": _TIMINGS,
    "profile.output": _TIMINGS,
    "profile.steps": _TIMINGS,
    "profile.sort_key": _TIMINGS,
    "profile.lines": _TIMINGS,
}
KEYS = {
    "sources.**": "documents",
    "sources.*.columns": "columns",
    "sources.*.destination": "destination",
    "stages[0].tag": "",
    "stages[0].tag.experiment": "experiment",
}


def add_options(parser: argparse.ArgumentParser) -> None:
    cli.add_options(parser, TagConfig, NO_EFFECT)


def run(arguments: argparse.Namespace) -> int:
    return run_command(
        arguments,
        TagConfig,
        to_recipes,
        keys=KEYS,
        no_effect=NO_EFFECT,
        processes=lambda c: 1 if c.debug else c.processes,
        force=lambda c: c.ignore_existing,
        # Other taggers are no new version of what the first ones measured.
        existing="same",
    )


def to_recipes(config: TagConfig) -> list[Recipe]:
    """One recipe with one `tag` stage."""
    require(config.documents, "documents", "globs of document files")
    require(config.taggers, "taggers", "names of taggers")
    where = config.destination
    if where is not None and len(where) != len(config.documents):
        raise ConfigError(
            f"$.destination: expected a directory for each of the {len(config.documents)} patterns in `documents`, "
            f"found {len(where)}"
        )
    name = config.experiment or "+".join(config.taggers)[:80]
    place = parent_of(where[0]) if where else root_of(config.documents)
    return [
        Recipe(
            name=f"tag {name}",
            work_dir=ledger(config.work_dir, place, "tag", name, [*config.documents, *(where or ())]),
            layout="beside",
            sources=sources(
                config.documents, columns=config.columns or AS_DOLMA, destinations=where, beside=where is None
            ),
            stages=[
                Stage(
                    tag=Tag(
                        taggers=[*config.taggers],
                        experiment=config.experiment,
                        tagger_modules=config.tagger_modules,
                        format="jsonl.gz",
                    )
                )
            ],
        )
    ]
