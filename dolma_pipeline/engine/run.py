"""Runs a recipe: phase by phase, what is up to date skipped, the rest handed to an executor, the account at the end."""

from __future__ import annotations

import contextlib
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from msgspec import Struct

from dolma_pipeline.config.recipe import Recipe
from dolma_pipeline.engine import bad_input, failure, given, idle_rules, scratch
from dolma_pipeline.engine.asked import notes
from dolma_pipeline.engine.builder import Phase
from dolma_pipeline.engine.claimed import check_claims
from dolma_pipeline.engine.manifest import NAME, TIMINGS, PhaseTiming, RunManifest, Timings, make_manifest
from dolma_pipeline.engine.outputs import Existing, check_places, claim_places, read_owner, release_places, remove_stale
from dolma_pipeline.engine.plan import Plan, State, make_plan
from dolma_pipeline.engine.progress import Progress, make_progress
from dolma_pipeline.engine.segments import MOST_ENTRIES, compact
from dolma_pipeline.engine.worker import FusedTasks, ReadyTask
from dolma_pipeline.errors import DolmaError, StageError, VerifyError, of_the_machine, where
from dolma_pipeline.executors import Done, Executor, LocalExecutor, make_executor
from dolma_pipeline.formats.detect import refuse_foreign
from dolma_pipeline.io import fs
from dolma_pipeline.io.atomic import read_json, remove_leftovers, remove_temporaries, sync_directories, write_json
from dolma_pipeline.io.lease import lock
from dolma_pipeline.report.units import counted
from dolma_pipeline.secrets import known


class RunOptions(Struct, frozen=True, kw_only=True):
    """How to run, which is no part of what is made."""

    processes: int = 1
    address: str | None = None
    """Address of a Ray cluster."""
    force: bool = False
    """Do everything again."""
    keep_scratch: bool = False
    """Leave the scratch files of stages that are done."""
    existing: Existing = "own"
    """Which files outside of the work directory may be written over; see outputs.py."""
    renamed: bool = False
    """The recipe has another name than the one that the work directory knows."""
    account: str = "."
    """Directory of the manifest and the timings, below the work directory: a part of a recipe leaves those of the
    whole alone."""
    progress: Literal["auto", "rich", "plain", "json", "quiet", "none"] = "auto"
    """`quiet` shows only what could not be read, `none` nothing: the caller has the manifest."""


def run_recipe(
    recipe: Recipe,
    options: RunOptions = RunOptions(),  # noqa: B008
    progress: Progress | None = None,
) -> RunManifest:
    """Runs `recipe` to its end and returns its manifest, which is also written to the work directory.

    `progress` is told what happens; by default one as `options` say.

    Raises StageError if a file that was given changed while the run went on, VerifyError if a document is not accounted
    for, and BadInputError, after everything is done, if too much of the input was bad.
    """
    plan = make_plan(recipe)
    work_dir = plan.work_dir
    account = work_dir / options.account
    started = time.perf_counter()
    part = options.account if options.account != "." else None
    shown = make_progress(options.progress) if progress is None else contextlib.nullcontext(progress)
    with lock(work_dir), shown as progress:

        def claim(plan: Plan) -> None:
            phases = (part, [p for s in plan.stages for p in s.phases]) if part is not None else None
            roots, claims = plan.roots, plan.claims
            for line in check_places(roots, recipe, claims, existing=options.existing, renamed=options.renamed):
                progress.warning(line)
            claim_places(roots, recipe, claims, part=phases)

        claim(plan)
        runner = Runner(plan, options, progress)
        # From here on the directory is known to be that of this recipe.
        with failure.recorded(account, lambda: runner.stage, progress.warning):
            for warning in plan.warnings:
                progress.warning(warning)
            # What killed writers left is found among all outputs: a run that is up to date does without looking there.
            whole = fs.is_file(account / NAME)
            if not whole:
                runner.remove_temporaries()
            fs.remove(account / NAME, missing_ok=True)
            try:
                number = 0
                while number < len(plan.phases):
                    if number == plan.provisional:
                        plan = runner.plan = plan.settled(runner.state)
                        claim(plan)
                    runner.run(plan.phases[number])
                    if not options.keep_scratch:
                        scratch.remove(plan.roots, scratch.finished(plan.phases, number, plan.stages))
                    number += 1
            except Exception as error:
                release_places(work_dir, plan.claims)
                if isinstance(error, (DolmaError, OSError)):
                    # A file that changes under its readers makes all sorts of errors: the cause is what must be told.
                    given.check(runner.state.given)
                raise
            finally:
                runner.close()
                # After a failure, what was done by then; a killed run leaves it to the next.
                _compact(runner, progress)
                # Workers that were lost, or stopped at the first failure, leave some too.
                if not runner.idle:
                    runner.remove_temporaries()
            runner.stage = ""
            if not options.keep_scratch:
                scratch.remove_rest(plan.roots)
            given.check(runner.state.given)
            # What lies outside the work directory, where drop-in commands write, is known once it is written.
            if not (whole and runner.idle):
                remove_leftovers(runner.state.known)
            if part is None:
                _remove_stale(work_dir, runner, progress)
            unwritten = check_claims(plan.claims, runner.state.known, plan.roots.work_dir)
            for line in unwritten:
                progress.warning(line)
            plan.warnings = [*plan.warnings, *unwritten]
            manifest = make_manifest(plan, runner.state, account)
            given.write(account, runner.state.given)
            if not (whole and runner.idle):
                sync_directories(runner.state.known)
            write_json(account / NAME, manifest)
            sync_directories([account / NAME])
            for line in idle_rules.warnings(recipe, manifest.stages):
                progress.warning(line)
            for line in [*notes(manifest.stages), *idle_rules.notes(recipe, manifest.stages)]:
                progress.note(line)
            _write_timings(account / TIMINGS, runner.timings, time.perf_counter() - started, runner.workers)
            found = bad_input.find(manifest, work_dir)
            progress.bad_input(found)
            _check_account(manifest, work_dir)
            stored = sum(shard.size or 0 for shard in plan.given)
            bad_input.check(recipe, found, work_dir / "quarantine", len(plan.given), stored)
    return manifest


