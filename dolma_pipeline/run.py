"""Runs a recipe: phase by phase, what is up to date skipped, the rest handed to an executor, the account at the end."""

from __future__ import annotations

import time
from collections import defaultdict
from pathlib import Path
from typing import Literal

from msgspec import UNSET, Struct

from dolma_pipeline.errors import BadInputError
from dolma_pipeline.executors import Done, Executor, LocalExecutor, make_executor
from dolma_pipeline.ledger import Job, Work, up_to_date
from dolma_pipeline.manifest import NAME, TIMINGS, PhaseTiming, RunManifest, StageAccount, Timings, make_manifest
from dolma_pipeline.plan import Phase, Plan, State, make_plan
from dolma_pipeline.progress import Progress, make_progress
from dolma_pipeline.recipe import Recipe
from dolma_pipeline.storage import lock, read_json, remove_leftovers, remove_temporaries, write_json


class RunOptions(Struct, frozen=True, kw_only=True):
    """How to run, which is no part of what is made."""

    processes: int = 1
    address: str | None = None
    """Of a Ray cluster."""
    force: bool = False
    """Do everything again."""
    account: str = "."
    """Directory of the manifest and the timings, below the work directory: a part of a recipe leaves those of the
    whole alone."""
    progress: Literal["auto", "rich", "plain", "json", "none"] = "auto"


def run_recipe(recipe: Recipe, options: RunOptions = RunOptions()) -> RunManifest:  # noqa: B008
    """Runs `recipe` to its end and returns its manifest, which is also written to the work directory.

    Raises BadInputError, after everything is done, when the bad share of the input is over `max_bad_fraction`.
    """
    plan = make_plan(recipe)
    work_dir = plan.work_dir
    account = work_dir / options.account
    started = time.perf_counter()
    with lock(work_dir), make_progress(options.progress) as progress:
        remove_temporaries(work_dir)
        (account / NAME).unlink(missing_ok=True)
        runner = Runner(plan, options, progress)
        try:
            for phase in plan.phases:
                runner.run(phase)
        finally:
            runner.close()
        # What lies outside the work directory, where drop-in commands write, is known once it is written.
        remove_leftovers(runner.state.known)
        manifest = make_manifest(plan, runner.state)
        write_json(account / NAME, manifest)
        _write_timings(account / TIMINGS, runner.timings, time.perf_counter() - started, options.processes)
    _check_bad(recipe, plan, manifest)
    return manifest


class Runner:
    """The state of a run on its way through the phases."""

    def __init__(self, plan: Plan, options: RunOptions, progress: Progress) -> None:
        self.state = State()
        self.timings: list[PhaseTiming] = []
        self._plan = plan
        self._options = options
        self._progress = progress
        self._executor: Executor | None = None
        self._said: set[str] = set()
        """Warnings shown: what holds for a whole stage comes with the report of each of its shards."""

    def run(self, phase: Phase) -> None:
        """Does what is not up to date, and enters the reports of all tasks."""
        timing = PhaseTiming(phase=phase.id, stage=self._stage(phase))
        works = self._plan.works(phase, self.state)
        pending: list[Work] = []
        for work in works:
            report = None if self._options.force else up_to_date(Path(work.entry), work.fingerprint)
            if report is None:
                pending.append(work)
            else:
                self.state.enter(work.task, report)
        timing.tasks, timing.skipped = len(works), len(works) - len(pending)
        self._progress.begin(phase, len(works), timing.skipped)
        started = time.perf_counter()
        if pending:
            for done in self.executor(driver=pending[0].task.driver).run(group(pending)):
                self._enter(done, timing)
        timing.seconds = time.perf_counter() - started
        self._progress.end(timing)
        self.timings.append(timing)

    def executor(self, *, driver: bool) -> Executor:
        """Made on first need: a run that is up to date starts nothing. Workers make room for what the driver does."""
        if driver:
            self.close()
            return LocalExecutor(self._progress.note)
        if self._executor is None:
            self._executor = make_executor(self._options.processes, self._options.address, self._progress.note)
        return self._executor

    def close(self) -> None:
        if self._executor is not None:
            self._executor.close()
            self._executor = None

    def _enter(self, done: Done, timing: PhaseTiming) -> None:
        for work, report in zip(done.job.works, done.reports, strict=True):
            self.state.enter(work.task, report)
        read = done.reports[0].counts.values()
        timing.bytes += sum(c.bytes_in for c in read)
        timing.documents += sum(c.documents_in for c in read)
        timing.cpu_seconds += done.cpu_seconds
        timing.peak_rss = max(timing.peak_rss, done.peak_rss)
        warnings = [w for w in dict.fromkeys(w for r in done.reports for w in r.warnings) if w not in self._said]
        self._said.update(warnings)
        self._progress.done(done.job, timing, warnings)

    def _stage(self, phase: Phase) -> str:
        for stage in self._plan.stages:
            if phase.id.rstrip("+") in stage.phases:
                return stage.id
        return phase.id


def group(works: list[Work]) -> list[Job]:
    """One job per group, or per task without one, in the order of their first tasks."""
    groups: defaultdict[str, list[Work]] = defaultdict(list)
    for number, work in enumerate(works):
        groups[f"group:{work.task.group}" if work.task.group else f"task:{number}"].append(work)
    return [Job(works=tuple(g)) for g in groups.values()]


def _write_timings(path: Path, phases: list[PhaseTiming], wall: float, processes: int) -> None:
    """A phase that was up to date keeps the figures of the run that did it."""
    old = {p.phase: p for p in read_json(path, Timings).phases} if path.is_file() else {}
    kept = [old[p.phase] if p.tasks == p.skipped and p.phase in old else p for p in phases]
    write_json(path, Timings(wall_seconds=wall, processes=processes, phases=kept))


def _check_bad(recipe: Recipe, plan: Plan, manifest: RunManifest) -> None:
    # The first one reads the sources; a later one sets aside what its taggers fail on.
    stages = [s for s in manifest.stages if s.kind != "collect"]
    if not stages:
        return
    first = max([stages[0], *(s for s in stages if s.kind == "tag")], key=_bad)
    documents = sum(c.documents_in for c in first.counts.values())
    bad = sum(c.quarantined for c in first.counts.values())
    if documents and bad / documents > recipe.max_bad_fraction:
        aside = any(s.tag is not UNSET and s.tag.on_error == "quarantine" for s in recipe.stages)
        what = "read or tagged" if aside else "read"
        raise BadInputError(
            f"{bad:,} of {documents:,} documents ({bad / documents:.2%}) could not be {what}, over the "
            f"max_bad_fraction of {recipe.max_bad_fraction:g}; they are in {plan.work_dir / 'quarantine'}. "
            f"Everything else is done"
        )
    damaged = [w for w in manifest.warnings if "truncated or corrupt" in w or "the file cannot be read" in w]
    if damaged and len(damaged) > recipe.max_bad_fraction * max(1, len(_shards(plan))):
        raise BadInputError(
            f"{len(damaged)} input files are damaged, over the max_bad_fraction of {recipe.max_bad_fraction:g}; "
            f"what could be read of them was used. The first: {damaged[0]}"
        )


def _bad(stage: StageAccount) -> int:
    return sum(c.quarantined for c in stage.counts.values())


def _shards(plan: Plan) -> list[str]:
    return sorted({t.name for p in plan.phases[:1] for t in p.build(State())})
