"""`dolma stat`: distributions of attributes, as Dolma has them; and what rules would remove, which it cannot say."""

from __future__ import annotations

import argparse
import sys
from contextlib import ExitStack
from typing import Annotated

from msgspec import Meta, field, structs

from dolma_pipeline.cli import arguments as cli
from dolma_pipeline.cli.command import NO_EFFECT, Config, WorkDir, notes, own_keys
from dolma_pipeline.cli.sources import ledger, name_of, parent_of, sources, spread
from dolma_pipeline.config.recipe import Mix, PositiveInt, Recipe, Source, Stage, Stat, Sweep, config_of
from dolma_pipeline.errors import ConfigError, unknown
from dolma_pipeline.formats.columns import Columns
from dolma_pipeline.io.cache import scratch_directory
from dolma_pipeline.secrets import hide

Count = Annotated[int, Meta(ge=0)]


class StatConfig(Config, frozen=True):
    """Dolma's configuration of `stat`, and below `work_dir` what goes past it."""

    attributes: Annotated[
        list[str],
        Meta(description="globs of attribute files; with `documents`, names of attribute files beside them"),
    ] = field(default_factory=list)
    report: Annotated[
        str | None, Meta(description="the directory of the report; without it, the report is only printed")
    ] = None
    bins: Annotated[PositiveInt, Meta(description="the largest number of bins in a histogram")] = 1000
    processes: Annotated[PositiveInt, Meta(description="how many workers run at once")] = 1
    seed: Annotated[int, Meta(description="the seed of the choice among equally near examples")] = 0
    total: Annotated[bool, Meta(description="print sums and counts too")] = False
    regex: Annotated[
        str | None,
        Meta(
            description="describe only attributes whose key contains a match of this regular expression; with "
            "`expression` "
            "or `drop`, none are described without it"
        ),
    ] = None
    debug: Annotated[bool, Meta(description="use one process, in which a debugger can stop")] = False
    work_dir: WorkDir = WorkDir()
    documents: Annotated[list[str], Meta(description="globs of document files to try rules on")] = field(
        default_factory=list
    )
    columns: Annotated[
        Columns | None,
        Meta(description="the names of the fields that hold `id`, `text` and so on, if documents call them otherwise"),
    ] = None
    expression: Annotated[
        list[str],
        Meta(
            description="expressions as in `drop`, with `{t}` in place of the threshold; each is tried at every "
            "value of `sweep`"
        ),
    ] = field(default_factory=list)
    sweep: Annotated[list[float], Meta(description="the thresholds to try")] = field(default_factory=list)
    drop: Annotated[
        dict[str, str], Meta(description="rules by name; the result says what each removes alone, first and uniquely")
    ] = field(default_factory=dict)
    recipe: Annotated[
        str | None, Meta(description="a recipe whose documents, attributes and `drop` rules are used instead")
    ] = None
    mix: Annotated[str | None, Meta(description="the name of the mix in `recipe`, if it has several")] = None
    examples: Annotated[Count, Meta(description="how many documents are shown on either side of a threshold")] = 3


ACCOUNT = "stat"
"""Directory below a recipe's work directory: a run of it has its own account there."""


def add_options(parser: argparse.ArgumentParser) -> None:
    cli.add_options(parser, StatConfig, NO_EFFECT)


def run(arguments: argparse.Namespace) -> int:
    given = cli.load(arguments, StatConfig)
    config = given.config
    with own_keys(given, keys_of(config)), ExitStack() as stack:
        scratch = None
        if config.report is None and config.recipe is None and config.work_dir.output is None:
            scratch = str(stack.enter_context(scratch_directory("dolma-stat-")))
        recipe = to_recipe(config, scratch)
        for line in notes(config, NO_EFFECT):
            print(hide(f"dolma: note: {line}"), file=sys.stderr)
        from dolma_pipeline.engine.run import RunOptions, run_recipe
        from dolma_pipeline.io.url import local
        from dolma_pipeline.stat.table import print_stat

        processes = 1 if config.debug else config.processes
        run_recipe(recipe, RunOptions(processes=processes, account=ACCOUNT if config.recipe is not None else "."))
        directory = local(stat_of(recipe).destination or f"{recipe.work_dir}/stat")
        print_stat(directory, show_total=config.total)
        if scratch is None:
            print(f"\n{hide(recipe.name)}: done; its report is {directory / 'report.html'}")
    return 0


def keys_of(config: StatConfig) -> dict[str, str]:
    """What parts of the recipe were made of; a recipe that the user wrote has its own."""
    if config.recipe is not None:
        return {}
    return {
        "sources.**": "documents" if config.documents else "attributes",
        "sources.*.attributes": "attributes",
        "sources.*.columns": "columns",
        "stages[0].stat": "",
        "stages[0].stat.sweeps.*.expression": "expression",
        "stages[0].stat.sweeps.*.at": "sweep",
        "stages[0].stat.destination": "report",
    }


