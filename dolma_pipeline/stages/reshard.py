"""reshard: token files to others, sampled by documents, without tokenizing."""

from __future__ import annotations

import msgspec

from dolma_pipeline.config.recipe import MOST_COPIES, Reshard, Tokenizer
from dolma_pipeline.config.yaml_file import json_path
from dolma_pipeline.engine.stage import Builder, Phase, StageInfo, State
from dolma_pipeline.engine.task import Counts, Report, Task
from dolma_pipeline.errors import ConfigError, DataError
from dolma_pipeline.io import fs
from dolma_pipeline.report.units import counted
from dolma_pipeline.stages.token_files import TokenFilePhases
from dolma_pipeline.tokens.amount import Amount
from dolma_pipeline.tokens.bare import open_below
from dolma_pipeline.tokens.engine import tokenizer_file
from dolma_pipeline.tokens.select import SelectDocuments
from dolma_pipeline.tokens.shard import ShardFiles
from dolma_pipeline.tokens.source import SourceFile, TokenSource, refuse_destination, refuse_packed


class ReshardPhases(TokenFilePhases):
    """The phases of one `reshard` stage."""

    kind = "reshard"
    version = 2
    splits = ("tokens",)

    def __init__(self, builder: Builder, number: int, config: Reshard) -> None:
        super().__init__(builder, number, config)
        self.config = config
        self.sources = open_sources(builder, config.tokenizer, config.dtype)
        same_tokens(self.sources)
        tokenizers = [s.tokenizer for s in self.sources.values() if s.tokenizer is not None]
        pad = next((t.pad for t in tokenizers if t.pad is not None), None)
        self.described, self.needs_ends = bool(tokenizers), False
        self.tokenizer = msgspec.structs.replace(tokenizers[0] if tokenizers else Tokenizer(), pad=pad)
        if config.pack is not None and not tokenizers:
            raise ConfigError(
                f"{self.where}.pack: expected the tokenizer of the files that are to be packed, found none: they have "
                "no manifest; name it as `path` of `tokenizer` (`--tokenizer_name_or_path`)"
            )
        if pad is None and config.pack is not None and config.pack.pads:
            raise ConfigError(
                f"{self.where}.pack: expected a token to fill instances with, found none in the manifests; name it "
                "beside the tokenizer's `path` as `pad` (`--tokenizer_name_or_path`, `--pad_token_id`); that of `eos` "
                "would do"
            )
        for name, source in self.sources.items():
            refuse_destination(source, self.directory, f"{self.where}.destination", f"that of source `{name}`")
        self.rates = {name: self._rate(name) for name in self.sources}
        self.dtype = next(iter(self.sources.values())).dtype

    def _rate(self, name: str) -> float:
        """How often a document of the source is taken."""
        wanted, there = self.config.tokens.get(name), self.sources[name].tokens
        if wanted is None or not there:
            return self.config.rates.get(name, 1.0)
        if wanted > MOST_COPIES * there:
            raise ConfigError(
                f"{self.where}.tokens.{name}: expected at most {MOST_COPIES * there}, "
                f"{MOST_COPIES} times the {there} tokens of `{self.sources[name].path}`, found {wanted}"
            )
        return wanted / there

    def select(self, state: State) -> list[Task]:
        tasks = []
        for name, source in self.sources.items():
            for file in source.files:
                config = SelectDocuments(
                    source=name,
                    file=file,
                    output=self.places.scratch_file(self.phase("select"), f"{name}/{file.name}"),
                    rate=self.rates[name],
                    seed=self.seed,
                    order=self.order,
                    vocab_size=source.vocab_size,
                    min_tokens=max(1, self.pack.min_tokens) if self.pack is not None else 0,
                )
                task = self.task("select", self._name(name, file), "select:select_documents", config, file.inputs)
                tasks.append(msgspec.structs.replace(task, weight=fs.stat(file.tokens).size))
        return tasks

    def shards(self, state: State, split: str) -> list[ShardFiles]:
        reports = state.reports.get(self.phase("select"), {})
        return [
            msgspec.convert(shard, ShardFiles)
            for name, source in self.sources.items()
            for file in source.files
            for shard in reports.get(self._name(name, file), Report()).details.get("shards", [])
        ]

    def amounts(self, state: State, split: str) -> dict[str, Amount]:
        """Text of a sampled source is not counted again: it is taken for as large by token as that of the whole."""
        reports = state.reports.get(self.phase("select"), {})
        amounts = {}
        for name, source in self.sources.items():
            counts = Counts()
            for file in source.files:
                counts.add(reports.get(self._name(name, file), Report()).counts.get(name, Counts()))
            there = source.manifest.tokens if source.manifest is not None else source.tokens
            text_bytes = source.text_bytes * counts.tokens // there if there else 0
            amounts[name] = Amount(documents=counts.documents_out, tokens=counts.tokens, text_bytes=text_bytes)
        return amounts

    def _name(self, source: str, file: SourceFile) -> str:
        return f"{source}/{file.name}"


