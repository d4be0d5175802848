"""The plan: a recipe unrolled into phases of tasks, with what is already done.

A phase's tasks may depend on the reports of earlier phases (how many keys, which parts): they are known once those are.
"""

from __future__ import annotations

import hashlib
import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from msgspec import UNSET, Struct

from dolma_pipeline.ledger import Work, entry_path, fingerprint, up_to_date
from dolma_pipeline.recipe import Recipe
from dolma_pipeline.report.units import counted
from dolma_pipeline.stages.corpus import Corpus, Places, Shard, existing_attributes, source_shards
from dolma_pipeline.storage import local
from dolma_pipeline.task import Report, Task
from dolma_pipeline.validation import STAGES, validate


class State(Struct, kw_only=True):
    """What has been done so far: reports by phase and task name, and the BLAKE3 of every file written."""

    reports: dict[str, dict[str, Report]] = {}
    known: dict[str, str] = {}

    def enter(self, task: Task, report: Report) -> None:
        self.reports.setdefault(task.phase, {})[task.name] = report
        self.known.update({o.path: o.blake3 for o in report.outputs})


class Phase(Struct, kw_only=True):
    """Tasks that need nothing of each other."""

    id: str
    what: str
    """In a few words, for `dolma plan` and for progress."""
    build: Callable[[State], list[Task]]
    after: list[str] = []
    """Phases whose reports `build` needs."""


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


class Builder:
    """Stages add their phases here, in the order of the recipe."""

    def __init__(self, recipe: Recipe) -> None:
        self.recipe = recipe
        self.places = Places(work_dir=local(recipe.work_dir), recipe=recipe)
        self.phases: list[Phase] = []
        self.stages: list[StageInfo] = []
        self.corpus = Corpus(shards=[])
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

    def quarantine(self, shard: Shard) -> str | None:
        return str(self.places.quarantine(shard)) if self.corpus.raw else None


class Plan(Struct, kw_only=True):
    """Phases in order, and the state that the ledger already knows."""

    recipe: Recipe
    work_dir: Path
    phases: list[Phase]
    stages: list[StageInfo]

    def works(self, phase: Phase, state: State) -> list[Work]:
        """The phase's tasks with their fingerprints and ledger entries."""
        return [
            Work(task=t, fingerprint=fingerprint(t, state.known), entry=str(entry_path(self.work_dir, t)))
            for t in phase.build(state)
        ]

    def render(self) -> str:
        """The tree of phases: shards, fingerprint, what is up to date."""
        lines = [f"{self.recipe.name}  (work_dir {self.work_dir}, seed {self.recipe.seed})"]
        state = State()
        blocked: set[str] = set()
        for number, phase in enumerate(self.phases):
            branch = "└─" if number == len(self.phases) - 1 else "├─"
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
            works = self.works(phase, state)
        except FileNotFoundError:
            blocked.add(phase.id)
            return "to do: its inputs are not written yet"
        done = 0
        for work in works:
            report = up_to_date(Path(work.entry), work.fingerprint)
            if report is None:
                blocked.add(work.task.phase)
                blocked.add(phase.id)
            else:
                done += 1
                state.enter(work.task, report)
        joined = "".join(w.fingerprint for w in works)
        digest = hashlib.blake2b(joined.encode(), digest_size=6).hexdigest()
        status = "up to date" if done == len(works) else f"{len(works) - done} to do, {done} up to date"
        return f"{counted(len(works), 'task')}, {status}, fingerprint {digest}"


def make_plan(recipe: Recipe) -> Plan:
    """Unrolls `recipe`; a source that matches no file, or anything else that cannot work, is a ConfigError."""
    validate(recipe)
    builder = Builder(recipe)
    shards: list[Shard] = []
    for name, source in recipe.sources.items():
        if source.collect is not None:
            shards.extend(_stage("collect").shards(builder.places, name, source.collect))
        elif source.tokens is None:
            shards.extend(source_shards(name, source))
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
    return Plan(recipe=recipe, work_dir=builder.places.work_dir, phases=builder.phases, stages=builder.stages)


def _stage(kind: str) -> Any:
    """The module that plans stages of this kind, imported on first need: one must not load the libraries of all."""
    return importlib.import_module(f"dolma_pipeline.stages.{kind}")
