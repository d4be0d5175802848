"""decontaminate: an op per shard, which shares the reading with its neighbours, and a task that adds the matches up."""

from __future__ import annotations

from dolma_pipeline.engine.stage import Builder, Call, MapReduce, Shard, State
from dolma_pipeline.formats.columns import takes_any_id
from dolma_pipeline.io.files import find_files
from dolma_pipeline.mixers.keys import sanitize
from dolma_pipeline.report.units import counted
from dolma_pipeline.stages.decontaminate.config import Decontaminate
from dolma_pipeline.stages.decontaminate.merge import MergeMatches, merge_matches
from dolma_pipeline.stages.decontaminate.op import KINDS, DecontaminateOp, DecontaminateShard, Index
from dolma_pipeline.stages.decontaminate.shared import LONG_PARAGRAPH

VERSION = 1
MATCHES = "matches.jsonl"


def plan(builder: Builder, number: int, config: Decontaminate) -> None:
    """Plans the stage. Evaluation files are read at once, so that a mistake in them is found before any work."""
    where = f"$.stages[{number - 1}].decontaminate"
    stage = MapReduce(builder, number, "decontaminate", VERSION, name=config.name)
    corpus, places = builder.corpus, builder.places
    evaluations = {
        name: [str(f) for f in find_files([given] if isinstance(given, str) else given, f"{where}.evaluations.{name}")]
        for name, given in config.evaluations.items()
    }
    index = Index(config, evaluations)
    counts = dict.fromkeys(evaluations, 0)
    for item in index.items:
        counts[item.evaluation] += 1
    shards = list(corpus.shards)
    files = {s.id: places.attributes(s, config.name, config.format) for s in shards}
    for s in shards:
        builder.claim_attributes(s, files[s.id], f"{where}.name", "another `name`")
    out = str(places.directory(None, "decontaminate", config.name) / MATCHES)
    builder.claim(out, where=f"{where}.name", remedy="another `name`")
    given = [path for paths in evaluations.values() for path in paths]

    def look(shard: Shard, scratch: str) -> Call:
        settings = DecontaminateShard(
            read=stage.input(shard),
            label=shard.label,
            config=config,
            evaluations=evaluations,
            any_id=takes_any_id(shard.columns, shard.path),
            attributes=files[shard.id],
            out=scratch,
        )
        return Call(DecontaminateOp, settings, [shard.path, *given])

    def merge(state: State) -> Call:
        settings = MergeMatches(
            name=config.name,
            found=scratch,
            items=counts,
            short=index.short,
            needs=needs_of(config),
            alarm=config.alarm,
            out=out,
        )
        return Call(merge_matches, settings, scratch)

    what = f"look for {counted(len(index.items), 'evaluation item')} in {counted(len(shards), 'shard')}"
    scratch = stage.map("shards", what, shards, look, suffix=".json")
    stage.reduce("merge", "bring the matches together", merge)
    stage.finish(counted=["shards"])
    corpus.attributes[config.name] = files
    corpus.kinds[config.name] = {f"{sanitize(config.name)}__{key}": kind for key, kind in KINDS.items()}
    corpus.keys[config.name] = list(corpus.kinds[config.name])


def needs_of(config: Decontaminate) -> str:
    """Returns what an item needs to be looked for, in words."""
    least = f"{config.min_words} words (`min_words`)"
    if config.method == "paragraphs":
        return f"{least} and a line of more than {LONG_PARAGRAPH}"
    if config.method == "ngrams":
        return f"{least}, {config.words} of them in the question"
    return f"{least}, {config.words} of them in the question, and a whole text that scores {config.least:g}"
