"""stat: histograms of attributes, and what rules on them would remove; one task a file, and one that adds them up."""

from __future__ import annotations

import re
from typing import Any

from dolma_pipeline.config.recipe import Stat
from dolma_pipeline.engine.corpus import Shard
from dolma_pipeline.engine.plan import Builder, Phase, StageInfo, State
from dolma_pipeline.engine.task import Task, make_task
from dolma_pipeline.errors import ConfigError
from dolma_pipeline.mixers import expression
from dolma_pipeline.mixers.attribute_files import MixInput
from dolma_pipeline.mixers.names import resolve_rules
from dolma_pipeline.report.units import counted
from dolma_pipeline.stat.merge import PAGE, SUMMARIES, WHATIF, MergeStat
from dolma_pipeline.stat.summaries import SummarizeFile
from dolma_pipeline.stat.whatif import MeasureShard, all_rules, compiled_sweeps

VERSION = 3


def plan(builder: Builder, number: int, config: Stat) -> None:
    builder.flush()
    where = f"$.stages[{number - 1}].stat"
    corpus, places = builder.corpus, builder.places
    final = f"{number:02d}-stat"
    files_phase, shards_phase = f"{final}-files", f"{final}-shards"
    directory = places.directory(config.destination, "stat")
    for file in (SUMMARIES, WHATIF, PAGE):
        builder.claim(directory / file, where=f"{where}.destination", remedy="another destination")
    if config.regex is not None:
        _check_regex(config.regex, f"{where}.regex")
    tries = bool(config.sweeps or config.drop)
    if tries and config.inputs == "attributes":
        raise ConfigError(f"{where}: expected documents to try rules on, found attribute files alone")

    attribute_files: list[tuple[Shard, str, str]] = []
    if config.histograms:
        if config.inputs == "attributes":
            attribute_files = [(s, "", s.path) for s in corpus.shards]
        else:
            attribute_files = [
                (s, experiment, paths[s.id])
                for experiment, paths in corpus.attributes.items()
                for s in corpus.shards
                if s.id in paths
            ]
    if not attribute_files and not tries:
        raise ConfigError(f"{where}: expected attributes to describe or rules to try, found neither")

    def summary_path(shard: Shard, experiment: str) -> str:
        return places.scratch(files_phase, shard, f".{experiment}.msgpack")

    def measure_path(shard: Shard) -> str:
        return places.scratch(shards_phase, shard, ".json")

    def task(phase: str, name: str, run: str, settings: Any, inputs: list[str]) -> Task:
        return make_task(phase, name, f"dolma_pipeline.stat.{run}", settings, inputs, VERSION)

    def build_files(state: State) -> list[Task]:
        return [
            task(
                files_phase,
                f"{experiment}/{s.id}" if experiment else s.id,
                "summaries:summarize_file",
                SummarizeFile(path=path, regex=config.regex, out=summary_path(s, experiment)),
                [path],
            )
            for s, experiment, path in attribute_files
        ]

    summaries = [summary_path(s, experiment) for s, experiment, _ in attribute_files]
    measures = [measure_path(s) for s in corpus.shards] if tries else []
    if attribute_files:
        what = f"count the spans of {counted(len(attribute_files), 'attribute file')}"
        builder.add_phase(Phase(id=files_phase, what=what, build=build_files))
    if tries:
        sweeps = compiled_sweeps(config.sweeps, f"{where}.sweeps")
        drop = expression.compile_all(config.drop, f"{where}.drop")
        names = resolve_rules(all_rules(sweeps, drop), corpus.keys, corpus.attributes)
        experiments = sorted({e for e, _ in names.values()})
        found = {e: corpus.attributes[e] for e in experiments}
        quarantine = {s.id: builder.quarantine(s) for s in corpus.shards}
        seed = builder.recipe.seed

        def build_shards(state: State) -> list[Task]:
            tasks = []
            for s in corpus.shards:
                beside = {e: paths[s.id] for e, paths in found.items() if s.id in paths}
                settings = MeasureShard(
                    input=MixInput(
                        path=s.path,
                        label=s.label,
                        attributes=beside,
                        columns=s.columns,
                        quarantine=quarantine[s.id],
                    ),
                    source=s.source,
                    sweeps=config.sweeps,
                    drop=config.drop,
                    names=names,
                    examples=config.examples,
                    seed=seed,
                    out=measure_path(s),
                )
                tasks.append(task(shards_phase, s.id, "whatif:measure_shard", settings, [s.path, *beside.values()]))
            return tasks

        what = f"try {counted(len(config.sweeps), 'sweep')} and {counted(len(config.drop), 'rule')} on "
        what += counted(len(corpus.shards), "shard")
        builder.add_phase(Phase(id=shards_phase, what=what, build=build_shards))

    def build_final(state: State) -> list[Task]:
        settings = MergeStat(
            title=builder.recipe.name,
            histograms=summaries,
            whatif=measures,
            bins=config.bins,
            examples=config.examples,
            lengths_wanted=config.inputs == "attributes",
            directory=str(directory),
        )
        return [task(final, "merge", "merge:merge_stat", settings, [*summaries, *measures])]

    before = [*([files_phase] if attribute_files else []), *([shards_phase] if tries else [])]
    builder.add_phase(Phase(id=final, what="add the measures up", build=build_final, after=before))
    builder.stages.append(
        StageInfo(id=final, kind="stat", counted=(shards_phase,) if tries else (), phases=(*before, final))
    )


def _check_regex(pattern: str, where: str) -> None:
    try:
        re.compile(pattern)
    except re.error as error:
        raise ConfigError(f"{where}: expected a regular expression, found `{pattern}`: {error}") from None
