"""mix: drop, edit and sample documents by their attributes. One pass; with a budget, measure, plan and write."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import msgspec
import numpy as np
import pyarrow as pa
from msgspec import Struct

from dolma_pipeline import _native
from dolma_pipeline.errors import DataError
from dolma_pipeline.formats.documents import Documents, read_documents
from dolma_pipeline.formats.parquet_documents import document_writer
from dolma_pipeline.formats.quarantine import SetAside
from dolma_pipeline.mixers.decide import Decider, MixInput
from dolma_pipeline.mixers.keys import sanitize
from dolma_pipeline.mixers.names import resolve_names
from dolma_pipeline.mixers.sampling import Rate, SourceHistogram, plan_budget
from dolma_pipeline.plan import Builder, Phase, StageInfo, State
from dolma_pipeline.recipe import Mix
from dolma_pipeline.report.units import counted
from dolma_pipeline.stages.corpus import Corpus, Shard, stem
from dolma_pipeline.stages.tag import FAILED
from dolma_pipeline.storage import output, read_json, write_json
from dolma_pipeline.task import Context, Counts, Output, Report, Task, make_task

VERSION = 4
TAGGER_FAILED = "tagger_failed"
"""The first rule where taggers may set documents aside: those are in quarantine, and so not in the output."""
SAMPLED_OUT = "budget"
"""The rule under which documents count that the budget has no room for."""


class MeasureShards(Struct, frozen=True, kw_only=True):
    """How much of the inputs, all of one source, would be kept, by sampling key: what a budget is planned with."""

    mix: Mix
    source: str
    inputs: list[MixInput]
    names: dict[str, tuple[str, str]]
    """Of the attributes the rules speak of: (experiment, key)."""
    seed: int
    path: str


class MixShards(MeasureShards, frozen=True, kw_only=True):
    """The same inputs, decided in order, into one output file."""

    rates: str | None = None


class PlanBudget(Struct, frozen=True, kw_only=True):
    """Add the measures of all shards up and choose each source's rate."""

    mix: Mix
    measures: list[str]
    path: str
    where: str


class Measure(Struct, frozen=True, kw_only=True):
    """A measure on disk."""

    source: str
    histogram: SourceHistogram


def sampling_seed(seed: int, name: str) -> int:
    """Two mixes of one recipe draw independently."""
    digest = pa.array([name], pa.large_string())
    return int(_native.keyed_hash(digest, seed)[0].as_py())


def measure(config: MeasureShards, context: Context) -> Report:
    decider = Decider(config.mix, config.names)
    histogram = SourceHistogram()
    for each in config.inputs:
        stream = read_documents(each.path, columns=each.columns, keep_raw=True)
        for decision in decider.decisions(each, stream):
            # The mix itself sets bad lines aside.
            stream.take_bad()
            kept = decision.kept
            hashes = sampling_hashes(decision.documents, config.seed, config.mix.name)
            histogram.add(hashes[kept], decision.sizes()[kept])
    write_json(config.path, Measure(source=config.source, histogram=histogram))
    return Report(outputs=[output(config.path)])


def sampling_hashes(documents: Documents, seed: int, name: str) -> np.ndarray[tuple[int], np.dtype[np.uint64]]:
    return np.asarray(_native.keyed_hash(documents.id, sampling_seed(seed, name)).to_numpy(zero_copy_only=False))


def plan_rates(config: PlanBudget, context: Context) -> Report:
    histograms: dict[str, SourceHistogram] = {}
    for path in config.measures:
        found: Measure = read_json(path, Measure)
        histograms.setdefault(found.source, SourceHistogram()).merge(found.histogram)
    if config.mix.budget is None:
        raise DataError(f"{config.where}: expected a budget")
    rates = plan_budget(config.mix.budget, histograms, config.where)
    write_json(config.path, rates)
    return Report(outputs=[output(config.path)], details={"rates": msgspec.to_builtins(rates)})


