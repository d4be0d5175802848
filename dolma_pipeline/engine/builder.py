"""The builder, with which a stage plans itself: it adds phases of tasks and says which files they will write."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Protocol

from msgspec import UNSET, Struct, UnsetType, structs

from dolma_pipeline.config.recipe import Recipe, Source
from dolma_pipeline.config.yaml_file import json_path
from dolma_pipeline.engine.blame import blaming
from dolma_pipeline.engine.corpus import Corpus, Places, Shard
from dolma_pipeline.engine.file_list import FileList
from dolma_pipeline.engine.kind import StageKind
from dolma_pipeline.engine.outputs import Claim
from dolma_pipeline.engine.roots import roots_of
from dolma_pipeline.engine.task import Report, Task
from dolma_pipeline.errors import StageError
from dolma_pipeline.formats.piece import pieces
from dolma_pipeline.io.url import local
from dolma_pipeline.report.units import counted


class State(Protocol):
    """What a stage may know of the phases before it: the reports of their tasks, by phase and task name."""

    @property
    def reports(self) -> Mapping[str, Mapping[str, Report]]: ...

    @property
    def known(self) -> Mapping[str, str]:
        """The BLAKE3 of each file that they wrote, by path."""
        ...


class Phase(Struct, kw_only=True):
    """Tasks that need nothing of each other."""

    id: str
    what: str
    """In a few words, for `dolma plan` and for progress."""
    build: Callable[[State], Iterable[Task]]
    """Makes the tasks; it may be called twice, and makes the same ones."""
    after: list[str] = []
    """Phases whose reports `build` needs."""
    lists: list[FileList] = []
    """Lists of files that the tasks read."""
    later_lists: Callable[[State], list[FileList]] | None = None
    """More of them, where earlier reports tell which files those are; like `build`, it may be called twice."""
    repeats: bool = False
    """Whether it is one of many like it, of which a run needs only the first ones: the others have no tasks, and a
    plan does not show them."""
    reads: list[str] = []
    """Phases whose scratch files the tasks read without naming each of them as an input."""
    parts: list[str] = []
    """The phases of its tasks, where they are not all of the phase `id`."""

    def lists_of(self, state: State) -> list[FileList]:
        """All lists of files that the tasks read, once the phases in `after` are done."""
        return self.lists if self.later_lists is None else [*self.lists, *self.later_lists(state)]


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
    accounts: bool | UnsetType = UNSET
    """As its `StageKind` says, for a kind that is not built in."""
    role: str | UnsetType = UNSET


class Builder:
    """Stages add their phases here, in the order of the recipe."""

    def __init__(self, recipe: Recipe, sizes: Mapping[str, int] | None = None) -> None:
        self.recipe = recipe
        """The whole recipe, with all defaults."""
        self.roots = roots_of(recipe)
        self.places = Places(work_dir=Path(self.roots.work_dir), scratch_dir=self.roots.scratch, recipe=recipe)
        """Where files go."""
        self.phases: list[Phase] = []
        self.stages: list[StageInfo] = []
        self.corpus = Corpus(shards=[])
        """What the stage finds: the documents as the stages before it leave them, and their attributes."""
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
        self._kind: StageKind | None = None
        """The kind of the stage that is planning itself, if that is not built in."""
        self._ops: list[Callable[[State], Iterable[Task]]] = []
        self._names: list[str] = []
        self._pieces: list[str] = []
        """Phases of tasks on pieces of large shards."""
        self._what = ""
        """What the first op of the pass does, where it says so."""
        self._later: list[Phase] = []
        self._makes: set[str] = set()
        """Attribute files that ops of the pass make, and of which ops behind them get the columns."""
        self._before_stage = 0
        """Number of claims before the stage that is planning itself."""
        self._before_pass = 0
        """Number of claims before the first stage of the pass."""

    def add_op(
        self,
        phase: str,
        build: Callable[[State], Iterable[Task]],
        later: list[Phase] | None = None,
        *,
        what: str = "",
        makes: Iterable[str] = (),
        pieces: str | None = None,
    ) -> None:
        """Adds tasks that share the reading of each shard with their neighbours; `later`: phases behind that pass.

        `what`: what the tasks do, shown where no others share the reading; `makes`: the attribute files that they name
        in `Task.makes`; `pieces`: the phase of tasks on pieces of large shards, if there are some. What those make is
        joined behind the pass.
        """
        if not self._ops:
            self._what, self._before_pass = what, self._before_stage
        self._ops.append(self._brought(build))
        self._names.append(phase)
        if pieces is not None:
            self._pieces.append(pieces)
        self._makes.update(makes)
        self._later.extend(later or [])

    def add_later(self, phase: Phase) -> None:
        """Adds a phase behind the pass. It may need the results of the pass, but no op of the pass needs its own."""
        phase.build = self._brought(phase.build)
        (self._later if self._ops else self.phases).append(phase)

    def need(self, inputs: Iterable[str], *, shares: bool = True) -> None:
        """Ends the pass if one of `inputs` is written in it, or behind it, so that what follows finds it written.

        With `shares`, what follows is an op that gets the attributes which the pass makes without their files.
        """
        if self._ops:
            written = {claim.place for claim in self.claims[self._before_pass :]}
            # A recipe names a model by a path that starts in the current directory.
            read = {path for given in inputs for path in (given, str(local(given).absolute()))}
            shared = self._makes if shares and not self._pieces else ()
            if not read.isdisjoint(written.difference(shared)):
                self.flush()

    def flush(self) -> None:
        """Ends the pass: what follows needs its results."""
        if not self._ops:
            return
        ops, names = self._ops, self._names
        alone = self._what if len(names) == 1 else ""
        what = alone or f"read {counted(len(self.corpus.shards), 'shard')} once for {', '.join(names)}"

        def build(state: State) -> Iterator[Task]:
            return (task for op in ops for task in op(state))

        self.phases.append(
            Phase(
                id=names[0] if len(names) == 1 else f"{names[0]}+",
                what=what,
                build=build,
                parts=[*names, *self._pieces],
            )
        )
        self.phases.extend(self._later)
        self._ops, self._names, self._pieces, self._later, self._makes = [], [], [], [], set()

    def add_phase(self, phase: Phase) -> None:
        """Adds a phase behind all that were added before; it begins once they are done."""
        self.flush()
        phase.build = self._brought(phase.build)
        self.phases.append(phase)

    def plan_stage(self, kind: StageKind, number: int, config: Struct) -> None:
        """Lets a stage plan itself."""
        before = len(self.stages)
        self._before_stage = len(self.claims)
        self._kind = kind if kind.origin else None
        what = f"{json_path(('stages', number - 1, kind.kind))}: its `plan`"
        with blaming(what):
            kind.plan_function(self, number, config)
        if kind.origin:
            self._check_account(kind, what, self.stages[before:])
            own = {"kind": kind.kind, "accounts": kind.accounts, "role": kind.role}
            self.stages[before:] = [structs.replace(stage, **own) for stage in self.stages[before:]]
        self._kind = None

    def _check_account(self, kind: StageKind, what: str, entered: list[StageInfo]) -> None:
        """Raises StageError for a stage of a user that no account will show."""
        if not entered:
            raise StageError(
                f"{what}: expected a stage that is entered at the end, found none: `MapReduce.finish` does it"
            )
        if kind.accounts and not any(stage.counted for stage in entered):
            raise StageError(
                f"{what}: expected a phase that counts the documents, as `accounts=True` says, found none; name the "
                "maps that do in `finish(counted=[...])`"
            )

    @property
    def of_user(self) -> bool:
        """Whether the stage that is planning itself is one that a user brings."""
        return self._kind is not None

    def _brought(self, build: Callable[[State], Iterable[Task]]) -> Callable[[State], Iterable[Task]]:
        """The tasks of `build`, which name the module that brought the stage in a way that workers can import."""
        kind = self._kind
        if kind is None:
            return build
        origin, own = kind.origin, kind.module

        def located(task: Task) -> Task:
            module, _, function = task.run.rpartition(":")
            if module.partition(".")[0] == "dolma_pipeline":
                return task
            return structs.replace(task, run=f"{origin}:{function}" if module == own else f"{origin}/{task.run}")

        def told(state: State) -> Iterator[Task]:
            # Where an input is not written yet, the tasks are not known yet, and a plan says so.
            with blaming(f"the tasks of the stage `{kind.kind}`", FileNotFoundError):
                yield from map(located, build(state))

        return told

    def size_of(self, shard: Shard) -> int | None:
        """Bytes of the shard's file; None, and the plan is provisional from here on, where it is not written yet.

        What lies on the disk while planning does not count: it may be what an earlier run has left.
        """
        size = shard.size if shard.size is not None else self.sizes.get(shard.path)
        if size is None and self.provisional is None:
            self.provisional = len(self.phases)
        return size

    def pieces(self, shard: Shard) -> list[Shard]:
        """The pieces of a large file that was there before the run; none where it is read as a whole."""
        if shard.size is None:
            return []
        return [structs.replace(shard, piece=piece) for piece in pieces(shard.size, self.recipe.piece_bytes)]

    def count_with(self, computed: Iterable[str], phase: str) -> None:
        """Accounts for the stages `computed`, which have no phase of their own, by what `phase` read."""
        ids = set(computed)
        self.stages = [structs.replace(s, counted=(phase,)) if s.id in ids else s for s in self.stages]

    def claim(self, place: str | Path, *names: str, where: str, remedy: str, source: str | None = None) -> None:
        """Declares a file that a stage writes, or with `names` (patterns) files below the directory `place`."""
        kind = self._kind.kind if self._kind is not None else ""
        self.claims.append(Claim(place=str(place), names=names, where=where, remedy=remedy, source=source, kind=kind))

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
