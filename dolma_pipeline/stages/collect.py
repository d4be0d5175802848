"""collect: documents from text that any Python installation has."""

from __future__ import annotations

import msgspec

from dolma_pipeline.collect.base import collection
from dolma_pipeline.collect.task import CollectShard
from dolma_pipeline.config.yaml_file import json_path
from dolma_pipeline.engine.corpus import Places, Shard
from dolma_pipeline.engine.stage import Builder, Phase, StageInfo, State
from dolma_pipeline.engine.task import Task
from dolma_pipeline.report.units import counted

PHASE = "00-collect"
VERSION = 1


def shards(places: Places, name: str, what: str) -> list[Shard]:
    """The shards that the collection `what` will write for source `name`."""
    found = []
    for shard in collection(what, where=json_path(("sources", name, "collect"))).shards():
        file = f"{shard}.jsonl.zst"
        path = places.work_dir / "sources" / name / "documents" / file
        found.append(Shard(source=name, name=file, path=str(path), label=f"{name}/{file}", task=PHASE))
    return found


def plan(builder: Builder, collected: list[Shard]) -> None:
    def task(shard: Shard) -> Task:
        what = builder.recipe.sources[shard.source].collect or ""
        name = shard.name.removesuffix(".jsonl.zst")
        config = CollectShard(collection=what, shard=name, source=shard.source, path=shard.path)
        return Task(
            phase=PHASE,
            name=shard.id,
            run="dolma_pipeline.collect.task:collect_shard",
            config={**msgspec.to_builtins(config), "fingerprint": collection(what).fingerprint()},
            inputs=(),
            version=VERSION,
        )

    def build(state: State) -> list[Task]:
        return [task(s) for s in collected]

    builder.add_phase(Phase(id=PHASE, what=f"write {counted(len(collected), 'shard')} of collected text", build=build))
    builder.stages.append(StageInfo(id=PHASE, kind="collect", counted=(PHASE,), phases=(PHASE,)))