class Runner:
    """The state of a run on its way through the phases."""

    def __init__(self, plan: Plan, options: RunOptions, progress: Progress) -> None:
        self.state = State()
        self.timings: list[PhaseTiming] = []
        self.plan = plan
        self.changed: set[str] = set()
        """Phases of the ledger with entries that do not count any more."""
        self.idle = True
        """Whether everything was up to date."""
        self._loose: list[str] = []
        """Phases of the ledger that may have entries in files of their own."""
        self.workers = options.processes
        """Number of workers. The executor knows it on a cluster, and where there are fewer processors."""
        self._options = options
        self._progress = progress
        self._executor: Executor | None = None
        self._looked = False
        """Whether the source files are known to be documents."""
        self.stage = ""
        """Id of the stage at work; empty before the first and behind the last."""
        self._said: set[str] = set()
        """Warnings shown: what holds for a whole stage comes with the report of each of its shards."""

    def run(self, phase: Phase) -> None:
        """Does what is not up to date, and enters the reports of all tasks."""
        self.stage = self._stage(phase.id)
        timing = PhaseTiming(phase=phase.id, stage=self.stage)
        found = self.plan.look_up(phase, self.state, force=self._options.force)
        if found.pending and self._restore(phase, found.pending):
            # Their fingerprints depend on what was written anew, be it the same.
            found = self.plan.look_up(phase, self.state, force=self._options.force)
        pending = found.pending
        if pending or found.stale:
            self.changed.update(found.phases)
        self._loose = found.phases if pending or found.loose else []
        if pending and not self._looked:
            # Before the first work of the run, and not at all where everything is up to date.
            refuse_foreign([shard.path for shard in self.plan.given if shard.task is None])
            self._looked = True
        timing.tasks, timing.skipped = found.tasks, found.tasks - len(pending)
        if phase.repeats and not found.tasks:
            return
        self._progress.begin(phase, found.tasks, timing.skipped)
        for warning in self._unsaid(found.warnings):
            self._progress.warning(warning)
        started = time.perf_counter()
        if pending:
            self.idle = False
            entered = 0
            for each in phase.lists_of(self.state):
                each.write(self.state.known)
            with self._at_fault():
                for done in self.executor(driver=pending[0].task.driver).run(fuse(pending)):
                    self._enter(done, timing)
                    entered += len(done.reports)
                    if entered >= MOST_ENTRIES:
                        self.compact()
                        entered = 0
        self.compact()
        self._loose = []
        timing.seconds = time.perf_counter() - started
        self._progress.end(timing)
        self.timings.append(timing)

    def _restore(self, phase: Phase, pending: list[ReadyTask]) -> bool:
        """Does tasks of earlier phases again whose scratch files `pending` tasks of `phase` need; whether there are."""
        restored: set[str] = set()
        tasks = [ready.task for ready in pending]
        while gone := scratch.missing(self.plan.roots, phase, phase.lists_of(self.state), tasks):
            # The latest first: what it reads may bring back most of what the earlier ones are asked for.
            place, name = max((scratch.place_of(self.plan.phases, name), name) for name in gone)
            if place < 0 or name in restored:
                raise StageError(
                    f"phase {phase.id}: expected the scratch files of the phase {name}, found "
                    + ("none after it was done again" if name in restored else "none, and no such phase in the recipe")
                )
            self._do_again(self.plan.phases[place], name, gone[name], phase)
            restored.add(name)
        return bool(restored)

    def _do_again(self, writer: Phase, name: str, tasks: set[str], reader: Phase) -> None:
        """Does `tasks` of the phase `name` again, which is `writer` or shares a reading with it."""
        found = self.plan.look_up(writer, self.state, force=True)
        again = [ready for ready in found.pending if ready.task.phase == name and ready.task.name in tasks]
        self._restore(writer, again)
        what = counted(len(again), "task")
        self._progress.note(f"{name}: {what} done again, because {reader.id} needs scratch files that are gone")
        for each in writer.lists_of(self.state):
            each.write(self.state.known)
        for done in self.executor(driver=False).run(fuse(again)):
            for ready, report in zip(done.fused.tasks, done.reports, strict=True):
                self.state.enter(ready.task, report)
        compact(self.plan.work_dir, name)
        self.changed.add(name)
        self.idle = False

    def remove_temporaries(self) -> None:
        """Removes what killed writers have left in the directories of the run."""
        remove_temporaries(self.plan.work_dir)
        if not Path(self.plan.roots.scratch).is_relative_to(self.plan.work_dir):
            remove_temporaries(self.plan.roots.scratch)

    def executor(self, *, driver: bool) -> Executor:
        """Made on first need: a run that is up to date starts nothing. Workers make room for what the driver does."""
        if driver:
            self.close()
            return LocalExecutor(self._progress.note)
        if self._executor is None:
            self._executor = make_executor(
                self._options.processes, self._options.address, self._progress.note, self.plan.roots.directories()
            )
            self.workers = self._executor.workers
        return self._executor

    def compact(self) -> None:
        """Puts together what workers have entered since the phase began."""
        for phase in self._loose:
            compact(self.plan.work_dir, phase)

    def close(self) -> None:
        if self._executor is not None:
            self._executor.close()
            self._executor = None

    def _enter(self, done: Done, timing: PhaseTiming) -> None:
        for ready, report in zip(done.fused.tasks, done.reports, strict=True):
            self.state.enter(ready.task, report)
        read = done.reports[0].counts.values()
        timing.bytes += sum(c.bytes_in for c in read)
        timing.documents += sum(c.documents_in for c in read)
        timing.cpu_seconds += done.cpu_seconds
        timing.peak_rss = max(timing.peak_rss, done.peak_rss)
        self._progress.done(done.fused, timing)
        for warning in self._unsaid([w for r in done.reports for w in r.warnings]):
            self._progress.warning(warning)

    def _unsaid(self, warnings: list[str]) -> list[str]:
        new = [w for w in dict.fromkeys(warnings) if w not in self._said]
        self._said.update(new)
        return new

    @contextlib.contextmanager
    def _at_fault(self) -> Iterator[None]:
        """Where stages share a reading, the one whose task fails is the stage at work."""
        try:
            yield
        except BaseException as error:
            at = where(error)
            if at is not None:
                self.stage = self._stage(at.phase)
            raise

    def _stage(self, phase: str) -> str:
        for stage in self.plan.stages:
            if phase.rstrip("+") in stage.phases:
                return stage.id
        return phase


