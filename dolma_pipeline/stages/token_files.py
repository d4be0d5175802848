"""The phases with which every stage of token files ends: divide the tokens into files, write them, describe them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from pathlib import Path

import msgspec

from dolma_pipeline.config.recipe import Reshard, Tokenizer, Tokens
from dolma_pipeline.engine.stage import Builder, Phase, State
from dolma_pipeline.engine.task import Report, Task, make_task
from dolma_pipeline.tokens.amount import Amount, PackedAmount
from dolma_pipeline.tokens.engine import tokenizer_file
from dolma_pipeline.tokens.manifest import MANIFEST, CheckBare, TokenFile, WriteManifest
from dolma_pipeline.tokens.parts import Packing, PlanParts
from dolma_pipeline.tokens.shard import ShardFiles
from dolma_pipeline.tokens.write import WritePart

PACKAGE = "dolma_pipeline.tokens"
PARTS_VERSION = 1
"""Version of the plan of the files alone, beside that of the stage."""


class TokenFilePhases(ABC):
    """What `tokens` and `reshard` share; each says where its shards, its amounts and its tokenizer come from."""

    kind: str
    version: int
    splits: tuple[str, ...]
    """Each has files and a manifest of its own."""
    tokenizer: Tokenizer
    dtype: str | None
    """Data type of a token in the files; None takes the smallest that holds the vocabulary."""
    described: bool = True
    """Whether the tokenizer is known, so that there is a manifest."""
    needs_ends: bool = True
    as_dolma: bool = False

    def __init__(self, builder: Builder, number: int, config: Tokens | Reshard) -> None:
        self.pack, self.order = config.pack, config.order
        self.max_tokens, self.max_bytes = config.max_tokens, config.max_bytes
        self.max_files = config.max_files if isinstance(config, Reshard) else None
        self.seed = builder.recipe.seed
        self.places = builder.places
        self.prefix = f"{number:02d}-{self.kind}"
        self.where = f"$.stages[{number - 1}].{self.kind}"
        self.directory = builder.places.directory(config.destination, "tokens")

    @property
    def tokenizer_path(self) -> str:
        return self.tokenizer.path or ""

    def tokenizer_files(self) -> list[str]:
        return [str(tokenizer_file(self.tokenizer_path))]

    @abstractmethod
    def shards(self, state: State, split: str) -> list[ShardFiles]:
        """What the files are made of, in order."""

    @abstractmethod
    def amounts(self, state: State, split: str) -> dict[str, Amount]:
        """What each source gives to the files."""

    def phase(self, part: str) -> str:
        return f"{self.prefix}-{part}"

    def directory_of(self, split: str) -> Path:
        """Without a holdout the files stand in the directory itself, as Dolma's do."""
        return self.directory / split if len(self.splits) > 1 else self.directory

    def plan_file(self, split: str) -> str:
        return self.places.scratch_file(self.phase("parts"), f"{split}.json")

    def parts(self, state: State) -> list[Task]:
        """One small task for each split: where a file ends and the next begins."""
        tasks = []
        for split in self.splits:
            shards = self.shards(state, split)
            packing = None
            if self.pack is not None:
                packing = Packing(
                    pack=self.pack, tokenizer_path=self.tokenizer_path, tokenizer=self.tokenizer, where=self.where
                )
            config = PlanParts(
                shards=shards,
                order=self.order,
                max_tokens=self.max_tokens,
                max_bytes=self.max_bytes,
                max_files=self.max_files,
                path=self.plan_file(split),
                packing=packing,
            )
            inputs = [o.path for s in shards for o in (s.index, s.tokens)]
            inputs += self.tokenizer_files() if packing is not None else []
            task = self.task("parts", split, "parts:choose_parts", config, inputs)
            tasks.append(msgspec.structs.replace(task, version=task.version + PARTS_VERSION))
        return tasks

    def write(self, state: State) -> list[Task]:
        tasks = []
        for split in self.splits:
            report = state.reports.get(self.phase("parts"), {}).get(split, Report())
            for number in range(report.details.get("parts", 0)):
                config = WritePart(
                    plan=self.plan_file(split),
                    number=number,
                    directory=str(self.directory_of(split)),
                    as_dolma=self.as_dolma,
                )
                name = f"{split}/{number:05d}"
                tasks.append(self.task("write", name, "write:write_part", config, [self.plan_file(split)]))
        return tasks

    def describe(self, state: State) -> list[Task]:
        """The manifest of each split."""
        tasks = []
        written = state.reports.get(self.phase("write"), {})
        for split in self.splits:
            details = [written[name].details for name in sorted(written) if name.startswith(f"{split}/")]
            files = [msgspec.convert(file, TokenFile) for d in details for file in d["files"]]
            directory = self.directory_of(split)
            inputs = [str(directory / f.path) for f in files]
            if not self.described:
                bare = CheckBare(directory=str(directory), files=files, sources=self.amounts(state, split))
                task = self.task("describe", split, "manifest:check_bare", bare, inputs)
                tasks.append(msgspec.structs.replace(task, phase=self.prefix))
                continue
            config = WriteManifest(
                directory=str(directory),
                tokenizer_path=self.tokenizer_path,
                tokenizer=self.tokenizer,
                files=files,
                sources=self.amounts(state, split),
                dtype=self.dtype,
                pack=self.pack,
                packed=sum((msgspec.convert(d.get("packed", {}), PackedAmount) for d in details), PackedAmount()),
                needs_ends=self.needs_ends,
            )
            inputs += self.tokenizer_files()
            task = self.task("describe", split, "manifest:write_manifest", config, inputs)
            tasks.append(msgspec.structs.replace(task, phase=self.prefix))
        return tasks

    def task(self, part: str, name: str, run: str, config: msgspec.Struct, inputs: Iterable[str]) -> Task:
        return make_task(self.phase(part), name, f"{PACKAGE}.{run}", config, inputs, self.version)

    def add_to(self, builder: Builder, after: str) -> tuple[str, str, str]:
        """Plans the phases behind the phase `after`, and behind its pass; returns their names."""
        parts, write = self.phase("parts"), self.phase("write")
        packed = f", packed by {self.pack.by} to {self.pack.length}" if self.pack is not None else ""
        what = f"write the token files, order: {self.order}{packed}"
        for split in self.splits:
            names = (MANIFEST, "part-*", "bucket-*/part-*")
            where, remedy = f"{self.where}.destination", "another destination"
            builder.claim(self.directory_of(split), *names, where=where, remedy=remedy)
        builder.add_later(
            Phase(id=parts, what="divide the tokens into files", build=self.parts, after=[after], reads=[after])
        )
        builder.add_later(Phase(id=write, what=what, build=self.write, after=[parts], reads=[after]))
        builder.add_later(Phase(id=self.prefix, what="describe them in a manifest", build=self.describe, after=[write]))
        return parts, write, self.prefix