def mix_shards(config: MixShards, context: Context) -> Report:
    mix = config.mix
    decider = Decider(mix, config.names)
    counts = Counts()
    edited: Counter[str] = Counter()
    outputs: list[Output] = []
    warnings: list[str] = []
    rate = None
    if config.rates is not None:
        rate = read_json(config.rates, dict[str, Rate]).get(config.source)
    writer = document_writer(config.path)
    try:
        for each in config.inputs:
            stream = read_documents(each.path, columns=each.columns, keep_raw=True)
            with SetAside(stream, each.quarantine, counts) as aside:
                for decision in decider.decisions(each, stream):
                    copies = _copies(decision.rule, decision.documents, rate, config)
                    documents, text_bytes = writer.write_documents(
                        decision.documents.records,
                        copies=pa.array(copies, pa.uint32()),
                        texts=decision.texts,
                        attributes=decision.attributes,
                        provenance=each.label if mix.provenance else None,
                        discard=mix.discard_fields,
                    )
                    _count(counts, decision.rule, decision.documents, copies, decider.rules)
                    counts.documents_out += documents
                    counts.bytes_out += text_bytes
                    edited.update(decision.edited)
                    aside.take()
            outputs += aside.outputs
            warnings += decider.warnings
        size, digest = writer.finish()
    except BaseException:
        writer.abort()
        raise
    counts.edited = dict(sorted(edited.items()))
    outputs.append(Output(config.path, size, digest))
    return Report(counts={config.source: counts}, outputs=outputs, warnings=warnings)


def _copies(
    rule: np.ndarray[tuple[int], np.dtype[np.int16]],
    documents: Documents,
    rate: Rate | None,
    config: MixShards,
) -> np.ndarray[tuple[int], np.dtype[np.uint32]]:
    copies = (rule < 0).astype(np.uint32)
    if rate is not None:
        hashes = sampling_hashes(documents, config.seed, config.mix.name)
        copies *= rate.take(hashes)
    return copies


def _count(
    counts: Counts,
    rule: np.ndarray[tuple[int], np.dtype[np.int16]],
    documents: Documents,
    copies: np.ndarray[tuple[int], np.dtype[np.uint32]],
    rules: list[str],
) -> None:
    counts.documents_in += len(documents)
    counts.bytes_in += documents.text_bytes
    counts.repeated += int(np.maximum(copies.astype(np.int64) - 1, 0).sum())
    hits = np.bincount(rule[rule >= 0], minlength=len(rules))
    for name, hit in zip(rules, hits.tolist(), strict=True):
        if hit:
            counts.dropped[name] = counts.dropped.get(name, 0) + hit
    sampled_out = int(((rule < 0) & (copies == 0)).sum())
    if sampled_out:
        counts.dropped[SAMPLED_OUT] = counts.dropped.get(SAMPLED_OUT, 0) + sampled_out


class Group(Struct, frozen=True, kw_only=True):
    """The shards that become one output."""

    source: str
    shards: list[Shard]
    output: Shard


def groups(shards: list[Shard], mix: Mix, directory: Path) -> Iterator[Group]:
    """One output per input, named like it; or, with a size, as many neighbours of one source as fit in it."""
    if mix.max_size_in_bytes == 0:
        for shard in shards:
            name = f"{stem(shard.name)}.{mix.format}"
            path = directory / "documents" / shard.source / name
            label = f"{mix.name}/{shard.source}/{name}"
            yield Group(
                source=shard.source,
                shards=[shard],
                output=Shard(source=shard.source, name=name, path=str(path), label=label),
            )
        return
    together: list[Shard] = []
    total = number = 0
    for shard in shards:
        size = Path(shard.path).stat().st_size if Path(shard.path).is_file() else 0
        if together and (total + size > mix.max_size_in_bytes or shard.source != together[0].source):
            yield _joined(together, mix, directory, number)
            together, total, number = [], 0, number + 1
        together.append(shard)
        total += size
    if together:
        yield _joined(together, mix, directory, number)


def _joined(shards: list[Shard], mix: Mix, directory: Path, number: int) -> Group:
    name = f"{mix.name}-{number:04d}.{mix.format}"
    source = shards[0].source
    shard = Shard(source=source, name=name, path=str(directory / name), label=f"{mix.name}/{name}")
    return Group(source=source, shards=shards, output=shard)


