"""`dolma tokens`: documents to flat token files with an index."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, field

from dolma_pipeline.cli import arguments as cli
from dolma_pipeline.cli.command import NO_EFFECT as READ_IN_PLACE
from dolma_pipeline.cli.command import Config, WorkDir, require, run_command
from dolma_pipeline.cli.sources import ledger, parent_of, sources
from dolma_pipeline.cli.tokens.bare_files import SPECIAL, Dtype, TokenId
from dolma_pipeline.config.recipe import Pack, PositiveInt, Recipe, Stage, Tokenizer, Tokens
from dolma_pipeline.errors import ConfigError
from dolma_pipeline.formats.columns import Columns, with_fields


class TokenizerConfig(Config, frozen=True):
    name_or_path: Annotated[
        str | None,
        Meta(description="a tokenizer.json, or the name of a tokenizer in the local cache of the Hugging Face Hub"),
    ] = None
    bos_token_id: Annotated[
        TokenId | None, Meta(description="the id of the token that is put before each document")
    ] = None
    eos_token_id: Annotated[TokenId | None, Meta(description="the id of the token that is put after each document")] = (
        None
    )
    pad_token_id: Annotated[TokenId | None, Meta(description="the id of the token that fills up packed instances")] = (
        None
    )
    segment_before_tokenization: Annotated[bool, Meta(description="encode each text line by line")] = False
    refresh: int = 0
    fast: bool = True
    encode_special_tokens: Annotated[bool, Meta(description="treat special tokens that stand in a text as text")] = (
        False
    )
    engine: Annotated[
        Literal["auto", "fast", "reference"],
        Meta(
            description="the code that encodes: the built-in BPE, the library `tokenizers`, or the first if it gives "
            "the same "
            "ids"
        ),
    ] = "auto"


class Fields(Config, frozen=True):
    text_field_name: Annotated[
        str, Meta(min_length=1, description="the field of the text; dots reach into objects, as in metadata.body")
    ] = "text"
    text_field_type: Annotated[
        Literal["str", "string"], Meta(description="the type of the text, which is a string")
    ] = "str"
    id_field_name: Annotated[
        str | None, Meta(description="the field of the id; null makes ids of the form <sha256 of the path>-<line>")
    ] = "id"
    id_field_type: Annotated[
        Literal["str", "string", "int", "integer"],
        Meta(description="the type of the ids; the digits of an integer become the id"),
    ] = "str"


class TokensConfig(Config, frozen=True):
    """Dolma's configuration of `tokens`."""

    documents: Annotated[list[str], Meta(description="globs of document files, or directories that hold them")] = field(
        default_factory=list
    )
    destination: Annotated[str | None, Meta(description="the directory of the token files")] = None
    tokenizer_name_or_path: Annotated[
        str | None,
        Meta(description="deprecated: the same as `tokenizer.name_or_path`, with the last id of the vocabulary as EOS"),
    ] = None
    tokenizer: TokenizerConfig | None = None
    columns: Annotated[
        Columns | None,
        Meta(description="the names of the fields that hold `id`, `text` and so on, if documents call them otherwise"),
    ] = None
    processes: Annotated[PositiveInt, Meta(description="how many workers run at once")] = 1
    files_per_process: int | None = None
    batch_size: int = 10_000
    ring_size: int = 8
    fields: Fields = Fields()
    sample_ring_prop: bool = False
    max_size: Annotated[PositiveInt, Meta(description="the largest number of tokens (not bytes) in a file")] = (
        1024 * 1024 * 1024
    )
    dtype: Annotated[Dtype, Meta(description="the type of a token in the files")] = "uint16"
    pack: Annotated[Pack | None, Meta(description="make instances of fixed length")] = None
    debug: Annotated[bool, Meta(description="use one process, in which a debugger can stop")] = False
    seed: Annotated[int, Meta(description="the seed of the order of the documents")] = 3920
    work_dir: WorkDir = WorkDir()
    dryrun: Annotated[bool, Meta(description="print the configuration and stop")] = False


_ORDER = "documents of all files are shuffled together, by a hash of the seed and their ids"
NO_EFFECT = READ_IN_PLACE | {
    "files_per_process": "a file is one task, whichever process does it",
    "batch_size": _ORDER,
    "ring_size": _ORDER,
    "sample_ring_prop": _ORDER,
    "tokenizer.refresh": "the tokenizer is loaded once in each process",
    "tokenizer.fast": "every tokenizer is a fast one",
}
KEYS = {
    "sources.**": "documents",
    "sources.*.columns": "columns",
    "stages[0].tokens": "",
    "stages[0].tokens.max_tokens": "max_size",
    "stages[0].tokens.tokenizer.path": "tokenizer.name_or_path",
} | {
    f"{place}.{name}": f"tokenizer.{name}_token_id"
    for place in ("stages[0].tokens.tokenizer", "tokenizer")
    for name in SPECIAL
}


