"""mix: drop, edit and sample documents by their attributes. One pass; with a budget, measure, plan and write."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
from msgspec import Struct

from dolma_pipeline import _native
from dolma_pipeline.config.recipe import Mix, Tokenizer, Tokens, config_of
from dolma_pipeline.engine.corpus import Corpus, stem
from dolma_pipeline.engine.pieces import ROWS, part_of, pieces_phase
from dolma_pipeline.engine.stage import Builder, Phase, Shard, StageInfo, State
from dolma_pipeline.engine.task import BadInput, Context, Counts, Output, Report, Task, make_task
from dolma_pipeline.errors import ConfigError, DataError
from dolma_pipeline.formats.documents import Documents, read_documents
from dolma_pipeline.formats.parquet_documents import document_writer
from dolma_pipeline.formats.quarantine import SetAside, longest_line
from dolma_pipeline.io.atomic import read_json, write_json
from dolma_pipeline.mixers.attribute_files import MixInput
from dolma_pipeline.mixers.computed import Computed, ComputedTags, computed_inputs
from dolma_pipeline.mixers.decide import Decider
from dolma_pipeline.mixers.keys import sanitize
from dolma_pipeline.mixers.names import resolve_names
from dolma_pipeline.mixers.per_token import (
    FileMeasure,
    TextSample,
    TokenSample,
    bytes_per_token,
    encode_sample,
    share_of_file,
)
from dolma_pipeline.mixers.sampling import Hashes, Rate, SourceHistogram, located_hashes, plan_budget
from dolma_pipeline.report.units import counted
from dolma_pipeline.stages.mix_groups import Group, groups
from dolma_pipeline.stages.mix_pieces import FINDINGS, counting_phase, first_rows, join_group, pieces_of
from dolma_pipeline.stages.tag import FAILED
from dolma_pipeline.tokens.engine import tokenizer_file

VERSION = 5
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
    """Attributes that the rules name, as (experiment, key)."""
    seed: int
    path: str
    tokenizer: Tokenizer | None = None
    """Tokenizer of a later stage: with it a sample of the documents is encoded, for a budget of tokens."""
    sample_bytes: int = 0
    """Bytes of text in that sample."""


class MixShards(MeasureShards, frozen=True, kw_only=True):
    """The same inputs, decided in order, into one output file."""

    rates: str | None = None
    computed: list[ComputedTags] = []
    """Taggers to run while reading; see mixers/computed.py."""


class PlanBudget(Struct, frozen=True, kw_only=True):
    """Add the measures of all shards up and choose each source's rate."""

    mix: Mix
    measures: list[str]
    path: str
    where: str
    assumed: str = ""
    """Why the bytes per token are assumed, where they are."""


class Measure(Struct, frozen=True, kw_only=True):
    """A measure on disk."""

    source: str
    histogram: SourceHistogram
    sample: TokenSample = TokenSample()


def sampling_seed(seed: int, name: str) -> int:
    """Two mixes of one recipe draw independently."""
    digest = pa.array([name], pa.large_string())
    return int(_native.keyed_hash(digest, seed)[0].as_py())


def measure(config: MeasureShards, context: Context) -> Report:
    decider = Decider(config.mix, config.names)
    histogram = SourceHistogram()
    sample = TextSample(config.sample_bytes)
    for each in config.inputs:
        longest = longest_line(each.quarantine)
        stream = read_documents(each.path, columns=each.columns, keep_raw=True, max_line_bytes=longest)
        for decision in decider.decisions(each, stream):
            # The mix itself sets bad lines aside.
            stream.take_bad()
            kept = decision.kept
            hashes = sampling_hashes(decision.documents, each.name, config.seed, config.mix.name)
            sizes = decision.sizes()[kept]
            histogram.add(hashes[kept], sizes)
            if config.tokenizer is not None:
                sample.add(hashes[kept], decision.final_texts().filter(pa.array(kept)), sizes)
    encoded = TokenSample()
    if config.tokenizer is not None and sample.texts:
        encoded = encode_sample(sample, config.tokenizer, context)
    written = write_json(config.path, Measure(source=config.source, histogram=histogram, sample=encoded))
    return Report(outputs=[written])


