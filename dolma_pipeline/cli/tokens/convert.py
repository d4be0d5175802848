"""`dolma tokens convert`: token files to and from Megatron's and datatrove's formats. A recipe with one such stage."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Annotated, Literal

from msgspec import Meta, field

from dolma_pipeline.cli import arguments as cli
from dolma_pipeline.cli.command import NO_EFFECT, Config, WorkDir, require, run_command
from dolma_pipeline.cli.sources import ledger, name_of, parent_of
from dolma_pipeline.cli.tokens.bare_files import BareId, BareTokenizer, Dtype, tokenizer_keys, tokenizer_of
from dolma_pipeline.config.recipe import Convert, PositiveInt, Recipe, Source, Stage


class ConvertConfig(Config, frozen=True):
    """Which token files, and what they become."""

    source: Annotated[
        str | None, Meta(description="a directory of token files, one file, or Megatron's prefix of .bin and .idx")
    ] = None
    destination: Annotated[str | None, Meta(description="the directory of the new files")] = None
    to: Annotated[Literal["dolma", "megatron", "datatrove"] | None, Meta(description="the format that is written")] = (
        None
    )
    from_: Annotated[
        Literal["dolma", "megatron", "datatrove"] | None,
        Meta(description="the format that is read; without it, it is recognised"),
    ] = field(default=None, name="from")
    max_tokens: Annotated[
        PositiveInt | None,
        Meta(description="the largest number of tokens in a file; without it, files stay as they are divided"),
    ] = None
    tokenizer_name_or_path: BareTokenizer = None
    bos_token_id: BareId = None
    eos_token_id: BareId = None
    pad_token_id: BareId = None
    dtype: Annotated[
        Dtype | None,
        Meta(
            description="the type of a token in files of format `dolma`; without it, as before or the smallest that "
            "will do"
        ),
    ] = None
    source_dtype: Annotated[Dtype | None, Meta(description="the type of a token in input files that do not say it")] = (
        None
    )
    processes: Annotated[PositiveInt, Meta(description="how many workers run at once")] = 1
    work_dir: WorkDir = WorkDir()
    dryrun: Annotated[bool, Meta(description="print the configuration and stop")] = False


KEYS = {"sources.**": "source", "stages[0].convert": "", **tokenizer_keys("stages[0].convert")}


def add_options(parser: argparse.ArgumentParser) -> None:
    cli.add_options(parser, ConvertConfig, NO_EFFECT)


def run(arguments: argparse.Namespace) -> int:
    return run_command(arguments, ConvertConfig, to_recipes, keys=KEYS, processes=lambda c: c.processes)


def to_recipes(config: ConvertConfig) -> list[Recipe]:
    """One recipe with one source and one `convert` stage."""
    require(config.source, "source", "token files")
    require(config.destination, "destination", "a directory for the new files")
    require(config.to, "to", "the format `dolma`, `megatron` or `datatrove`")
    source, destination = config.source or "", config.destination or ""
    stage = Convert(
        to=config.to or "dolma",
        from_=config.from_,
        tokenizer=tokenizer_of(
            config.tokenizer_name_or_path, config.bos_token_id, config.eos_token_id, config.pad_token_id
        ),
        dtype=config.dtype,
        source_dtype=config.source_dtype,
        max_tokens=config.max_tokens,
        destination=destination,
    )
    return [
        Recipe(
            name="tokens convert",
            work_dir=ledger(config.work_dir, parent_of(destination), "convert", Path(destination).name, [destination]),
            sources={name_of(source): Source(tokens=source)},
            stages=[Stage(convert=stage)],
        )
    ]