def add_options(parser: argparse.ArgumentParser) -> None:
    cli.add_options(parser, TokensConfig, NO_EFFECT)
    parser.epilog = "On token files: `dolma tokens inspect`, `dolma tokens reshard`, `dolma tokens convert`."


def run(arguments: argparse.Namespace) -> int:
    return run_command(
        arguments,
        TokensConfig,
        to_recipes,
        keys=KEYS,
        no_effect=NO_EFFECT,
        processes=lambda c: 1 if c.debug else c.processes,
    )


def to_recipes(config: TokensConfig) -> list[Recipe]:
    """One recipe with one `tokens` stage; the deprecated `tokenizer_name_or_path` loads the tokenizer for its size."""
    require(config.documents, "documents", "globs of document files")
    require(config.destination, "destination", "a directory for the token files")
    tokenizer = config.tokenizer or TokenizerConfig()
    if tokenizer.name_or_path is None and config.tokenizer_name_or_path is not None:
        name = config.tokenizer_name_or_path
        # A dry run shows the configuration on a machine that does not have the tokenizer.
        last = 0 if config.dryrun else vocabulary_size(name) - 1
        tokenizer = msgspec.structs.replace(tokenizer, name_or_path=name, eos_token_id=last)
    require(tokenizer.name_or_path, "tokenizer.name_or_path", "a tokenizer")
    if tokenizer.bos_token_id is None and tokenizer.eos_token_id is None:
        raise ConfigError(
            "$.tokenizer: expected bos_token_id or eos_token_id, found neither: nothing would part the documents"
        )
    if config.pack is not None and config.pack.pads and tokenizer.pad_token_id is None:
        raise ConfigError(
            "$.tokenizer.pad_token_id: expected the token that fills instances, found none; that of eos_token_id would "
            "do, for the label mask keeps it from being learnt"
        )
    stage = Tokens(
        tokenizer=Tokenizer(
            path=tokenizer.name_or_path,
            bos=tokenizer.bos_token_id,
            eos=tokenizer.eos_token_id,
            pad=tokenizer.pad_token_id,
            encode_special_tokens=tokenizer.encode_special_tokens,
            segment_before_tokenization=tokenizer.segment_before_tokenization,
            # Dolma leaves out what a vocabulary lacks: here it is said and counted.
            on_missing="warn",
            engine=tokenizer.engine,
        ),
        order="shuffle",
        max_tokens=config.max_size,
        pack=config.pack,
        dtype=config.dtype,
        destination=config.destination,
        # Instances of fixed length are no files of Dolma's.
        as_dolma=config.pack is None,
        id_field=None if config.fields.id_field_name is None else "id",
    )
    destination = config.destination or ""
    return [
        Recipe(
            name="tokens",
            work_dir=ledger(
                config.work_dir, parent_of(destination), "tokens", Path(destination).name, config.documents
            ),
            sources=sources(config.documents, columns=_columns(config)),
            stages=[Stage(tokens=stage)],
            seed=config.seed,
        )
    ]


def _columns(config: TokensConfig) -> Columns | None:
    """Where documents keep their fields: `columns`, under what Dolma calls `fields`."""
    fields = config.fields
    columns = with_fields(config.columns, fields.text_field_name, fields.id_field_name)
    if fields.id_field_type.startswith("int") and fields.id_field_name is not None:
        # A mapped id may be an integer.
        columns = msgspec.structs.replace(columns or Columns(), id=fields.id_field_name)
    return columns


def vocabulary_size(name_or_path: str) -> int:
    """How many tokens a tokenizer has, added ones included."""
    from tokenizers import Tokenizer as Loaded

    from dolma_pipeline.tokens.engine import tokenizer_file

    try:
        loaded = Loaded.from_file(str(tokenizer_file(name_or_path)))
    except ConfigError as error:
        raise ConfigError(f"$.tokenizer_name_or_path: {error}") from None
    # The library raises bare Exceptions.
    except Exception as error:
        raise ConfigError(f"$.tokenizer_name_or_path: `{name_or_path}` could not be loaded: {error}") from None
    return int(loaded.get_vocab_size(with_added_tokens=True))