def to_recipe(config: StatConfig, scratch: str | None = None) -> Recipe:
    """A recipe whose last stage is `stat`; `scratch`: where to work if nothing is to be kept."""
    if config.recipe is not None:
        return _of_recipe(config, config.recipe)
    if config.mix is not None:
        raise ConfigError("$.mix: expected `recipe` beside it, found none; it names a mix of that recipe")
    stage = _stage(config, config.drop)
    if not config.documents:
        if not config.attributes:
            raise ConfigError(
                "$.attributes: expected globs of attribute files, found none; give them in the file or as "
                "`--attributes`, or `--documents` and the names of experiments, or a `--recipe`"
            )
        if config.expression or config.drop:
            raise ConfigError(
                "$.documents: expected globs of document files to try rules on, found none; give them as "
                "`--documents`, and as `--attributes` the names of experiments beside them"
            )
        stage = structs.replace(stage, inputs="attributes")
        found = {
            "attributes": Source(documents=list(dict.fromkeys(config.attributes)), document_dir="attributes"),
        }
    else:
        for i, name in enumerate(config.attributes):
            if any(c in name for c in "/*?["):
                raise ConfigError(
                    f"$.attributes[{i}]: expected the name of an experiment beside the documents, such as `base`, "
                    f"found `{name}`; globs of attribute files go without `documents`"
                )
        found = sources(
            spread(config.documents),
            columns=config.columns,
            attributes=config.attributes,
            beside=bool(config.attributes),
        )
    patterns = [*config.documents, *config.attributes]
    work_dir = (
        scratch
        if scratch is not None
        else ledger(
            config.work_dir, parent_of(config.report or "report"), "stat", name_of(config.report or ""), patterns
        )
    )
    return Recipe(
        name="stat",
        work_dir=work_dir,
        layout="beside",
        seed=config.seed,
        sources=found,
        stages=[Stage(stat=stage)],
    )


def stat_of(recipe: Recipe) -> Stat:
    """Its last stage."""
    stage = config_of(recipe.stages[-1])
    if not isinstance(stage, Stat):
        raise ConfigError("$.stages: expected a stat stage at the end")
    return stage


def _stage(config: StatConfig, drop: dict[str, str]) -> Stat:
    if bool(config.expression) != bool(config.sweep):
        missing, other = ("sweep", "expression") if config.expression else ("expression", "sweep")
        raise ConfigError(
            f"$.{missing}: expected it beside `{other}`, as in `--expression 'x.y < {{t}}' --sweep 1 2 5`"
        )
    return Stat(
        # Who asks about rules is not shown some hundred distributions before the answer.
        histograms=config.regex is not None or not (config.expression or drop),
        bins=config.bins,
        regex=config.regex,
        sweeps=[Sweep(expression=e, at=config.sweep) for e in config.expression],
        drop=drop,
        examples=config.examples,
        destination=config.report,
    )


def _of_recipe(config: StatConfig, name: str) -> Recipe:
    """The recipe up to one of its mixes, with a stat of that mix's rules in its place.

    The stages before it keep their places and so their ledger entries: what was run already is not run again.
    """
    from dolma_pipeline.config.load import make_recipe
    from dolma_pipeline.config.shipped import find_recipe

    for key in ("documents", "attributes", "drop"):
        if getattr(config, key):
            raise ConfigError(f"$.{key}: expected it without `recipe`, found both: the recipe says it")
    recipe = make_recipe(find_recipe(name))
    mixes: dict[str, tuple[int, Mix]] = {}
    for i, stage in enumerate(recipe.stages):
        found = config_of(stage)
        if isinstance(found, Mix):
            mixes[found.name] = (i, found)
    if not mixes:
        raise ConfigError(f"$.recipe: expected a recipe with a mix, found none in `{name}`")
    if config.mix is not None and config.mix not in mixes:
        raise ConfigError(f"$.mix: {unknown('mix', config.mix, mixes)}")
    if config.mix is None and len(mixes) > 1:
        listed = ", ".join(f"`{m}`" for m in mixes)
        raise ConfigError(f"$.mix: expected the name of one of the mixes of `{name}`, found none (mixes: {listed})")
    position, mix = mixes[config.mix if config.mix is not None else next(iter(mixes))]
    if not mix.drop and not config.expression:
        raise ConfigError(f"$.recipe: expected `drop` rules in the mix `{mix.name}` of `{name}`, found none")
    stat = structs.replace(_stage(config, mix.drop), histograms=False)
    return structs.replace(recipe, stages=[*recipe.stages[:position], Stage(stat=stat)])
