"""The plan: a recipe unrolled into phases of tasks, with what is already done.

A phase's tasks may depend on the reports of earlier phases (how many keys, which parts): they are known once those are.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from msgspec import Struct

from dolma_pipeline.config.recipe import Recipe, configs
from dolma_pipeline.config.validation import validate
from dolma_pipeline.engine.builder import Builder, Phase, StageInfo
from dolma_pipeline.engine.corpus import Corpus, Places, Shard, existing_attributes, shared_files, source_shards
from dolma_pipeline.engine.outputs import Claim, check_plan
from dolma_pipeline.engine.read_again import check_own_files, check_scratch
from dolma_pipeline.engine.registry import COLLECT, kinds_of
from dolma_pipeline.engine.roots import Roots
from dolma_pipeline.engine.standing import Standing, look_up
from dolma_pipeline.engine.state import State as State
from dolma_pipeline.io.url import local
from dolma_pipeline.report.units import counted


class StageReads(Struct, frozen=True, kw_only=True):
    """What a stage of the recipe read, and what it put beside the documents."""

    ids: tuple[str, ...]
    """The ids of the stages that the entry of the recipe became."""
    corpus: Corpus
    experiments: tuple[str, ...]
    """The attributes that the stage added, by experiment."""


class Plan(Struct, kw_only=True):
    """What a run would do: its phases in order, and which of their tasks are up to date. `print` shows it."""

    recipe: Recipe
    roots: Roots
    phases: list[Phase]
    stages: list[StageInfo]
    claims: list[Claim] = []
    given: list[Shard] = []
    """The files of the sources, as they were found."""
    reads: list[StageReads] = []
    """What each stage of the recipe read, in order."""
    warnings: list[str] = []
    """What is to be said of the recipe before anything runs."""
    provisional: int | None = None
    """The number of the phase from which on the plan is to be made again, once the sizes of its inputs are known."""

    @property
    def work_dir(self) -> Path:
        return Path(self.roots.work_dir)

    def settled(self, state: State) -> Plan:
        """The plan from what earlier phases have written, which `state` knows."""
        sizes = {o.path: o.bytes for reports in state.kept.values() for o in reports.outputs()}
        return make_plan(self.recipe, self.given, sizes)

    def look_up(self, phase: Phase, state: State, *, force: bool = False) -> Standing:
        """Which tasks of `phase` are to be done; the others' reports, by the ledger, are entered in `state`.

        With `force` all tasks are. Raises FileNotFoundError if an input is not written yet.
        """
        state.known.update({each.path: each.digest(state.known) for each in phase.lists_of(state)})
        return look_up(self.roots, lambda: phase.build(state), state, force=force)

    def __str__(self) -> str:
        return self.render()

    def render(self) -> str:
        """The tree of phases: shards, fingerprint, what is up to date."""
        lines = [f"{self.recipe.name}  (work_dir {self.work_dir}, seed {self.recipe.seed})"]
        state = State()
        blocked: set[str] = set()
        plan, number = self, 0
        while number < len(plan.phases):
            if number == plan.provisional and not blocked:
                plan = plan.settled(state)
            phase = plan.phases[number]
            number += 1
            branch = "└─" if number == len(plan.phases) else "├─"
            if plan.provisional is not None and number > plan.provisional:
                blocked.add(phase.id)
                status = f"tasks known once the sizes of the files before {plan.phases[plan.provisional].id} are"
            else:
                status = self._status(phase, state, blocked)
            if phase.repeats and (phase.id in blocked or status.startswith("0 tasks")):
                continue
            lines.append(f"{branch} {phase.id:<28} {phase.what}")
            lines.append(f"{'   ' if branch == '└─' else '│  '} {'':<28} {status}")
        return "\n".join(lines)

    def _status(self, phase: Phase, state: State, blocked: set[str]) -> str:
        waiting = [p for p in phase.after if p in blocked]
        if waiting:
            blocked.add(phase.id)
            return f"tasks known after {waiting[-1]}"
        try:
            found = self.look_up(phase, state)
        except FileNotFoundError:
            blocked.add(phase.id)
            return "to do: its inputs are not written yet"
        if found.pending:
            blocked.add(phase.id)
            blocked.update(work.task.phase for work in found.pending)
        left = len(found.pending)
        status = f"{left} to do, {found.tasks - left} up to date" if left else "up to date"
        return f"{counted(found.tasks, 'task')}, {status}, fingerprint {found.digest}"


def make_plan(recipe: Recipe, given: list[Shard] | None = None, sizes: Mapping[str, int] | None = None) -> Plan:
    """Unrolls `recipe`; raises ConfigError if a source matches no file, and for anything else that cannot work.

    `given`: the files of the sources, if an earlier plan has found them; `sizes`: bytes of the files written since.
    """
    validate(recipe)
    builder = Builder(recipe, sizes)
    shards = given if given is not None else _find_shards(recipe, builder.places)
    collected = [s for s in shards if s.task is not None]
    if collected:
        _collect().plan(builder, collected)
    there = [s for s in shards if s.task is None]
    builder.corpus = Corpus(shards=shards, attributes=existing_attributes(recipe, there))
    kinds = kinds_of(recipe)
    reads = []
    for number, stage in enumerate(recipe.stages, 1):
        for kind, config in configs(stage).items():
            corpus, before, known = builder.corpus, len(builder.stages), set(builder.corpus.attributes)
            builder.plan_stage(kinds[kind], number, config)
            ids = tuple(s.id for s in builder.stages[before:])
            added = tuple(e for e in corpus.attributes if e not in known)
            reads.append(StageReads(ids=ids, corpus=corpus, experiments=added))
    builder.flush()
    patterns = _patterns(recipe)
    check_plan(builder.claims, [s.path for s in there], patterns)
    check_own_files(builder.places, builder.roots, patterns, shards)
    check_scratch(builder.places, builder.roots, builder.claims)
    return Plan(
        recipe=recipe,
        roots=builder.roots,
        phases=builder.phases,
        stages=builder.stages,
        claims=builder.claims,
        given=shards,
        reads=reads,
        warnings=[*shared_files(there), *dict.fromkeys(builder.warnings)],
        provisional=builder.provisional,
    )


def _patterns(recipe: Recipe) -> list[str]:
    """The globs of all sources of documents, as local paths."""
    given = [s.documents for s in recipe.sources.values() if s.documents is not None]
    return [str(local(p)) for patterns in given for p in ([patterns] if isinstance(patterns, str) else patterns)]


def _find_shards(recipe: Recipe, places: Places) -> list[Shard]:
    """The files of all sources, in the order of the recipe."""
    shards: list[Shard] = []
    for name, source in recipe.sources.items():
        if source.collect is not None:
            shards.extend(_collect().shards(places, name, source.collect))
        elif source.tokens is None:
            shards.extend(source_shards(name, source))
    return shards


def _collect() -> Any:
    """The module that plans what is collected, imported on first need: it must not load the libraries of all."""
    return importlib.import_module(COLLECT)
