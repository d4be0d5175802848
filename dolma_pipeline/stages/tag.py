"""tag: taggers measure, attribute files come out, nothing is dropped."""

from __future__ import annotations

from typing import Any

import msgspec

from dolma_pipeline.formats.attributes import AttributeWriter
from dolma_pipeline.formats.documents import Documents
from dolma_pipeline.plan import Builder, StageInfo, State
from dolma_pipeline.recipe import Tag
from dolma_pipeline.stages.corpus import Shard
from dolma_pipeline.stages.shard_pass import StepConfig
from dolma_pipeline.taggers.registry import attribute_key, load_taggers
from dolma_pipeline.task import Context, Output, Task

VERSION = 2


class TagShard(StepConfig, frozen=True, kw_only=True):
    """Taggers to run, and the attribute file each experiment's keys go to."""

    taggers: list[str]
    modules: list[str]
    experiments: list[tuple[str, str, list[str]]]
    """(experiment, file, its taggers)."""


class TagStep:
    def __init__(self, config: TagShard, context: Context) -> None:
        self.config = config
        key = ("taggers", tuple(config.taggers), tuple(config.modules))
        self._taggers = context.load(key, lambda: load_taggers(config.taggers, config.modules))
        self.keep_raw = self._taggers.needs_raw
        loose = set(self._taggers.undeclared)
        self._writers = [AttributeWriter(path, declared=not loose & set(t)) for _, path, t in config.experiments]

    def add(self, documents: Documents) -> None:
        columns = self._taggers.tag(documents)
        for (experiment, _, names), writer in zip(self.config.experiments, self._writers, strict=True):
            mine = {attribute_key(experiment, t, a): c for (t, a), c in columns.items() if t in names}
            writer.write(documents, mine)

    def finish(self) -> tuple[list[Output], dict[str, Any], dict[str, int]]:
        return [w.finish() for w in self._writers], {}, {}

    def abort(self) -> None:
        for writer in self._writers:
            writer.abort()


def plan(builder: Builder, number: int, config: Tag) -> None:
    phase = f"{number:02d}-tag"
    where = f"$.stages[{number - 1}].tag"
    taggers = load_taggers(config.taggers, config.tagger_modules, where=where)
    groups = {config.experiment: config.taggers} if config.experiment else {t: [t] for t in config.taggers}
    shards = list(builder.corpus.shards)
    files: dict[str, dict[str, str]] = {}
    for experiment in groups:
        files[experiment] = {s.id: str(builder.places.attributes(s, experiment, config.format)) for s in shards}
        builder.corpus.keys[experiment] = [
            attribute_key(experiment, t, a) for t, a in taggers.attribute_names() if t in groups[experiment]
        ]
    builder.corpus.attributes |= files
    quarantine = {s.id: builder.quarantine(s) for s in shards}

    def task(shard: Shard) -> Task:
        step = TagShard(
            source=shard.source,
            path=shard.path,
            quarantine=quarantine[shard.id],
            taggers=config.taggers,
            modules=config.tagger_modules,
            experiments=[(e, files[e][shard.id], names) for e, names in groups.items()],
        )
        return Task(
            phase=phase,
            name=shard.id,
            run=f"{__name__}:TagStep",
            config=msgspec.to_builtins(step),
            inputs=(shard.path, *taggers.files()),
            version=VERSION,
            group=shard.id,
        )

    def build(state: State) -> list[Task]:
        return [task(s) for s in shards]

    builder.add_step(phase, build)
    builder.stages.append(StageInfo(id=phase, kind="tag", counted=(phase,), phases=(phase,)))
