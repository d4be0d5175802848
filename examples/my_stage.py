"""hosts: from which hosts the documents of each source come. `dolma run my_stage.yaml` runs it; see docs/stages.md."""

from __future__ import annotations

from collections import Counter
from typing import Annotated
from urllib.parse import urlsplit

from msgspec import Meta

from dolma_pipeline.engine import stage
from dolma_pipeline.engine.stage import Builder, Call, Context, Documents, MapReduce, Report, Shard, ShardRead, State


class Hosts(stage.Config, frozen=True):
    """Count the documents of each host."""

    field: Annotated[str, Meta(description="field with the address of a document")] = "metadata.url"
    top: Annotated[int, Meta(ge=1, description="most hosts that are listed of a source")] = 10


class CountHosts(stage.Config, frozen=True):
    read: stage.ShardInput
    field: str
    out: str


class MergeHosts(stage.Config, frozen=True):
    counts: dict[str, str]  # scratch file -> its source
    top: int
    out: str


class HostCounter(stage.Op):
    keep_raw = True

    def __init__(self, config: CountHosts, context: Context) -> None:
        self.config = config
        self.hosts: Counter[str] = Counter()

    def add(self, documents: Documents) -> None:
        urls = documents.field(self.config.field).to_pylist()
        self.hosts.update(urlsplit(url or "").hostname or "none" for url in urls)

    def finish(self, read: ShardRead) -> Report:
        return Report(outputs=[stage.write_json(self.config.out, self.hosts)])


def merge_hosts(config: MergeHosts, context: Context) -> Report:
    sources: dict[str, Counter[str]] = {}
    for path, source in config.counts.items():
        sources.setdefault(source, Counter()).update(stage.read_json(path, dict[str, int]))
    ranked = {s: sorted(found.items(), key=lambda pair: (-pair[1], pair[0])) for s, found in sources.items()}
    stage.write_json(config.out, {source: dict(found[: config.top]) for source, found in ranked.items()})
    rows = [[source, host, number] for source, found in ranked.items() for host, number in found[: config.top]]
    table = stage.Table(title="hosts", head=["source", "host", "documents"], rows=rows)
    return Report(outputs=[stage.output(config.out)], details=table.details())


def plan(builder: Builder, number: int, config: Hosts) -> None:
    hosts = MapReduce(builder, number, "hosts", version=1)
    out = str(builder.places.directory(None, "hosts") / "hosts.json")
    builder.claim(out, where=f"$.stages[{number - 1}].hosts", remedy="one `hosts` stage alone")

    def count(shard: Shard, scratch: str) -> Call:
        return Call(HostCounter, CountHosts(read=hosts.input(shard), field=config.field, out=scratch), [shard.path])

    def merge(state: State) -> Call:
        counts = dict(zip(scratch, (s.source for s in shards), strict=True))
        return Call(merge_hosts, MergeHosts(counts=counts, top=config.top, out=out), scratch)

    shards = hosts.corpus.shards
    scratch = hosts.map("shards", f"count the hosts of {len(shards)} files", shards, count, suffix=".json")
    hosts.reduce("merge", "add the counts up", merge)
    hosts.finish(counted=["shards"])


STAGE = stage.StageKind(kind="hosts", config=Hosts, plan=plan, accounts=True)