def open_sources(builder: Builder, tokenizer: Tokenizer | None, dtype: str | None) -> dict[str, TokenSource]:
    """Every source of the recipe, all of which are token files."""
    found = {}
    for name, source in builder.recipe.sources.items():
        where = json_path(("sources", name, "tokens"))
        found[name] = open_below(source.tokens or "", tokenizer=tokenizer, dtype=dtype, where=where)
        refuse_packed(found[name], where)
    return found


def same_tokens(sources: dict[str, TokenSource]) -> None:
    """Raises ConfigError unless an id means the same in all of them, and takes as many bytes."""
    first_name, first = next(iter(sources.items()))
    for name, source in sources.items():
        where = json_path(("sources", name, "tokens"))
        _same_type(source, first_name, first, where)
        if source.tokenizer is None and all(s.tokenizer is None for s in sources.values()):
            continue
        if source.tokenizer is None:
            raise ConfigError(
                f"{where}: expected a manifest, or the `tokenizer` that `{source.path}` was made with, found neither"
            )
        try:
            tokenizer_file(source.tokenizer.path or "")
        except ConfigError:
            raise DataError(
                f"{source.tokenizer.path}: expected the tokenizer of `{source.path}`, found no file"
            ) from None
        if source.digest != first.digest:
            raise ConfigError(
                f"{where}: expected the tokenizer of source `{first_name}` (BLAKE3 {(first.digest or '')[:16]}…), "
                f"found another ({(source.digest or '')[:16]}…): an id would mean two things; "
                "tokenize one of them again"
            )
        assert first.tokenizer is not None
        for kind in ("bos", "eos", "pad"):
            mine, theirs = getattr(source.tokenizer, kind), getattr(first.tokenizer, kind)
            # No document has padding in it: that one of them does not know it is no matter.
            if mine != theirs and not (kind == "pad" and None in (mine, theirs)):
                raise ConfigError(
                    f"{where}: expected the {kind} id of source `{first_name}`, {theirs}, found {mine}: documents "
                    "would be parted in two ways; tokenize one of them again"
                )


def _same_type(source: TokenSource, first_name: str, first: TokenSource, where: str) -> None:
    if source.dtype != first.dtype:
        raise ConfigError(
            f"{where}: expected tokens of {first.dtype}, as source `{first_name}` has them, found {source.dtype}; "
            f"`dolma tokens convert --source {source.path} --to dolma --dtype {first.dtype}` makes them so"
        )


def plan(builder: Builder, number: int, config: Reshard) -> None:
    phases = ReshardPhases(builder, number, config)
    select = phases.phase("select")
    files = counted(sum(len(s.files) for s in phases.sources.values()), "token file")
    builder.add_phase(Phase(id=select, what=f"sample the documents of {files}", build=phases.select))
    names = (select, *phases.add_to(builder, after=select))
    builder.training = str(phases.directory)
    builder.stages.append(StageInfo(id=phases.prefix, kind="reshard", counted=(select,), phases=names))