def plan(builder: Builder, number: int, config: Mix) -> None:
    builder.flush()
    where = f"$.stages[{number - 1}].mix"
    final = f"{number:02d}-{config.name}"
    measured, sampled = f"{final}-measure", f"{final}-sample"
    corpus, places = builder.corpus, builder.places
    if corpus.failures and TAGGER_FAILED not in config.drop:
        failed = " or ".join(f"{sanitize(e)}.{'.'.join(FAILED)}" for e in corpus.failures)
        config = msgspec.structs.replace(config, drop={TAGGER_FAILED: failed, **config.drop})
    names = resolve_names(config, corpus.keys, corpus.attributes, where)
    deciding = sorted({e for e, _ in names.values()})
    if config.select is not None or any(e.span is not None for e in config.edit):
        deciding = list(corpus.attributes)
    written = list(corpus.attributes) if config.keep_attributes else deciding
    directory = places.directory(config.destination, "mixed", config.name)
    quarantine = {s.id: builder.quarantine(s) for s in corpus.shards}
    all_groups = list(groups(corpus.shards, config, directory))
    seed = builder.recipe.seed

    def inputs(group: Group, experiments: list[str]) -> list[MixInput]:
        return [
            MixInput(
                path=s.path,
                label=s.label,
                columns=s.columns,
                attributes={e: corpus.attributes[e][s.id] for e in experiments if s.id in corpus.attributes[e]},
                quarantine=quarantine[s.id],
            )
            for s in group.shards
        ]

    def files(read: list[MixInput]) -> list[str]:
        return [p for i in read for p in (i.path, *i.attributes.values())]

    def measure_path(group: Group) -> str:
        return str(places.scratch(measured, group.output, ".json"))

    rates = str(places.work_dir / "scratch" / sampled / "rates.json") if config.budget is not None else None

    def build_measures(state: State) -> list[Task]:
        measuring = msgspec.structs.replace(config, keep_attributes=False)
        tasks = []
        for g in all_groups:
            read = inputs(g, deciding)
            task = MeasureShards(
                mix=measuring, source=g.source, inputs=read, names=names, seed=seed, path=measure_path(g)
            )
            tasks.append(
                make_task(
                    phase=measured,
                    name=g.output.id,
                    run=f"{__name__}:measure",
                    config=task,
                    inputs=tuple(files(read)),
                    version=VERSION,
                )
            )
        return tasks

    def build_rates(state: State) -> list[Task]:
        measures = [measure_path(g) for g in all_groups]
        task = PlanBudget(mix=config, measures=measures, path=rates or "", where=where)
        return [
            make_task(
                phase=sampled,
                name="rates",
                run=f"{__name__}:plan_rates",
                config=task,
                inputs=measures,
                version=VERSION,
            )
        ]

    def build_mix(state: State) -> list[Task]:
        tasks = []
        for g in all_groups:
            read = inputs(g, written)
            task = MixShards(
                mix=config, source=g.source, inputs=read, names=names, seed=seed, path=g.output.path, rates=rates
            )
            tasks.append(
                make_task(
                    phase=final,
                    name=g.output.id,
                    run=f"{__name__}:mix_shards",
                    config=task,
                    inputs=(*files(read), *([rates] if rates is not None else [])),
                    version=VERSION,
                )
            )
        return tasks

    if rates is not None:
        what = f"measure what {counted(len(all_groups), 'shard')} would keep"
        builder.add_phase(Phase(id=measured, what=what, build=build_measures))
        builder.add_phase(Phase(id=sampled, what="choose a rate for each source", build=build_rates, after=[measured]))
    what = ", ".join(
        counted(n, what)
        for n, what in ((len(config.drop), "rule"), (len(config.edit), "edit"), (len(all_groups), "output"))
    )
    builder.add_phase(Phase(id=final, what=what, build=build_mix))
    builder.stages.append(StageInfo(id=final, kind="mix", counted=(final,), phases=(measured, sampled, final)))
    builder.corpus = Corpus(shards=[g.output for g in all_groups], raw=False)