def _remove_stale(work_dir: Path, runner: Runner, progress: Progress) -> None:
    """Removes what earlier runs of the recipe wrote and this one does not, and says so."""
    owner = read_owner(work_dir)
    others = [phase for phases in owner.parts.values() for phase in phases] if owner is not None else []
    state = runner.state
    for line in remove_stale(runner.plan.roots, state.reports, state.known, runner.changed, others).lines():
        progress.note(line)


def _compact(runner: Runner, progress: Progress) -> None:
    """Puts the ledger's entries together; where the disk does not take that, they stay as they are."""
    try:
        runner.compact()
    except OSError as error:
        progress.warning(f"the entries of the ledger could not be put together: {of_the_machine(error)}")


def fuse(tasks: list[ReadyTask]) -> list[FusedTasks]:
    """Puts tasks together that share a reading; the order is that of their first tasks."""
    together: defaultdict[str, list[ReadyTask]] = defaultdict(list)
    for number, ready in enumerate(tasks):
        together[f"fused:{ready.task.fuse}" if ready.task.fuse else f"task:{number}"].append(ready)
    hidden = known()
    directory = str(Path.cwd())
    return [FusedTasks(tasks=tuple(t), hidden=hidden, directory=directory) for t in together.values()]


def _write_timings(path: Path, phases: list[PhaseTiming], wall: float, processes: int) -> None:
    """A phase that was up to date keeps the figures of the run that did it."""
    old = {p.phase: p for p in read_json(path, Timings).phases} if fs.is_file(path) else {}
    kept = [old[p.phase] if p.tasks == p.skipped and p.phase in old else p for p in phases]
    write_json(path, Timings(wall_seconds=wall, processes=processes, phases=kept))


def _check_account(manifest: RunManifest, work_dir: Path) -> None:
    """Raises VerifyError if a document is not accounted for: what `dolma verify` checks, but for the bytes of files."""
    from dolma_pipeline.engine.verify import account_problems

    problems = account_problems(manifest, work_dir)
    if problems:
        raise VerifyError(
            "\n".join(
                [*problems, f"{counted(len(problems), 'problem')} in the account of this run: do not use its outputs"]
            )
        )
