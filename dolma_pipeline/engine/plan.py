"""The plan: a recipe unrolled into phases of tasks, with what is already done.

A phase's tasks may depend on the reports of earlier phases (how many keys, which parts): they are known once those are.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from msgspec import UNSET, Struct, structs

from dolma_pipeline.config.recipe import Recipe, Source
from dolma_pipeline.config.validation import STAGES, validate
from dolma_pipeline.config.yaml_file import json_path
from dolma_pipeline.engine.corpus import Corpus, Places, Shard, existing_attributes, shared_files, source_shards
from dolma_pipeline.engine.file_list import FileList
from dolma_pipeline.engine.outputs import Claim, check_plan
from dolma_pipeline.engine.standing import Standing, look_up
from dolma_pipeline.engine.state import State as State
from dolma_pipeline.engine.task import Task
from dolma_pipeline.io.url import local
from dolma_pipeline.report.units import counted


class Phase(Struct, kw_only=True):
    """Tasks that need nothing of each other."""

    id: str
    what: str
    """In a few words, for `dolma plan` and for progress."""
    build: Callable[[State], list[Task]]
    after: list[str] = []
    """Phases whose reports `build` needs."""
    lists: list[FileList] = []
    """Lists of files that the tasks read."""


class StageInfo(Struct, frozen=True, kw_only=True):
    """A stage of the recipe as the manifest accounts for it."""

    id: str
    kind: str
    counted: tuple[str, ...]
    """The phases whose counts add up to the stage's."""
    phases: tuple[str, ...] = ()
    """All its phases; the last one's details are the stage's."""
    described: tuple[str, ...] = ()
    """Other phases whose details are the stage's too."""
    reading: bool = False
    """Whether the stage only reads what these phases read: it dropped nothing, and wrote nothing of its own."""


class Builder:
    """Stages add their phases here, in the order of the recipe."""

    def __init__(self, recipe: Recipe, sizes: Mapping[str, int] | None = None) -> None:
        self.recipe = recipe
        self.places = Places(work_dir=local(recipe.work_dir).absolute(), recipe=recipe)
        self.phases: list[Phase] = []
        self.stages: list[StageInfo] = []
        self.corpus = Corpus(shards=[])
        self.sizes = sizes or {}
        """Bytes of the files that earlier phases have written, as far as they have."""
        self.provisional: int | None = None
        """The number of the first phase whose tasks depend on the size of a file that is not written yet."""
        self.claims: list[Claim] = []
        """Files that the stages are going to write."""
        self.warnings: list[str] = []
        """What the stages have to say of their settings before anything runs."""
        self.training: str | None = None
        """Directory of the token files to train on, once a `tokens` stage is planned."""
        self.validation: str | None = None
        self.tokenizer: tuple[str, bool] | None = None
        """The file of the tokenizer of the last `tokens` stage, and whether that stage trains it."""
        self._steps: list[Callable[[State], list[Task]]] = []
        self._names: list[str] = []
        self._later: list[Phase] = []

    def add_step(self, phase: str, build: Callable[[State], list[Task]], later: list[Phase] | None = None) -> None:
        """A step that shares the reading of the documents with its neighbours; `later`: phases behind that pass."""
        self._steps.append(build)
        self._names.append(phase)
        self._later.extend(later or [])

    def flush(self) -> None:
        """Ends the pass: what follows needs its results."""
        if not self._steps:
            return
        steps, names = self._steps, self._names
        what = f"read {counted(len(self.corpus.shards), 'shard')} once for {', '.join(names)}"

        def build(state: State) -> list[Task]:
            return [task for step in steps for task in step(state)]

        self.phases.append(Phase(id=names[0] if len(names) == 1 else f"{names[0]}+", what=what, build=build))
        self.phases.extend(self._later)
        self._steps, self._names, self._later = [], [], []

    def add_phase(self, phase: Phase) -> None:
        self.flush()
        self.phases.append(phase)

    def size_of(self, shard: Shard) -> int | None:
        """Bytes of the shard's file; None, and the plan is provisional from here on, where it is not written yet.

        What lies on the disk while planning does not count: it may be what an earlier run has left.
        """
        size = shard.size if shard.size is not None else self.sizes.get(shard.path)
        if size is None and self.provisional is None:
            self.provisional = len(self.phases)
        return size

    def count_with(self, computed: Iterable[str], phase: str) -> None:
        """Accounts for the stages `computed`, which have no phase of their own, by what `phase` read."""
        ids = set(computed)
        self.stages = [structs.replace(s, counted=(phase,)) if s.id in ids else s for s in self.stages]

    def claim(self, place: str | Path, *names: str, where: str, remedy: str, source: str | None = None) -> None:
        """Declares a file that a stage writes, or with `names` (patterns) files below the directory `place`."""
        self.claims.append(Claim(place=str(place), names=names, where=where, remedy=remedy, source=source))

    def claim_attributes(self, shard: Shard, path: str, where: str, remedy: str) -> None:
        """Declares the attribute file of `shard`; `where` and `remedy` are for one that no `destination` has placed."""
        source = self.recipe.sources.get(shard.source, Source())
        if source.attributes_dir is not None:
            remedy = f"{remedy}, or read what is there by `attributes` of the source in place of this stage"
        elif source.destination is not None:
            where, remedy = json_path(("sources", shard.source, "destination")), "another destination"
        self.claim(path, where=where, remedy=remedy, source=shard.path)

    def quarantine(self, shard: Shard) -> str | None:
        return self.places.quarantine(shard) if self.corpus.raw else None