def sampling_hashes(documents: Documents, file: str, seed: int, mix: str) -> Hashes:
    """The place of each document in the draw: a hash of its id, file and line, for ids may repeat."""
    return located_hashes(documents.id, file, documents.line, sampling_seed(seed, mix))


def plan_rates(config: PlanBudget, context: Context) -> Report:
    histograms: dict[str, SourceHistogram] = {}
    files: dict[str, list[FileMeasure]] = {}
    for path in config.measures:
        found: Measure = read_json(path, Measure)
        histograms.setdefault(found.source, SourceHistogram()).merge(found.histogram)
        size, documents = found.histogram.size, found.histogram.documents
        files.setdefault(found.source, []).append(
            FileMeasure(documents=documents, text_bytes=size, sample=found.sample)
        )
    if config.mix.budget is None:
        raise DataError(f"{config.where}: expected a budget")
    measured = {source: per for source, each in files.items() if (per := bytes_per_token(each)) is not None}
    budget = plan_budget(config.mix.budget, histograms, config.where, measured)
    written = write_json(config.path, budget.rates)
    account = budget.account()
    if account["unit"] == "tokens":
        account["bytes_per_token"] = "given" if config.mix.budget.bytes_per_token else "measured"
        if config.assumed:
            account["bytes_per_token"] = f"assumed: {config.assumed}"
    details = {"rates": msgspec.to_builtins(budget.rates), "budget": account}
    return Report(outputs=[written], details=details, warnings=budget.warnings(f"{config.where}.budget"))


def mix_shards(config: MixShards, context: Context) -> Report:
    mix = config.mix
    decider = Decider(mix, config.names, Computed(config.computed, context) if config.computed else None)
    counts = Counts()
    edited: Counter[str] = Counter()
    outputs: list[Output] = []
    warnings: list[str] = []
    bad: list[BadInput] = []
    rate = None
    if config.rates is not None:
        rate = read_json(config.rates, dict[str, Rate]).get(config.source)
    writer = document_writer(config.path)
    try:
        for each in config.inputs:
            stream = read_documents(each.path, columns=each.columns, keep_raw=True, piece=each.piece)
            there = {*each.attributes, *(e for stage in config.computed for e, _ in stage.experiments)}
            for experiment in sorted({e for e, _ in config.names.values()} - there):
                decider.use.file_lacks(experiment, config.source)
            with SetAside(stream, each.quarantine, counts) as aside:
                for decision in decider.decisions(each, stream):
                    copies = _copies(decision.rule, decision.documents, each.name, rate, config)
                    documents, text_bytes = writer.write_documents(
                        decision.documents.records,
                        copies=pa.array(copies, pa.uint32()),
                        texts=decision.texts,
                        attributes=decision.attributes,
                        provenance=each.label if mix.provenance else None,
                        discard=mix.discard_fields,
                        always_provenance=mix.as_dolma,
                    )
                    _count(counts, decision.rule, decision.documents, copies, decider.rules)
                    counts.documents_out += documents
                    counts.bytes_out += text_bytes
                    counts.add(Counts(unjudged=decision.unjudged, differs=decision.differs))
                    edited.update(decision.edited)
                    aside.take()
            outputs += aside.outputs
            bad += aside.bad
            warnings += decider.warnings
        size, digest = writer.finish()
    except BaseException:
        writer.abort()
        raise
    counts.edited = dict(sorted(edited.items()))
    outputs.append(Output(config.path, size, digest))
    use = decider.use.details()
    details: dict[str, Any] = {"use": use} if use else {}
    if config.inputs[0].piece is not None:
        details |= {ROWS: stream.documents, FINDINGS: msgspec.to_builtins(decider.findings)}
    return Report(counts={config.source: counts}, outputs=outputs, details=details, warnings=warnings, bad=bad)


