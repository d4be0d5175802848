"""mix: drop, edit and sample documents by their attributes. One pass; with a budget, measure, plan and write."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
from msgspec import Struct

from dolma_pipeline.config.recipe import Mix
from dolma_pipeline.engine.corpus import Corpus, stem
from dolma_pipeline.engine.pieces import ROWS, part_of, pieces_phase
from dolma_pipeline.engine.stage import Builder, Phase, Shard, StageInfo, State
from dolma_pipeline.engine.task import BadInput, Context, Counts, Output, Report, Task, make_task
from dolma_pipeline.errors import ConfigError
from dolma_pipeline.formats.documents import Documents, read_documents
from dolma_pipeline.formats.parquet_documents import document_writer
from dolma_pipeline.formats.quarantine import SetAside
from dolma_pipeline.io.atomic import read_json
from dolma_pipeline.mixers.attribute_files import MixInput
from dolma_pipeline.mixers.computed import Computed, ComputedTags, computed_inputs
from dolma_pipeline.mixers.decide import Decider
from dolma_pipeline.mixers.keys import Earlier, sanitize
from dolma_pipeline.mixers.names import resolve_names
from dolma_pipeline.mixers.sampling import Rate
from dolma_pipeline.report.units import counted
from dolma_pipeline.stages.mix_budget import plan_measures, sampling_hashes
from dolma_pipeline.stages.mix_groups import Group, groups
from dolma_pipeline.stages.mix_pieces import FINDINGS, counting_phase, first_rows, join_group, pieces_of
from dolma_pipeline.stages.tag import FAILED

VERSION = 5
COMPUTED_VERSION = 6
"""The version of a mix that computes attributes itself."""
BATCH_BYTES = 2 << 20
"""Text of one batch. A mix holds its documents as text, as lines and as edited text at once, so a larger batch takes
the more memory; with half of it, what each batch costs beside its documents was a fifteenth of a pass that filters."""
TAGGER_FAILED = "tagger_failed"
"""The first rule where taggers may set documents aside: those are in quarantine, and so not in the output."""
SAMPLED_OUT = "budget"
"""The rule under which documents count that the budget has no room for."""


class MixShards(Struct, frozen=True, kw_only=True):
    """Inputs, all of one source, decided in order, into one output file."""

    mix: Mix
    source: str
    inputs: list[MixInput]
    names: dict[str, tuple[str, str]]
    """Attributes that the rules name, as (experiment, key)."""
    seed: int
    path: str
    rates: str | None = None
    computed: list[ComputedTags] = []
    """Taggers to run while reading; see mixers/computed.py."""


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
            stream = read_documents(
                each.path, columns=each.columns, keep_raw=True, batch_bytes=BATCH_BYTES, piece=each.piece
            )
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
    where = f"$.stages[{number - 1}].mix"
    final = f"{number:02d}-{config.name}"
    corpus, places = builder.corpus, builder.places
    if corpus.failures and TAGGER_FAILED not in config.drop:
        failed = " or ".join(f"{sanitize(e)}.{'.'.join(FAILED)}" for e in corpus.failures)
        config = msgspec.structs.replace(config, drop={TAGGER_FAILED: failed, **config.drop})
    if config.format == "input" and config.max_size_in_bytes:
        raise ConfigError(f"{where}.format: `input` goes with one output per input, found max_size_in_bytes")
    computed = corpus.computed
    names = resolve_names(config, corpus.keys, corpus.attributes, where, corpus.kinds, corpus.earlier)
    deciding = sorted({e for e, _ in names.values() if e in corpus.attributes})
    if config.select is not None or any(e.span is not None for e in config.edit):
        deciding = list(corpus.attributes)
    written = list(corpus.attributes) if config.keep_attributes else deciding
    directory = places.directory(config.destination, "mixed", config.name)
    quarantine = {s.id: builder.quarantine(s) for s in corpus.shards}
    seed, raw = builder.recipe.seed, corpus.raw

    def input_of(s: Shard, experiments: list[str]) -> MixInput:
        return MixInput(
            source=s.source,
            path=s.path,
            label=Path(s.path).name if config.as_dolma else s.label,
            name=stem(s.name),
            columns=s.columns,
            attributes={e: corpus.attributes[e][s.id] for e in experiments if s.id in corpus.attributes[e]},
            quarantine=quarantine[s.id],
        )

    def inputs(group: Group, experiments: list[str]) -> list[MixInput]:
        return [input_of(s, experiments) for s in group.shards]

    measured: tuple[str, ...] = ()
    rates = None
    if config.budget is not None:
        rates, measured = plan_measures(builder, number, config, names, lambda shard: input_of(shard, deciding))
    builder.flush()
    all_groups = list(groups(corpus.shards, config, directory, builder.size_of, where))
    _claim(builder, all_groups, config, directory, f"{where}.destination")

    def files(read: list[MixInput]) -> list[str]:
        return [p for i in read for p in (i.path, *i.attributes.values())]

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
            version=COMPUTED_VERSION if computed else VERSION,
        )

    divided = {g.output.id: pieces for g in all_groups if (pieces := pieces_of(g, config, builder))}
    beside = any(input_of(g.shards[0], written).attributes for g in all_groups if g.output.id in divided)
    counts_phase = corpus.read_in_pieces or f"{final}-rows"

    def build_pieces(state: State) -> Iterator[Task]:
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
                yield mix_task(pieces_phase(final), piece.id, g.source, [read], path)

    def build_mix(state: State) -> Iterator[Task]:
        return (
            join_group(places, raw, final, g, divided[g.output.id], state)
            if g.output.id in divided
            else mix_task(final, g.output.id, g.source, inputs(g, written), g.output.path)
            for g in all_groups
        )

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
    phases = (*measured, *in_pieces, final)
    builder.stages.append(StageInfo(id=final, kind="mix", counted=(final,), phases=phases, described=measured[1:]))
    builder.count_with((c.stage for c in computed), final)
    earlier = [*corpus.earlier, Earlier(stage=where, keys=corpus.keys, files=corpus.attributes)]
    builder.corpus = Corpus(shards=[g.output for g in all_groups], earlier=earlier, raw=False)
