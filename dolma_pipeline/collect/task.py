"""Writing a shard of a collection as a file of documents."""

from __future__ import annotations

import msgspec
from msgspec import Struct

from dolma_pipeline import _native
from dolma_pipeline.collect.base import Collection, collection
from dolma_pipeline.engine.task import Context, Counts, Output, Report

LISTED_PROBLEMS = 5


class CollectShard(Struct, frozen=True, kw_only=True):
    """A shard of the collection `collection`, written to `path` as the source `source`."""

    collection: str
    shard: str
    source: str
    path: str
    fingerprint: str = ""
    """What the collection was when the task was planned: a change makes the task stale, as with its other settings."""


def collect_shard(config: CollectShard, context: Context) -> Report:
    """Writes the documents of a shard; an item that cannot be read is dropped as `unreadable`, with a warning."""
    return write_shard(collection(config.collection), config)


def write_shard(made_of: Collection, config: CollectShard) -> Report:
    """Writes the documents of a shard of `made_of`, whole or not at all."""
    problems: list[str] = []
    counts = Counts()
    writer = _native.LineWriter(config.path)
    try:
        for document in made_of.documents(config.shard, problems):
            document["source"] = config.source
            size = len(document["text"].encode())
            counts.documents_in += 1
            counts.documents_out += 1
            counts.bytes_in += size
            counts.bytes_out += size
            writer.write(msgspec.json.encode(document) + b"\n")
        size, blake3 = writer.finish()
    except BaseException:
        writer.abort()
        raise
    if problems:
        counts.documents_in += len(problems)
        counts.dropped["unreadable"] = len(problems)
    return Report(
        counts={config.source: counts},
        outputs=[Output(config.path, size, blake3)],
        warnings=warnings(made_of.name, config.shard, problems),
    )


def warnings(name: str, shard: str, problems: list[str]) -> list[str]:
    """One sentence for all the problems of a shard, the first few spelled out."""
    if not problems:
        return []
    rest = len(problems) - LISTED_PROBLEMS
    listed = "; ".join(problems[:LISTED_PROBLEMS]) + (f"; and {rest} more" if rest > 0 else "")
    return [f"collection `{name}`, shard {shard}: left out what cannot be read: {listed}"]
