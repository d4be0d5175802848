"""tokens: documents to flat token files. Encode per shard, divide into parts, write the parts, describe them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import msgspec

from dolma_pipeline.plan import Builder, Phase, StageInfo, State
from dolma_pipeline.recipe import Tokens
from dolma_pipeline.stages.corpus import Shard
from dolma_pipeline.task import Report, Task
from dolma_pipeline.tokens.amount import Amount, PackedAmount, total
from dolma_pipeline.tokens.encode import TRAIN, VALIDATION, EncodedSplit, EncodeShard
from dolma_pipeline.tokens.engine import tokenizer_file
from dolma_pipeline.tokens.manifest import TokenFile, WriteManifest
from dolma_pipeline.tokens.parts import Packing, PlanParts
from dolma_pipeline.tokens.sample import SampledShard
from dolma_pipeline.tokens.training import TrainOnShards
from dolma_pipeline.tokens.write import WritePart

VERSION = 3
TRAINING_VERSION = 4
"""Of the tokenizer alone: what is encoded with it depends on its file anyway."""
PACKAGE = "dolma_pipeline.tokens"


class TokenPhases:
    """The phases of one `tokens` stage."""

    def __init__(self, builder: Builder, number: int, config: Tokens) -> None:
        self.config = config
        self.number = number
        self.seed = builder.recipe.seed
        self.shards = list(builder.corpus.shards)
        self.quarantine = {s.id: builder.quarantine(s) for s in self.shards}
        self.places = builder.places
        self.prefix = f"{number:02d}-tokens"
        self.directory = Path(config.destination) if config.destination else builder.places.work_dir / "tokens"
        self.splits = (TRAIN, VALIDATION) if config.holdout > 0 else (TRAIN,)

    def phase(self, part: str) -> str:
        return f"{self.prefix}-{part}"

    @property
    def tokenizer_path(self) -> str:
        if self.config.tokenizer.train is not None:
            return str(self.places.work_dir / "tokenizer" / self.prefix / "tokenizer.json")
        return self.config.tokenizer.path or ""

    @property
    def min_tokens(self) -> int:
        """Of a document of which something is packed."""
        return self.config.pack.min_tokens if self.config.pack is not None else 0

    @property
    def packing(self) -> Packing | None:
        if self.config.pack is None:
            return None
        return Packing(pack=self.config.pack, tokenizer_path=self.tokenizer_path, tokenizer=self.config.tokenizer)

    def directory_of(self, split: str) -> Path:
        """Without a holdout the files stand in the directory itself, as Dolma's do."""
        return self.directory / split if len(self.splits) > 1 else self.directory

    def plan_file(self, split: str) -> str:
        return str(self.places.work_dir / "scratch" / self.phase("parts") / f"{split}.json")

    def train(self, state: State) -> list[Task]:
        """The tokenizer, where it is to be trained."""
        settings = self.config.tokenizer.train
        if settings is None:
            return []
        config = TrainOnShards(
            shards=[SampledShard(path=s.path, label=s.label, source=s.source) for s in self.shards],
            train=settings,
            output=self.tokenizer_path,
            seed=self.seed,
            holdout=self.config.holdout,
            text_field=self.config.text_field,
            id_field=self.config.id_field,
            where=f"$.stages[{self.number - 1}].tokens.tokenizer.train",
        )
        paths = [s.path for s in self.shards]
        task = self._task("tokenizer", "tokenizer", "training:train_tokenizer", config, paths)
        return [msgspec.structs.replace(task, version=TRAINING_VERSION)]

    def encode(self, state: State) -> list[Task]:
        return [self._encode(s) for s in self.shards]

    def _encode(self, shard: Shard) -> Task:
        config = EncodeShard(
            source=shard.source,
            path=shard.path,
            label=shard.label,
            output=str(self.places.scratch(self.phase("encode"), shard, "")),
            tokenizer_path=self.tokenizer_path,
            tokenizer=self.config.tokenizer,
            seed=self.seed,
            order=self.config.order,
            holdout=self.config.holdout,
            dtype=self.config.dtype,
            min_tokens=self.min_tokens,
            text_field=self.config.text_field,
            id_field=self.config.id_field,
            quarantine=self.quarantine[shard.id],
        )
        return self._task("encode", shard.id, "encode:encode_shard", config, [shard.path, *self._tokenizer_files()])

    def parts(self, state: State) -> list[Task]:
        """One small task for each split: where a file ends and the next begins."""
        tasks = []
        for split in self.splits:
            encoded = self._encoded(state, split)
            files = [e.files for e in encoded]
            config = PlanParts(
                shards=files,
                order=self.config.order,
                max_tokens=self.config.max_tokens,
                max_bytes=self.config.max_bytes,
                path=self.plan_file(split),
                packing=self.packing,
            )
            inputs = [o.path for f in files for o in (f.index, f.tokens)]
            inputs += self._tokenizer_files() if self.packing is not None else []
            tasks.append(self._task("parts", split, "parts:choose_parts", config, inputs))
        return tasks

    def write(self, state: State) -> list[Task]:
        tasks = []
        for split in self.splits:
            report = state.reports.get(self.phase("parts"), {}).get(split, Report())
            for number in range(report.details.get("parts", 0)):
                config = WritePart(plan=self.plan_file(split), number=number, directory=str(self.directory_of(split)))
                name = f"{split}/{number:05d}"
                tasks.append(self._task("write", name, "write:write_part", config, [self.plan_file(split)]))
        return tasks

    def describe(self, state: State) -> list[Task]:
        """The manifest of each split."""
        tasks = []
        written = state.reports.get(self.phase("write"), {})
        for split in self.splits:
            details = [written[name].details for name in sorted(written) if name.startswith(f"{split}/")]
            files = [msgspec.convert(file, TokenFile) for d in details for file in d["files"]]
            packed = sum((msgspec.convert(d.get("packed", {}), PackedAmount) for d in details), PackedAmount())
            directory = self.directory_of(split)
            config = WriteManifest(
                directory=str(directory),
                tokenizer_path=self.tokenizer_path,
                tokenizer=self.config.tokenizer,
                files=files,
                sources=self._sources(state, split),
                dtype=self.config.dtype,
                pack=self.config.pack,
                packed=packed,
            )
            inputs = [str(directory / f.path) for f in files] + self._tokenizer_files()
            task = self._task("describe", split, "manifest:write_manifest", config, inputs)
            tasks.append(msgspec.structs.replace(task, phase=self.prefix))
        return tasks

    def _tokenizer_files(self) -> list[str]:
        if self.config.tokenizer.train is not None:
            return [self.tokenizer_path]
        return [str(tokenizer_file(self.tokenizer_path))]

    def _encoded(self, state: State, split: str) -> list[EncodedSplit]:
        reports = state.reports.get(self.phase("encode"), {})
        found = (reports[s.id].details.get(split) for s in self.shards if s.id in reports)
        return [msgspec.convert(e, EncodedSplit) for e in found if e is not None]

    def _sources(self, state: State, split: str) -> dict[str, Amount]:
        sources: dict[str, list[Amount]] = {}
        for encoded in self._encoded(state, split):
            for source, amount in encoded.sources.items():
                sources.setdefault(source, []).append(amount)
        return {source: total(sources[source]) for source in sorted(sources)}

    def _task(self, part: str, name: str, run: str, config: msgspec.Struct, inputs: Iterable[str]) -> Task:
        return Task(
            phase=self.phase(part),
            name=name,
            run=f"{PACKAGE}.{run}",
            config=msgspec.to_builtins(config),
            inputs=tuple(inputs),
            version=VERSION,
        )


