"""tokens: documents to flat token files. Encode per shard, then what `token_files` says of all stages of such files."""

from __future__ import annotations

import msgspec

from dolma_pipeline.config.recipe import Tokens
from dolma_pipeline.engine.corpus import Shard
from dolma_pipeline.engine.stage import Builder, Phase, StageInfo, State, op_task
from dolma_pipeline.engine.task import Task
from dolma_pipeline.errors import ConfigError
from dolma_pipeline.formats.columns import Columns, with_fields
from dolma_pipeline.report.units import counted
from dolma_pipeline.stages.token_files import TokenFilePhases
from dolma_pipeline.tokens.amount import Amount, total
from dolma_pipeline.tokens.check import check_tokenizer
from dolma_pipeline.tokens.encode import TRAIN, VALIDATION, EncodedSplit, EncodeOp, EncodeShard
from dolma_pipeline.tokens.engine import load_engine, tokenizer_file
from dolma_pipeline.tokens.sample import SampledShard
from dolma_pipeline.tokens.shard import ShardFiles
from dolma_pipeline.tokens.training import TrainOnShards
from dolma_pipeline.tokens.vocabulary import special_ids

TRAINING_VERSION = 6
"""Version of the tokenizer alone: what is encoded with it depends on its file anyway."""


class TokenPhases(TokenFilePhases):
    """The phases of one `tokens` stage."""

    kind = "tokens"
    version = 5

    def __init__(self, builder: Builder, number: int, config: Tokens) -> None:
        super().__init__(builder, number, config)
        self.config = config
        self.corpus = list(builder.corpus.shards)
        self.raw = builder.corpus.raw
        self.splits = (TRAIN, VALIDATION) if config.holdout > 0 else (TRAIN,)
        self.tokenizer = config.tokenizer
        self.dtype = config.dtype
        self.as_dolma = config.as_dolma
        builder.warnings += check_tokenizer(self.tokenizer, self.dtype, self.where)

    @property
    def tokenizer_path(self) -> str:
        if self.tokenizer.train is not None:
            return str(self.places.work_dir / "tokenizer" / self.prefix / "tokenizer.json")
        return super().tokenizer_path

    def tokenizer_files(self) -> list[str]:
        if self.tokenizer.train is not None:
            return [self.tokenizer_path]
        return [str(tokenizer_file(self.tokenizer_path))]

    def train(self, state: State) -> list[Task]:
        """The tokenizer, where it is to be trained."""
        settings = self.tokenizer.train
        if settings is None:
            return []
        config = TrainOnShards(
            shards=[SampledShard(path=s.path, label=s.label, source=s.source, columns=s.columns) for s in self.corpus],
            train=settings,
            output=self.tokenizer_path,
            seed=self.seed,
            holdout=self.config.holdout,
            text_field=self.config.text_field,
            id_field=self.config.id_field,
            where=f"{self.where}.tokenizer.train",
        )
        paths = [s.path for s in self.corpus]
        task = self.task("tokenizer", "tokenizer", "training:train_tokenizer", config, paths)
        return [msgspec.structs.replace(task, version=TRAINING_VERSION)]

    def encode(self, state: State) -> list[Task]:
        if self.tokenizer.train is not None and state.reports.get(self.phase("tokenizer")):
            # Only now are its tokens known.
            engine = load_engine(self.tokenizer_path, choice="reference")
            special_ids(engine, self.tokenizer, f"{self.where}.tokenizer")
        return [self._encode(s) for s in self.corpus]

    def _fields(self, shard: Shard) -> tuple[Columns | None, str, str | None]:
        """How to read a shard, and the fields of what is read; of input the reader finds them, and says what lacks."""
        text, identifier = self.config.text_field, self.config.id_field
        if not self.raw:
            return shard.columns, text, identifier
        return with_fields(shard.columns, text, identifier), "text", None if identifier is None else "id"

    def _encode(self, shard: Shard) -> Task:
        columns, text_field, id_field = self._fields(shard)
        config = EncodeShard(
            source=shard.source,
            path=shard.path,
            label=shard.label,
            output=self.places.scratch(self.phase("encode"), shard, ""),
            tokenizer_path=self.tokenizer_path,
            tokenizer=self.tokenizer,
            seed=self.seed,
            order=self.order,
            holdout=self.config.holdout,
            dtype=self.dtype,
            min_tokens=self.pack.min_tokens if self.pack is not None else 0,
            columns=columns,
            text_field=text_field,
            id_field=id_field,
            quarantine=self.places.quarantine_of(shard, columns) if self.raw else None,
        )
        inputs = [shard.path, *self.tokenizer_files()]
        return op_task(self.phase("encode"), shard.id, shard, EncodeOp, config, inputs, self.version)

    def parts(self, state: State) -> list[Task]:
        self._check_holdout(state)
        return super().parts(state)

    def _check_holdout(self, state: State) -> None:
        """Raises ConfigError if all documents are on one side of the holdout."""
        reports = state.reports.get(self.phase("encode"), {})
        drawn = [d for r in reports.values() if (d := r.details.get("drawn")) is not None]
        counts = [sum(a.documents for a in self.amounts(state, split).values()) for split in self.splits]
        if not drawn or len(counts) < 2 or all(counts):
            return
        first, last = min(d[0] for d in drawn), max(d[1] for d in drawn)
        empty, remedy = ("validation", f"above {first:.4g}") if counts[0] else ("training", f"of at most {last:.4g}")
        works = f"a holdout {remedy}, another seed, or more documents" if first < last else "more than one document"
        raise ConfigError(
            f"{self.where}.holdout: expected documents on both sides, found none for {empty}: a holdout of "
            f"{self.config.holdout:g} divides {counted(sum(counts), 'document')} so; what would work: {works}, "
            f"or no holdout"
        )

    def shards(self, state: State, split: str) -> list[ShardFiles]:
        return [e.files for e in self._encoded(state, split)]

    def amounts(self, state: State, split: str) -> dict[str, Amount]:
        sources: dict[str, list[Amount]] = {}
        for encoded in self._encoded(state, split):
            for source, amount in encoded.sources.items():
                sources.setdefault(source, []).append(amount)
        return {source: total(sources[source]) for source in sorted(sources)}

    def _encoded(self, state: State, split: str) -> list[EncodedSplit]:
        reports = state.reports.get(self.phase("encode"), {})
        found = (reports[s.id].details.get(split) for s in self.corpus if s.id in reports)
        return [msgspec.convert(e, EncodedSplit) for e in found if e is not None]


def plan(builder: Builder, number: int, config: Tokens) -> None:
    phases = TokenPhases(builder, number, config)
    encode = phases.phase("encode")
    names = [encode]
    train = config.tokenizer.train
    if train is not None:
        names.insert(0, phases.phase("tokenizer"))
        builder.add_phase(Phase(id=names[0], what=f"train a BPE of {train.vocab_size} tokens", build=phases.train))
    builder.need(phases.tokenizer_files())
    builder.add_op(encode, phases.encode, what=f"encode {counted(len(phases.corpus), 'shard')}")
    names += phases.add_to(builder, after=encode)
    builder.validation = str(phases.directory_of(VALIDATION)) if len(phases.splits) > 1 else None
    builder.training = str(phases.directory_of(TRAIN))
    builder.tokenizer = (phases.tokenizer_files()[0], train is not None)
    builder.stages.append(StageInfo(id=phases.prefix, kind="tokens", counted=(encode,), phases=tuple(names)))
