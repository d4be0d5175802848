"""convert: token files to another format, a file at a time, and what that format cannot say beside them."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec

from dolma_pipeline.config.recipe import Convert
from dolma_pipeline.config.yaml_file import json_path
from dolma_pipeline.engine.stage import Builder, Phase, StageInfo, State
from dolma_pipeline.engine.task import Counts, Task, make_task
from dolma_pipeline.errors import ConfigError
from dolma_pipeline.io import fs
from dolma_pipeline.report.units import counted
from dolma_pipeline.tokens.amount import Amount
from dolma_pipeline.tokens.convert import ConvertFile, WriteConversion
from dolma_pipeline.tokens.engine import tokenizer_file
from dolma_pipeline.tokens.manifest import MANIFEST, TokenFile, WriteManifest
from dolma_pipeline.tokens.source import (
    CONVERSION,
    SUFFIXES,
    Form,
    TokenSource,
    open_source,
    refuse_destination,
    refuse_packed,
)
from dolma_pipeline.tokens.vocabulary import token_dtype

VERSION = 1
PACKAGE = "dolma_pipeline.tokens"
DATATROVE = {"uint8": "uint16", "uint16": "uint16", "uint32": "uint32", "uint64": "uint32"}


class ConvertPhases:
    """The phases of one `convert` stage."""

    def __init__(self, builder: Builder, number: int, config: Convert) -> None:
        self.config = config
        self.prefix = f"{number:02d}-convert"
        self.phase = f"{self.prefix}-files"
        self.name, source = next(iter(builder.recipe.sources.items()))
        self.where = json_path(("sources", self.name, "tokens"))
        self.source = open_source(
            source.tokens or "",
            tokenizer=config.tokenizer,
            dtype=config.source_dtype,
            form=config.from_,
            where=self.where,
        )
        refuse_packed(self.source, self.where)
        self.directory = builder.places.directory(config.destination, "tokens")
        where = f"$.stages[{number - 1}].convert.destination"
        refuse_destination(self.source, self.directory, where, "the source's")
        _refuse_other_formats(self.directory, config.to, where)
        self.dtype = target_dtype(self.source, config, f"$.stages[{number - 1}].convert.dtype")

    def files(self, state: State) -> list[Task]:
        tasks = []
        for file in self.source.files:
            others = [f.name for f in self.source.files if re.fullmatch(rf"{re.escape(file.name)}-\d{{5,}}", f.name)]
            if others and self.config.max_tokens is not None and file.size > self.config.max_tokens:
                raise ConfigError(
                    f"{self.where}: expected no file called like a part of `{file.name}`, which "
                    f"`max_tokens` divides, found `{others[0]}`; leave `max_tokens` out, or use `reshard`"
                )
            config = ConvertFile(
                source=self.name,
                file=file,
                to=self.config.to,
                directory=str(self.directory),
                dtype=self.dtype,
                max_tokens=self.config.max_tokens,
                vocab_size=self.source.vocab_size,
                others=others,
            )
            task = self._task(self.phase, file.name, "convert:convert_file", config, file.inputs)
            tasks.append(msgspec.structs.replace(task, weight=fs.stat(file.tokens).size))
        return tasks

    def describe(self, state: State) -> list[Task]:
        """A manifest, or the manifest's way back."""
        tokenizer = self.source.tokenizer
        path = tokenizer.path if tokenizer is not None else None
        inputs = [str(tokenizer_file(path))] if path is not None else []
        if self.config.to != "dolma":
            back = WriteConversion(
                directory=str(self.directory),
                to=self.config.to,
                tokenizer_path=path,
                manifest=self.source.manifest,
                files=[
                    str(Path(o.path).relative_to(self.directory))
                    for report in state.reports.get(self.phase, {}).values()
                    for o in report.outputs
                    if o.path.endswith(SUFFIXES[self.config.to])
                ],
            )
            return [self._task(self.prefix, "conversion", "convert:write_conversion", back, inputs)]
        if tokenizer is None or path is None:
            return []
        written = state.reports.get(self.phase, {})
        files = [
            msgspec.convert(described, TokenFile)
            for file in self.source.files
            if file.name in written
            for described in written[file.name].details["files"]
        ]
        config = WriteManifest(
            directory=str(self.directory),
            tokenizer_path=path,
            tokenizer=tokenizer,
            files=files,
            sources=self._amounts(state),
            dtype=self.dtype,
            needs_ends=False,
        )
        inputs += [str(self.directory / f.path) for f in files]
        return [self._task(self.prefix, "tokens", "manifest:write_manifest", config, inputs)]

    def _amounts(self, state: State) -> dict[str, Amount]:
        """By source, as in the manifest, where all that it counts is there."""
        counts = Counts()
        for report in state.reports.get(self.phase, {}).values():
            counts.add(report.counts[self.name])
        manifest = self.source.manifest
        if manifest is not None and (manifest.documents, manifest.tokens) == (counts.documents_out, counts.tokens):
            return manifest.sources
        return {self.name: Amount(documents=counts.documents_out, tokens=counts.tokens)}

    def _task(self, phase: str, name: str, run: str, config: msgspec.Struct, inputs: list[str]) -> Task:
        return make_task(phase, name, f"{PACKAGE}.{run}", config, inputs, VERSION)


def _refuse_other_formats(directory: Path, to: Form, where: str) -> None:
    """Files of two formats would share their csv.gz, and nobody could say which of them the directory holds."""
    others = (suffix for form, suffix in SUFFIXES.items() if form != to)
    found = next((p for suffix in others for p in sorted(fs.find(directory, f"*{suffix}"))), None)
    if found is not None:
        raise ConfigError(f"{where}: expected a directory without token files of another format, found {found}")


def target_dtype(source: TokenSource, config: Convert, where: str) -> str:
    """The type of the tokens that are written: as before for a conversion, else as small as the vocabulary allows."""
    if config.to == "megatron":
        return source.dtype
    if config.to == "datatrove":
        return DATATROVE[source.dtype]
    if config.dtype is not None:
        return config.dtype if source.vocab_size is None else token_dtype(source.vocab_size, config.dtype, where).name
    if source.manifest is not None:
        return source.manifest.dtype
    return source.dtype if source.vocab_size is None else token_dtype(source.vocab_size).name


def plan(builder: Builder, number: int, config: Convert) -> None:
    phases = ConvertPhases(builder, number, config)
    source = phases.source
    names = [f"**/*{SUFFIXES[config.to]}", MANIFEST if config.to == "dolma" else CONVERSION]
    where = f"$.stages[{number - 1}].convert.destination"
    builder.claim(phases.directory, *names, where=where, remedy="another destination")
    what = f"convert {counted(len(source.files), 'token file')} from {source.form} to {config.to}"
    builder.add_phase(Phase(id=phases.phase, what=what, build=phases.files))
    builder.add_phase(
        Phase(id=phases.prefix, what="describe them in a manifest", build=phases.describe, after=[phases.phase])
    )
    if config.to == "dolma" and phases.source.tokenizer is not None:
        builder.training = str(phases.directory)
    builder.stages.append(
        StageInfo(id=phases.prefix, kind="convert", counted=(phases.phase,), phases=(phases.phase, phases.prefix))
    )