def plan(builder: Builder, number: int, config: Tokens) -> None:
    phases = TokenPhases(builder, number, config)
    shards = len(phases.shards)
    names = [phases.phase(p) for p in ("tokenizer", "encode", "parts", "write")]
    if config.tokenizer.train is not None:
        what = f"train a BPE of {config.tokenizer.train.vocab_size} tokens"
        builder.add_phase(Phase(id=names[0], what=what, build=phases.train))
    else:
        names = names[1:]
    encode, parts, write = names[-3:]
    builder.add_phase(Phase(id=encode, what=f"encode {shards} shards", build=phases.encode))
    builder.add_phase(Phase(id=parts, what="divide the tokens into files", build=phases.parts, after=[encode]))
    packed = f", packed by {config.pack.by} to {config.pack.length}" if config.pack is not None else ""
    builder.add_phase(Phase(id=write, what=f"write the token files, order: {config.order}{packed}", build=phases.write,
                            after=[parts]))  # fmt: skip
    builder.add_phase(Phase(id=phases.prefix, what="describe them in a manifest", build=phases.describe,
                            after=[write]))  # fmt: skip
    builder.validation = str(phases.directory_of(VALIDATION)) if len(phases.splits) > 1 else None
    builder.training = str(phases.directory_of(TRAIN))
    trained = config.tokenizer.train is not None
    builder.tokenizer = (phases.tokenizer_path if trained else str(tokenizer_file(phases.tokenizer_path)), trained)
    builder.stages.append(StageInfo(id=phases.prefix, kind="tokens", counted=(encode,), phases=(*names, phases.prefix)))
