"""Stages that measure each file alone, bring the measures together, and perhaps go through the files again.

Each task of a map writes one scratch file; it is an op, which shares the reading of its file with other stages. The
task behind them reads all scratch files and writes what the stage is for. Tasks that apply its result may follow, one
for each file.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import msgspec
from msgspec import Struct

from dolma_pipeline.engine.builder import Builder, Phase, StageInfo, State
from dolma_pipeline.engine.corpus import Shard
from dolma_pipeline.engine.reading import ShardInput
from dolma_pipeline.engine.shared_reading import Op, op_task, reads_alike
from dolma_pipeline.engine.task import Context, Report, Task, make_task
from dolma_pipeline.errors import StageError, unknown
from dolma_pipeline.formats.columns import Columns


class Call(NamedTuple):
    """What a task does: a function of a module or an op, its settings, and the files that it reads."""

    run: Callable[[Any, Context], Report] | type[Op]
    """A function, or an `Op` in a `map` that is not `alone`. It stands at the top level of a module."""
    config: Struct
    """What it gets: a frozen struct, in the annotation of its first parameter."""
    inputs: Sequence[str] = ()
    """The task is done again if one of them has changed. `MapReduce` adds what it knows to be read: the shard of an op,
    the scratch files of a reduction, the result that `apply` applies, and what the settings name of the shard."""


class _Part(NamedTuple):
    """A phase in which each task is about one shard."""

    what: str
    alone: bool
    """Whether its tasks are functions, which share no reading."""
    tasks: list[tuple[str, Shard, Callable[[], Call]]]
    """The name of each task, its shard, and what makes its call."""
    files: list[str]
    """The scratch file of each task."""


class MapReduce:
    """Plans the phases `ID-PART` of every map, `ID` of the reduction, and `ID-PART` of what applies its result.

    The ID is the number of the stage in the recipe and its kind, or `name` where a recipe may have several of it.
    `version` is that of the outputs of its tasks, to be raised with any change to them. Call `map`, then `reduce`,
    then `apply` if it is needed, and `finish` at the end.
    """

    def __init__(self, builder: Builder, number: int, kind: str, version: int, name: str | None = None) -> None:
        self.id = f"{number:02d}-{name or kind}"
        self.corpus = builder.corpus
        self.scratch: list[str] = []
        """The scratch files of all maps, in order."""
        self._builder = builder
        self._raw = builder.corpus.raw
        self._kind = kind
        self._version = version
        self._maps: dict[str, _Part] = {}
        self._phases: list[str] = []
        self._reduced: str | None = None
        """The phase of the reduction, once that is planned."""
        self._applied: list[str] = []
        # The stages of this package name all that they read; to look through the settings of each task takes time.
        self._beside = list(builder.corpus.attributes.values()) if builder.of_user else []

    def phase(self, part: str) -> str:
        """The phase of a map, or of what applies the result."""
        return f"{self.id}-{part}"

    def quarantine(self, shard: Shard) -> str | None:
        """The file for lines of `shard` that are no documents; None where an earlier stage has set them aside."""
        return self.quarantine_of(shard, shard.columns)

    def quarantine_of(self, shard: Shard, columns: Columns | None) -> str | None:
        """The same for a reading that looks for the fields of documents in `columns`."""
        return self._builder.places.quarantine_of(shard, columns) if self._raw else None

    def input(self, shard: Shard) -> ShardInput:
        """What a task that reads the documents of `shard` is told of it: see `Reading`."""
        quarantine = self.quarantine(shard)
        return ShardInput(source=shard.source, path=shard.path, columns=shard.columns, quarantine=quarantine)

    def map(
        self,
        part: str,
        what: str,
        shards: Iterable[Shard],
        call: Callable[[Shard, str], Call],
        *,
        suffix: str,
        under: str = "",
        alone: bool = False,
    ) -> list[str]:
        """Adds a task for each shard to the phase `part`, and returns the scratch files that they will write.

        `call` gets a shard and the path of its scratch file, which ends in `suffix`, and names an `Op`, which shares
        the reading of the shard with other stages. With `alone` it names a function, which reads by itself what it
        needs. A second call with the same `part` adds tasks to the same phase: then `under`, with which the names of
        tasks begin, tells them apart.
        """
        if self._reduced is not None:
            raise StageError(f"stage {self.id}: expected every `map` before `reduce`, found `{part}` behind it")
        found = self._maps.setdefault(part, _Part(what, alone, [], []))
        files: list[str] = []
        shards = list(shards)
        for shard in shards:
            out = self._builder.places.scratch(self.phase(part), shard, suffix)
            name = f"{under}/{shard.id}" if under else shard.id
            found.tasks.append((name, shard, functools.partial(self._mapped_call, call, shard, out)))
            files.append(out)
        found.files.extend(files)
        self.scratch += files
        if not alone:
            # The shards of a source have the same files beside them, so that one of each tells what is needed.
            for shard, out in {s.source: (s, out) for s, out in zip(shards, files, strict=True)}.values():
                self._check_op(part, call(shard, out))
                first = self._mapped_call(call, shard, out)
                self._builder.need(first.inputs, shares=reads_alike(shard, first.config))
        return files

    def reduce(self, name: str, what: str, call: Callable[[State], Call], *, part: str = "") -> None:
        """Adds the one task that reads what the maps have written; `call` may look at their reports.

        `part`: that of its phase, where more follows that is the stage itself.
        """
        phase = self._reduced = self.phase(part) if part else self.id
        for part, (said, alone, _, _) in self._maps.items():
            if not alone:
                self._builder.add_op(self.phase(part), self._ops(part), what=said)
                self._phases.append(self.phase(part))
        for part, (said, alone, _, _) in self._maps.items():
            if alone:
                self._add(self.phase(part), said, self._mapped(part))
        before = list(self._phases)

        def build(state: State) -> list[Task]:
            self._check_scratch(state)
            return [self._task(phase, name, _reading(call(state), self.scratch))]

        self._add(phase, what, build, before)

    def apply(self, part: str, what: str, shards: Sequence[Shard], call: Callable[[Shard], Call]) -> None:
        """Adds a task for each shard behind the reduction, whose outputs are inputs of it."""
        phase, reduced = self.phase(part), self._reduced
        if reduced is None:
            raise StageError(f"stage {self.id}: expected `reduce` before `apply`, found none before `{part}`")
        self._applied.append(part)

        def build(state: State) -> Iterable[Task]:
            result = [output.path for report in state.reports.get(reduced, {}).values() for output in report.outputs]
            for shard in shards:
                found = _reading(call(shard), result)
                yield self._task(phase, shard.id, _reading(found, self._named(found, shard)))

        self._add(phase, what, build, [reduced])

    def finish(self, *, counted: Sequence[str]) -> None:
        """Enters the stage. The counts of the parts `counted`, which `map` or `apply` has planned, are its account.

        Raises StageError for a part that there is not.
        """
        if self._reduced is None:
            raise StageError(f"stage {self.id}: expected `reduce` before `finish`, found none; it plans the maps too")
        parts = [*self._maps, *self._applied]
        for part in counted:
            if part not in parts:
                raise StageError(f"stage {self.id}: `finish(counted=...)`: {unknown('map', part, parts)}")
        # The details of the last phase are those of the stage.
        phases = (*(p for p in self._phases if p != self.id), self.id)
        of = tuple(self.phase(part) for part in counted)
        self._builder.stages.append(StageInfo(id=self.id, kind=self._kind, counted=of, phases=phases))

    def _add(self, phase: str, what: str, build: Callable[[State], Iterable[Task]], after: Sequence[str] = ()) -> None:
        self._builder.add_later(Phase(id=phase, what=what, build=build, after=list(after)))
        self._phases.append(phase)

    def _mapped(self, part: str) -> Callable[[State], Iterable[Task]]:
        phase, tasks = self.phase(part), self._maps[part].tasks
        return lambda state: (self._task(phase, name, make()) for name, _, make in tasks)

    def _ops(self, part: str) -> Callable[[State], Iterable[Task]]:
        phase, tasks = self.phase(part), self._maps[part].tasks
        return lambda state: (op_task(phase, name, s, *make(), version=self._version) for name, s, make in tasks)

    def _task(self, phase: str, name: str, call: Call) -> Task:
        return make_task(phase, name, call.run, call.config, call.inputs, self._version)

    def _mapped_call(self, call: Callable[[Shard, str], Call], shard: Shard, out: str) -> Call:
        """What `call` makes, with the files of its shard that it did not name as inputs."""
        found = call(shard, out)
        whole = [shard.path] if inspect.isclass(found.run) else []
        return _reading(found, [*whole, *self._named(found, shard)])

    def _named(self, call: Call, shard: Shard) -> list[str]:
        """The file of `shard`, and those with its attributes, if the settings of `call` name them."""
        beside = (files[shard.id] for files in self._beside if shard.id in files)
        others = [path for path in (shard.path, *beside) if path not in call.inputs]
        form = msgspec.json.encode(call.config) if others else b""
        return [path for path in others if msgspec.json.encode(path) in form]

    def _check_scratch(self, state: State) -> None:
        """Raises StageError if a task of a map has not reported the scratch file that it was to write."""
        for part, (_, _, tasks, files) in self._maps.items():
            for (name, _, _), file in zip(tasks, files, strict=True):
                if file not in state.known:
                    raise StageError(
                        f"task {name} of {self.phase(part)}: expected a report with the scratch file {file}, found "
                        f"none; write it, and return `Report(outputs=[stage.output(path)])`"
                    )

    def _check_op(self, part: str, call: Call) -> None:
        if not (inspect.isclass(call.run) and issubclass(call.run, Op)):
            raise StageError(
                f"phase {self.phase(part)}: expected a class of `Op`, which shares the reading of a shard, found "
                f"`{call.run.__qualname__}`; `map(..., alone=True)` takes a function, which reads by itself"
            )


def _reading(call: Call, files: Iterable[str]) -> Call:
    """The call with `files` among its inputs; those that it names itself stay where they are."""
    given = set(call.inputs)
    more = [path for path in dict.fromkeys(files) if path not in given]
    return call._replace(inputs=[*call.inputs, *more]) if more else call