class Plan(Struct, kw_only=True):
    """What a run would do: its phases in order, and which of their tasks are up to date. `print` shows it."""

    recipe: Recipe
    work_dir: Path
    phases: list[Phase]
    stages: list[StageInfo]
    claims: list[Claim] = []
    given: list[Shard] = []
    """The files of the sources, as they were found."""
    warnings: list[str] = []
    """What is to be said of the recipe before anything runs."""
    provisional: int | None = None
    """The number of the phase from which on the plan is to be made again, once the sizes of its inputs are known."""

    def settled(self, state: State) -> Plan:
        """The plan from what earlier phases have written, which `state` knows."""
        sizes = {o.path: o.bytes for reports in state.kept.values() for o in reports.outputs()}
        return make_plan(self.recipe, self.given, sizes)

    def look_up(self, phase: Phase, state: State, *, force: bool = False) -> Standing:
        """Which tasks of `phase` are to be done; the others' reports, by the ledger, are entered in `state`.

        With `force` all tasks are. Raises FileNotFoundError if an input is not written yet.
        """
        state.known.update({each.path: each.digest(state.known) for each in phase.lists})
        return look_up(str(self.work_dir), phase.build(state), state, force=force)

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
        _stage("collect").plan(builder, collected)
    there = [s for s in shards if s.task is None]
    builder.corpus = Corpus(shards=shards, attributes=existing_attributes(recipe, there))
    for number, stage in enumerate(recipe.stages, 1):
        for kind in STAGES:
            config = getattr(stage, kind)
            if config is not UNSET:
                _stage(kind).plan(builder, number, config)
    builder.flush()
    check_plan(builder.claims, [s.path for s in there], _patterns(recipe))
    return Plan(
        recipe=recipe,
        work_dir=builder.places.work_dir,
        phases=builder.phases,
        stages=builder.stages,
        claims=builder.claims,
        given=shards,
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
            shards.extend(_stage("collect").shards(places, name, source.collect))
        elif source.tokens is None:
            shards.extend(source_shards(name, source))
    return shards


def _stage(kind: str) -> Any:
    """The module that plans stages of this kind, imported on first need: one must not load the libraries of all."""
    return importlib.import_module(f"dolma_pipeline.stages.{kind}")
