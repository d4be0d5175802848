"""stat: histograms of attributes, and what rules on them would remove; one task a file, and one that adds them up."""

from __future__ import annotations

import re

from dolma_pipeline.config.recipe import Stat
from dolma_pipeline.engine.stage import Builder, Call, MapReduce, Shard, State
from dolma_pipeline.errors import ConfigError
from dolma_pipeline.mixers import expression
from dolma_pipeline.report.units import counted
from dolma_pipeline.stages.rule_input import RuleInputs, files_of
from dolma_pipeline.stat.merge import PAGE, SUMMARIES, VALUES, WHATIF, MergeStat, merge_stat
from dolma_pipeline.stat.summaries import SummarizeFile, summarize_file
from dolma_pipeline.stat.whatif import MeasureShard, WhatIfOp, all_rules, compiled_sweeps

VERSION = 5


def plan(builder: Builder, number: int, config: Stat) -> None:
    where = f"$.stages[{number - 1}].stat"
    stage = MapReduce(builder, number, "stat", VERSION)
    directory = builder.places.directory(config.destination, "stat")
    for file in (SUMMARIES, VALUES, WHATIF, PAGE):
        builder.claim(directory / file, where=f"{where}.destination", remedy="another destination")
    if config.regex is not None:
        _check_regex(config.regex, f"{where}.regex")
    tries = bool(config.sweeps or config.drop)
    if tries and config.inputs == "attributes":
        raise ConfigError(f"{where}: expected documents to try rules on, found attribute files alone")
    histograms = _histograms(stage, config)
    if not histograms and not tries:
        raise ConfigError(f"{where}: expected attributes to describe or rules to try, found neither")
    measures = _whatif(builder, stage, config, where) if tries else []

    def merge(state: State) -> Call:
        settings = MergeStat(
            title=builder.recipe.name,
            histograms=histograms,
            whatif=measures,
            bins=config.bins,
            examples=config.examples,
            lengths_wanted=config.inputs == "attributes",
            directory=str(directory),
        )
        return Call(merge_stat, settings, stage.scratch)

    stage.reduce("merge", "add the measures up", merge)
    stage.finish(counted=["shards"] if tries else [])


def _histograms(stage: MapReduce, config: Stat) -> list[str]:
    """Plans a task for each attribute file, and returns what they will write."""
    shards = stage.corpus.shards
    files = {e: {s.id: paths[s.id] for s in shards if s.id in paths} for e, paths in stage.corpus.attributes.items()}
    if config.inputs == "attributes":
        files = {"": {s.id: s.path for s in shards}}
    if not config.histograms:
        return []
    what = f"count the spans of {counted(sum(map(len, files.values())), 'attribute file')}"

    def summarize(path: str, out: str) -> Call:
        return Call(summarize_file, SummarizeFile(path=path, regex=config.regex, out=out), [path])

    written = []
    for experiment, paths in files.items():
        written += stage.map(
            "files",
            what,
            [s for s in shards if s.id in paths],
            lambda shard, out, paths=paths: summarize(paths[shard.id], out),  # type: ignore[misc]
            suffix=f".{experiment}.msgpack",
            under=experiment,
            alone=True,
        )
    return written


def _whatif(builder: Builder, stage: MapReduce, config: Stat, where: str) -> list[str]:
    """Plans a task for each shard that tries the rules on it, and returns what they will write."""
    sweeps = compiled_sweeps(config.sweeps, f"{where}.sweeps")
    drop = expression.compile_all(config.drop, f"{where}.drop")
    inputs = RuleInputs(stage, all_rules(sweeps, drop))
    seed = builder.recipe.seed

    def measure(shard: Shard, out: str) -> Call:
        settings = MeasureShard(
            read=inputs.of(shard),
            sweeps=config.sweeps,
            drop=config.drop,
            names=inputs.names,
            examples=config.examples,
            seed=seed,
            out=out,
        )
        return Call(WhatIfOp, settings, files_of(settings.read))

    shards = stage.corpus.shards
    what = f"try {counted(len(config.sweeps), 'sweep')} and {counted(len(config.drop), 'rule')} on "
    return stage.map("shards", what + counted(len(shards), "shard"), shards, measure, suffix=".json")


def _check_regex(pattern: str, where: str) -> None:
    try:
        re.compile(pattern)
    except re.error as error:
        raise ConfigError(f"{where}: expected a regular expression, found `{pattern}`: {error}") from None
