"""The budget of a mix: what would be kept is measured shard by shard, and one task chooses a rate for each source."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator

import msgspec
import pyarrow as pa
from msgspec import Struct

from dolma_pipeline import _native
from dolma_pipeline.config.recipe import Mix, Tokenizer, Tokens, config_of
from dolma_pipeline.engine.stage import Builder, Call, Documents, MapReduce, Op, Shard, ShardRead, State
from dolma_pipeline.engine.task import Context, Report
from dolma_pipeline.errors import DataError
from dolma_pipeline.formats.documents import DocumentStream
from dolma_pipeline.io.atomic import read_json, write_json
from dolma_pipeline.mixers.attribute_files import MixInput
from dolma_pipeline.mixers.decide import Decider
from dolma_pipeline.mixers.per_token import (
    FileMeasure,
    TextSample,
    TokenSample,
    bytes_per_token,
    encode_sample,
    share_of_file,
)
from dolma_pipeline.mixers.sampling import Hashes, SourceHistogram, located_hashes, plan_budget
from dolma_pipeline.report.units import counted
from dolma_pipeline.stages.rule_input import files_of

VERSION = 6


class MeasureShard(Struct, frozen=True, kw_only=True):
    """How much of a shard would be kept, by sampling key: what a budget is planned with."""

    mix: Mix
    read: MixInput
    names: dict[str, tuple[str, str]]
    """Attributes that the rules name, as (experiment, key)."""
    seed: int
    path: str
    tokenizer: Tokenizer | None = None
    """Tokenizer of a later stage: with it a sample of the documents is encoded, for a budget of tokens."""
    sample_bytes: int = 0
    """Bytes of text in that sample."""


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


def sampling_hashes(documents: Documents, file: str, seed: int, mix: str) -> Hashes:
    """The place of each document in the draw: a hash of its id, file and line, for ids may repeat."""
    return located_hashes(documents.id, file, documents.line, sampling_seed(seed, mix))


class MeasureOp(Op):
    """What the rules and edits of a mix leave of a shard, and a sample of its texts."""

    keep_raw = True

    def __init__(self, config: MeasureShard, context: Context) -> None:
        self.config = config
        self._context = context
        self._batches = _Batches(config.read.path)
        self._decisions = Decider(config.mix, config.names, made=context.made).decisions(config.read, self._batches)
        self._histogram = SourceHistogram()
        self._sample = TextSample(config.sample_bytes)

    def add(self, documents: Documents) -> None:
        config = self.config
        self._batches.give(documents)
        decision = next(self._decisions)
        kept = decision.kept
        hashes = sampling_hashes(decision.documents, config.read.name, config.seed, config.mix.name)
        sizes = decision.sizes()[kept]
        self._histogram.add(hashes[kept], sizes)
        if config.tokenizer is not None:
            self._sample.add(hashes[kept], decision.final_texts().filter(pa.array(kept)), sizes)

    def finish(self, read: ShardRead) -> Report:
        self._batches.damage = read.damage
        # Without another batch the decisions end, and with them the attribute files must.
        next(self._decisions, None)
        encoded = TokenSample()
        if self.config.tokenizer is not None and self._sample.texts:
            encoded = encode_sample(self._sample, self.config.tokenizer, self._context)
        measure = Measure(source=self.config.read.source, histogram=self._histogram, sample=encoded)
        return Report(outputs=[write_json(self.config.path, measure)])


class _Batches(DocumentStream):
    """The documents of a file that is read elsewhere: each batch is given before it is asked for."""

    def __init__(self, path: str) -> None:
        super().__init__(path, columns=None, keep_raw=True, batch_bytes=0, max_line_bytes=0)
        self._given: Documents | None = None

    def give(self, documents: Documents) -> None:
        self._given = documents

    def _lines(self) -> Iterator[Documents]:
        while self._given is not None:
            documents, self._given = self._given, None
            yield documents

    _parquet = _lines


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


def plan_measures(
    builder: Builder,
    number: int,
    config: Mix,
    names: dict[str, tuple[str, str]],
    input_of: Callable[[Shard], MixInput],
) -> tuple[str, tuple[str, str]]:
    """Plans what is measured before a mix with a budget; returns the file of the rates, and the phases.

    `names`: (experiment, key) of each attribute that the mix names; `input_of`: what is read of a shard.
    """
    where = f"$.stages[{number - 1}].mix"
    stage = MapReduce(builder, number, "mix", VERSION, config.name)
    shards, seed = builder.corpus.shards, builder.recipe.seed
    tokenizer, assumed = _tokenizer(builder, number, config)
    encoded_with = []
    if tokenizer is not None and tokenizer.path:
        # It brings the library of tokenizers, which a mix without a budget does not need.
        from dolma_pipeline.tokens.engine import tokenizer_file

        encoded_with = [str(tokenizer_file(tokenizer.path))]
    files_of_source = Counter(shard.source for shard in shards)
    measuring = msgspec.structs.replace(config, keep_attributes=False)
    rates = builder.places.scratch_file(stage.phase("sample"), "rates.json")
    if config.select is not None or any(edit.span is not None for edit in config.edit):
        # Dolma's filters may read any attribute, and those are known when their file is written.
        builder.need((path for shard in shards for path in files_of(input_of(shard))), shares=False)

    def measure(shard: Shard, out: str) -> Call:
        settings = MeasureShard(
            mix=measuring,
            read=input_of(shard),
            names=names,
            seed=seed,
            path=out,
            tokenizer=tokenizer,
            sample_bytes=share_of_file(files_of_source[shard.source]) if tokenizer is not None else 0,
        )
        return Call(MeasureOp, settings, [*files_of(settings.read), *encoded_with])

    def choose(state: State) -> Call:
        settings = PlanBudget(mix=config, measures=stage.scratch, path=rates, where=where, assumed=assumed)
        return Call(plan_rates, settings, stage.scratch)

    what = f"measure what {counted(len(shards), 'shard')} would keep"
    stage.map("measure", what, shards, measure, suffix=".json")
    stage.reduce("rates", "choose a rate for each source", choose, part="sample")
    return rates, (stage.phase("measure"), stage.phase("sample"))


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