def _copies(
    rule: np.ndarray[tuple[int], np.dtype[np.int16]],
    documents: Documents,
    file: str,
    rate: Rate | None,
    config: MixShards,
) -> np.ndarray[tuple[int], np.dtype[np.uint32]]:
    copies = (rule < 0).astype(np.uint32)
    if rate is not None:
        hashes = sampling_hashes(documents, file, config.seed, config.mix.name)
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


def _claim(builder: Builder, all_groups: list[Group], config: Mix, directory: Path, where: str) -> None:
    remedy = "another name or destination"
    if config.max_size_in_bytes:
        builder.claim(directory, f"{config.name}-[0-9][0-9][0-9][0-9].*", where=where, remedy=remedy)
        return
    for group in all_groups:
        builder.claim(group.output.path, where=where, remedy=remedy, source=group.shards[0].path)


def plan(builder: Builder, number: int, config: Mix) -> None:
    builder.flush()
    where = f"$.stages[{number - 1}].mix"
    final = f"{number:02d}-{config.name}"
    measured, sampled = f"{final}-measure", f"{final}-sample"
    corpus, places = builder.corpus, builder.places
    if corpus.failures and TAGGER_FAILED not in config.drop:
        failed = " or ".join(f"{sanitize(e)}.{'.'.join(FAILED)}" for e in corpus.failures)
        config = msgspec.structs.replace(config, drop={TAGGER_FAILED: failed, **config.drop})
    if config.format == "input" and config.max_size_in_bytes:
        raise ConfigError(f"{where}.format: `input` goes with one output per input, found max_size_in_bytes")
    computed = corpus.computed
    names = resolve_names(config, corpus.keys, corpus.attributes, where)
    deciding = sorted({e for e, _ in names.values() if e in corpus.attributes})
    if config.select is not None or any(e.span is not None for e in config.edit):
        deciding = list(corpus.attributes)
    written = list(corpus.attributes) if config.keep_attributes else deciding
    directory = places.directory(config.destination, "mixed", config.name)
    quarantine = {s.id: builder.quarantine(s) for s in corpus.shards}
    all_groups = list(groups(corpus.shards, config, directory, builder.size_of, where))
    _claim(builder, all_groups, config, directory, f"{where}.destination")
    seed, raw = builder.recipe.seed, corpus.raw

    def input_of(s: Shard, experiments: list[str]) -> MixInput:
        return MixInput(
            path=s.path,
            label=Path(s.path).name if config.as_dolma else s.label,
            name=stem(s.name),
            columns=s.columns,
            attributes={e: corpus.attributes[e][s.id] for e in experiments if s.id in corpus.attributes[e]},
            quarantine=quarantine[s.id],
        )

    def inputs(group: Group, experiments: list[str]) -> list[MixInput]:
        return [input_of(s, experiments) for s in group.shards]

    def files(read: list[MixInput]) -> list[str]:
        return [p for i in read for p in (i.path, *i.attributes.values())]

    def measure_path(group: Group) -> str:
        return places.scratch(measured, group.output, ".json")

    tokenizer, assumed = _tokenizer(builder, number, config)
    files_of = Counter(g.source for g in all_groups)
    rates = str(places.work_dir / "scratch" / sampled / "rates.json") if config.budget is not None else None

    def build_measures(state: State) -> list[Task]:
        measuring = msgspec.structs.replace(config, keep_attributes=False)
        tasks = []
        for g in all_groups:
            read = inputs(g, deciding)
            task = MeasureShards(
                mix=measuring,
                source=g.source,
                inputs=read,
                names=names,
                seed=seed,
                path=measure_path(g),
                tokenizer=tokenizer,
                sample_bytes=share_of_file(files_of[g.source]) if tokenizer is not None else 0,
            )
            tasks.append(
                make_task(
                    phase=measured,
                    name=g.output.id,
                    run=f"{__name__}:measure",
                    config=task,
                    inputs=(
                        *files(read),
                        *([str(tokenizer_file(tokenizer.path))] if tokenizer and tokenizer.path else []),
                    ),
                    version=VERSION,
                )
            )
        return tasks

    def build_rates(state: State) -> list[Task]:
        measures = [measure_path(g) for g in all_groups]
        task = PlanBudget(mix=config, measures=measures, path=rates or "", where=where, assumed=assumed)
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

    def mix_task(phase: str, name: str, source: str, read: list[MixInput], path: str) -> Task:
        task = MixShards(
            mix=config, source=source, inputs=read, names=names, seed=seed, path=path, rates=rates, computed=computed
        )
        return make_task(
            phase=phase,
            name=name,
            run=f"{__name__}:mix_shards",
            config=task,
            inputs=(*files(read), *([rates] if rates is not None else []), *computed_inputs(computed)),
            version=VERSION,
        )

    divided = {g.output.id: pieces for g in all_groups if (pieces := pieces_of(g, config, builder))}
    beside = any(input_of(g.shards[0], written).attributes for g in all_groups if g.output.id in divided)
    counts_phase = corpus.read_in_pieces or f"{final}-rows"

    def build_pieces(state: State) -> list[Task]:
        tasks = []
        for g in all_groups:
            pieces = divided.get(g.output.id)
            if pieces is None:
                continue
            whole = input_of(g.shards[0], written)
            reports = state.reports.get(counts_phase, {})
            rows = first_rows(pieces, reports) if beside else [0] * len(pieces)
            for piece, row in zip(pieces, rows, strict=True):
                aside = builder.places.quarantine(piece) if whole.quarantine is not None else None
                read = msgspec.structs.replace(whole, piece=piece.piece, first_row=row, quarantine=aside)
                path = part_of(builder.places, final, piece, 0, g.output.path)
                tasks.append(mix_task(pieces_phase(final), piece.id, g.source, [read], path))
        return tasks

    def build_mix(state: State) -> list[Task]:
        return [
            join_group(places, raw, final, g, divided[g.output.id], state)
            if g.output.id in divided
            else mix_task(final, g.output.id, g.source, inputs(g, written), g.output.path)
            for g in all_groups
        ]

    if rates is not None:
        what = f"measure what {counted(len(all_groups), 'shard')} would keep"
        builder.add_phase(Phase(id=measured, what=what, build=build_measures))
        builder.add_phase(Phase(id=sampled, what="choose a rate for each source", build=build_rates, after=[measured]))
    in_pieces = []
    if divided:
        every = [piece for pieces in divided.values() for piece in pieces]
        if beside and corpus.read_in_pieces is None:
            builder.add_phase(counting_phase(counts_phase, every))
            in_pieces.append(counts_phase)
        in_pieces.append(pieces_phase(final))
        what = f"mix {counted(len(every), 'piece')} of {counted(len(divided), 'shard')}"
        after = [counts_phase] if beside else []
        builder.add_phase(Phase(id=in_pieces[-1], what=what, build=build_pieces, after=after))
    what = ", ".join(
        counted(n, what)
        for n, what in ((len(config.drop), "rule"), (len(config.edit), "edit"), (len(all_groups), "output"))
    )
    builder.add_phase(Phase(id=final, what=what, build=build_mix, after=in_pieces))
    phases = (measured, sampled, *in_pieces, final)
    builder.stages.append(StageInfo(id=final, kind="mix", counted=(final,), phases=phases, described=(sampled,)))
    builder.count_with((c.stage for c in computed), final)
    builder.corpus = Corpus(shards=[g.output for g in all_groups], raw=False)


def _tokenizer(builder: Builder, number: int, config: Mix) -> tuple[Tokenizer | None, str]:
    """The tokenizer by which a budget of tokens is measured; or None, and why the bytes per token are assumed."""
    if config.budget is None or config.budget.tokens is None or config.budget.bytes_per_token is not None:
        return None, ""
    later = [c for c in map(config_of, builder.recipe.stages[number:]) if isinstance(c, Tokens)]
    if not later:
        return None, "no `tokens` stage follows"
    if later[0].tokenizer.path is None:
        return None, "the tokenizer is trained after the mix"
    if later[0].text_field != "text":
        return None, f"the `tokens` stage reads the field `{later[0].text_field}`"
    return later[0].tokenizer, ""
