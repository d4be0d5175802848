"""`dolma tokens reshard`: token files to others, sampled by documents, without tokenizing.

A recipe with one `reshard` stage. It takes the keys of `python -m dolma.tokenizer.reshard` as well.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Annotated, Literal

from msgspec import Meta, field

from dolma_pipeline.cli import arguments as cli
from dolma_pipeline.cli.command import NO_EFFECT, Config, WorkDir, require, run_command
from dolma_pipeline.cli.sources import ledger, name_of, parent_of, unused
from dolma_pipeline.cli.tokens.bare_files import BareId, BareTokenizer, Dtype, TokenId, tokenizer_keys, tokenizer_of
from dolma_pipeline.config.recipe import MOST_COPIES, Pack, PositiveInt, Recipe, Reshard, Source, Stage
from dolma_pipeline.errors import ConfigError


class Prefix(Config, frozen=True):
    """Token files of one source."""

    prefix: Annotated[str, Meta(description="a directory of token files")]
    sample_rate: Annotated[
        Annotated[float, Meta(ge=0.0, le=MOST_COPIES)] | None,
        Meta(description="how often documents are taken: 0.3 takes three in ten, 2.5 each two or three times"),
    ] = None
    tokens: Annotated[PositiveInt | None, Meta(description="about how many tokens are taken, instead of a rate")] = None
    name: Annotated[str | None, Meta(description="the name in the manifest, instead of that of the directory")] = None


class ReshardConfig(Config, frozen=True):
    """What is sampled, how often, and where it goes."""

    source_prefixes: Annotated[
        list[str | Prefix],
        Meta(description="directories of token files; a mapping gives one a rate, an amount or a name"),
    ] = field(default_factory=list)
    destination_prefix: Annotated[str | None, Meta(description="the directory of the new token files")] = None
    order: Annotated[Literal["shuffle", "input"], Meta(description="the order of the documents in the files")] = (
        "shuffle"
    )
    max_tokens: Annotated[PositiveInt, Meta(description="the largest number of tokens in a file")] = 512 * 1024 * 1024
    max_size_bytes: Annotated[PositiveInt | None, Meta(description="the largest number of bytes in a file")] = None
    max_num_files: Annotated[
        PositiveInt | None, Meta(description="the largest number of files, of about the same size")
    ] = None
    pack: Annotated[Pack | None, Meta(description="make instances of fixed length")] = None
    max_workers: Annotated[PositiveInt, Meta(description="how many workers run at once")] = 1
    random_seed: Annotated[int, Meta(description="the seed of the sample and of the order")] = 42
    tokenizer_name_or_path: BareTokenizer = None
    bos_token_id: BareId = None
    eos_token_id: BareId = None
    pad_token_id: Annotated[
        TokenId | None,
        Meta(description="the id of this token in files that have no manifest, and for `pack` if manifests have none"),
    ] = None
    dtype: Annotated[
        Dtype | None,
        Meta(
            description="the type of a token in files that have no manifest; without it, the smallest that holds the "
            "vocabulary"
        ),
    ] = None
    local_tempdir: Annotated[
        str | None, Meta(description="the directory of the ledger, by which a rerun resumes, and of sorted copies")
    ] = None
    work_dir: WorkDir = WorkDir()
    dryrun: Annotated[bool, Meta(description="print the configuration and stop")] = False


KEYS = {
    "sources.**": "source_prefixes",
    "stages[0].reshard": "",
    "stages[0].reshard.rates.**": "source_prefixes",
    "stages[0].reshard.tokens.**": "source_prefixes",
    "stages[0].reshard.max_bytes": "max_size_bytes",
    "stages[0].reshard.max_files": "max_num_files",
    "stages[0].reshard.destination": "destination_prefix",
    **tokenizer_keys("stages[0].reshard"),
}


def add_options(parser: argparse.ArgumentParser) -> None:
    cli.add_options(parser, ReshardConfig, NO_EFFECT)


def run(arguments: argparse.Namespace) -> int:
    return run_command(arguments, ReshardConfig, to_recipes, keys=KEYS, processes=lambda c: c.max_workers)


def to_recipes(config: ReshardConfig) -> list[Recipe]:
    """One recipe with a source for each directory and one `reshard` stage."""
    require(config.source_prefixes, "source_prefixes", "directories of token files")
    require(config.destination_prefix, "destination_prefix", "a directory for the new token files")
    if config.max_size_bytes is not None and config.max_num_files is not None:
        raise ConfigError("$: expected at most one of `max_size_bytes` and `max_num_files`, found both")
    sources: dict[str, Source] = {}
    rates: dict[str, float] = {}
    amounts: dict[str, int] = {}
    for item in config.source_prefixes:
        prefix = Prefix(prefix=item) if isinstance(item, str) else item
        name = unused(prefix.name or name_of(prefix.prefix), sources)
        sources[name] = Source(tokens=prefix.prefix)
        if prefix.sample_rate is not None:
            rates[name] = prefix.sample_rate
        if prefix.tokens is not None:
            amounts[name] = prefix.tokens
    destination = config.destination_prefix or ""
    place = config.work_dir if config.local_tempdir is None else WorkDir(output=config.local_tempdir)
    stage = Reshard(
        rates=rates,
        tokens=amounts,
        order=config.order,
        max_tokens=config.max_tokens,
        max_bytes=config.max_size_bytes,
        max_files=config.max_num_files,
        pack=config.pack,
        tokenizer=tokenizer_of(
            config.tokenizer_name_or_path, config.bos_token_id, config.eos_token_id, config.pad_token_id
        ),
        dtype=config.dtype,
        destination=destination,
    )
    return [
        Recipe(
            name="tokens reshard",
            work_dir=ledger(place, parent_of(destination), "reshard", Path(destination).name, [destination]),
            sources=sources,
            stages=[Stage(reshard=stage)],
            seed=config.random_seed,
        )
    ]
