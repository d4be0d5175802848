"""What the phases of one near-duplicate stage have in common: its shards, its files, and the names of its phases."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from msgspec import Struct

from dolma_pipeline.config.recipe import Dedupe
from dolma_pipeline.config.recipe_minhash import MinHash
from dolma_pipeline.dedupe.near_components import labels_file
from dolma_pipeline.dedupe.near_edges import Space
from dolma_pipeline.dedupe.near_keys import Hashing
from dolma_pipeline.dedupe.near_scheme import Scheme
from dolma_pipeline.dedupe.near_verify import DEFAULT_KEEP
from dolma_pipeline.engine.corpus import Shard
from dolma_pipeline.engine.file_list import FileList
from dolma_pipeline.engine.pieces import pieces_phase
from dolma_pipeline.engine.stage import Builder, State
from dolma_pipeline.engine.task import Report, Task, make_task
from dolma_pipeline.stages.near_keep import Scores

VERSION = 1
"""Version of the tasks of all phases."""


class Unit(Struct, frozen=True, kw_only=True):
    """A shard, or a piece of a large one."""

    whole: Shard
    shard: Shard
    """The piece; the shard itself where it is read as a whole."""


class Place(Struct, frozen=True, kw_only=True):
    """Where the documents of a unit are in the corpus."""

    first: int
    documents: int


class Near:
    """One stage, as all of its phases see it."""

    def __init__(self, builder: Builder, number: int, config: Dedupe, minhash: MinHash, scheme: Scheme) -> None:
        self.builder, self.config, self.minhash, self.scheme = builder, config, minhash, scheme
        self.places, self.partitions = builder.places, config.partitions
        self.id = f"{number:02d}-{config.name}"
        self.keys, self.links, self.components = f"{self.id}-keys", f"{self.id}-links", f"{self.id}-components"
        self.texts, self.verify, self.account = f"{self.id}-texts", f"{self.id}-verify", f"{self.id}-account"
        self.raw = builder.corpus.raw
        sources = builder.recipe.sources
        # The first of two duplicates stays where nothing else tells: a source of higher priority comes first.
        self.shards = sorted(builder.corpus.shards, key=lambda s: -sources[s.source].priority)
        self.divided = {s.id: pieces for s in self.shards if (pieces := builder.pieces(s))}
        self.units = [Unit(whole=s, shard=each) for s in self.shards for each in self.divided.get(s.id, [s])]
        self.files = {s.id: self.places.attributes(s, config.name, config.format) for s in self.shards}
        self.keep = minhash.keep or list(DEFAULT_KEEP)
        self.scores = Scores(builder, self.keep, f"$.stages[{number - 1}].dedupe.minhash.keep")
        self.hashing = Hashing(
            unit=minhash.unit, ngram=minhash.ngram, bands=scheme.bands, rows=scheme.rows, seed=minhash.seed
        )
        self.key_files = self.list_of(self.links, "keys", (self.file(self.keys, u, ".keys") for u in self.units))
        self.text_files = self.list_of(self.verify, "texts", (self.file(self.texts, u, ".texts") for u in self.units))
        self.verdict_files = self.list_of(self.id, "verdicts", self.parts(self.verify, "verdicts"))
        self.labels = self.places.scratch_file(self.components, "labels")
        labels = [labels_file(self.labels, p) for p in range(self.partitions)]
        self.label_files = self.list_of(self.texts, "labels", labels)

    def file(self, phase: str, unit: Unit, suffix: str) -> str:
        """The scratch file of a unit."""
        return self.places.scratch(phase, unit.shard, suffix)

    def part(self, phase: str, partition: int, kind: str) -> str:
        """The scratch file of a partition."""
        return self.places.scratch_file(phase, f"partition-{partition:05d}.{kind}")

    def parts(self, phase: str, kind: str) -> Iterable[str]:
        return (self.part(phase, p, kind) for p in range(self.partitions))

    def list_of(self, reader: str, name: str, files: Iterable[str]) -> FileList:
        """A list that the phase `reader` reads."""
        return FileList(path=self.places.scratch_file(reader, f"{name}.list"), files=tuple(files))

    def task(self, phase: str, name: str, run: Callable[..., Report], config: Struct, *inputs: str) -> Task:
        return make_task(phase, name, run, config, inputs, VERSION)

    def each(self, phase: str, run: Callable[..., Report], config: Callable[[int], Struct], given: str) -> list[Task]:
        """A task for each partition, which reads the list `given`."""
        return [self.task(phase, f"partition-{p:05d}", run, config(p), given) for p in range(self.partitions)]

    def phase_of(self, phase: str, unit: Unit) -> str:
        """The phase of a task on a unit whose pieces are joined afterwards."""
        return phase if unit.shard.piece is None else pieces_phase(phase)

    def report(self, phase: str, unit: Unit, state: State) -> Report:
        """What a task on a unit has reported. Raises FileNotFoundError if it is not done yet."""
        reports = state.reports.get(self.phase_of(phase, unit), {})
        if unit.shard.id not in reports:
            raise FileNotFoundError(unit.shard.id)
        return reports[unit.shard.id]

    def space(self, state: State) -> Space:
        """The number of documents that the keys were made of, and into how many ranges they are divided."""
        documents = sum(self.report(self.keys, u, state).details["documents"] for u in self.units)
        return Space(documents=documents, partitions=self.partitions)

    def located(self, state: State) -> Iterator[tuple[Unit, Place]]:
        """Each unit, and where its documents are."""
        first = 0
        for unit in self.units:
            documents = self.report(self.keys, unit, state).details["documents"]
            yield unit, Place(first=first, documents=documents)
            first += documents

    def reported(self, phase: str, state: State) -> list[Mapping[str, Any]]:
        """What the tasks of a phase have reported, in order of their names."""
        reports = state.reports.get(phase, {})
        return [reports[name].details for name in sorted(reports)]
