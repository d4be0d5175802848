"""`dolma mix`: each stream is filtered and edited by its attributes, and keeps them, in files of its own."""

from __future__ import annotations

import argparse
from typing import Annotated, Literal

from msgspec import Meta, field

from dolma_pipeline.cli import arguments as cli
from dolma_pipeline.cli.command import NO_EFFECT, CompressionConfig, Config, WorkDir, run_command
from dolma_pipeline.cli.sources import ledger, name_of, parent_of
from dolma_pipeline.config.recipe import DocumentFormat, Edit, Mix, PositiveInt, Recipe, Select, Source, Stage
from dolma_pipeline.errors import ConfigError
from dolma_pipeline.formats.columns import AS_DOLMA, Columns

Count = Annotated[int, Meta(ge=0)]
Syntax = Literal["jsonpath", "jq"]
FORMATS: dict[str | None, DocumentFormat] = {None: "jsonl.gz", "gz": "jsonl.gz", "zst": "jsonl.zst", "": "jsonl"}


class StreamOutput(Config, frozen=True):
    path: Annotated[str | None, Meta(description="the directory of the mixed files")] = None
    max_size_in_bytes: Annotated[int, Meta(ge=1, description="how many bytes of inputs are joined into one file")] = (
        2 * 2**30
    )
    discard_fields: Annotated[
        list[str],
        Meta(
            description="top-level fields of a document that are not written; `attributes` keeps attributes out of it"
        ),
    ] = field(default_factory=list)
    min_text_length: Annotated[
        Count | None, Meta(description="drop documents whose text has fewer bytes than this after the edits")
    ] = 0


class Filter(Config, frozen=True):
    include: Annotated[list[str], Meta(description="expressions of which one must match")] = field(default_factory=list)
    exclude: Annotated[list[str], Meta(description="expressions of which none may match")] = field(default_factory=list)
    syntax: Annotated[Syntax, Meta(description="the language of the expressions")] = "jsonpath"


class SpanReplacement(Config, frozen=True):
    span: Annotated[str, Meta(description="an expression that selects the spans")]
    min_score: Annotated[float | None, Meta(description="leave spans with a lower score as they are")] = None
    max_score: Annotated[float | None, Meta(description="leave spans with this score or a higher one as they are")] = (
        None
    )
    replacement: Annotated[
        str, Meta(description="the text that replaces a span: `{}` is the original text, and `$` begins a jq program")
    ] = ""
    syntax: Annotated[Syntax, Meta(description="the language of `span`")] = "jsonpath"


class Stream(Config, frozen=True):
    name: Annotated[str, Meta(description="the beginning of the names of the output files")]
    documents: Annotated[list[str], Meta(description="globs of document files, or directories that hold them")] = field(
        default_factory=list
    )
    columns: Annotated[
        Columns | None,
        Meta(description="the names of the fields that hold `id`, `text` and so on, if documents call them otherwise"),
    ] = None
    output: Annotated[StreamOutput, Meta(description="what is written, and to which directory")] = StreamOutput()
    attributes: Annotated[list[str], Meta(description="names of the attribute files beside the documents")] = field(
        default_factory=list
    )
    filter: Annotated[Filter | None, Meta(description="which documents are kept; without it, all")] = None
    span_replacement: Annotated[list[SpanReplacement], Meta(description="changes of the text")] = field(
        default_factory=list
    )
    compression: Annotated[CompressionConfig, Meta(description="how files are compressed")] = CompressionConfig()


class MixerConfig(Config, frozen=True):
    """Dolma's configuration of `mix`."""

    streams: Annotated[
        list[Stream],
        Meta(
            description="which documents are mixed into which files, usually given in the file of `-c`; documents keep "
            "all attributes unless `output.discard_fields` names `attributes`"
        ),
    ] = field(default_factory=list)
    work_dir: WorkDir = WorkDir()
    processes: Annotated[PositiveInt, Meta(description="how many workers run at once")] = 1
    shuffle: Annotated[
        bool,
        Meta(description="join inputs into files of `max_size_in_bytes`; without it, each input has a file of its own"),
    ] = True
    dryrun: Annotated[bool, Meta(description="print the configuration and stop")] = False


KEYS = {
    "sources.*": "streams[#]",
    "stages[0].mix": "streams[#]",
    "stages[0].mix.select": "streams[#].filter",
    "stages[0].mix.edit": "streams[#].span_replacement",
    "stages[0].mix.destination": "streams[#].output.path",
}


def add_options(parser: argparse.ArgumentParser) -> None:
    cli.add_options(parser, MixerConfig, NO_EFFECT)


def run(arguments: argparse.Namespace) -> int:
    return run_command(arguments, MixerConfig, to_recipes, keys=KEYS, processes=lambda c: c.processes)


def to_recipes(config: MixerConfig) -> list[Recipe]:
    """A recipe with one `mix` stage for each stream."""
    if not config.streams:
        raise ConfigError("$.streams: expected at least one stream, found none; give a file with `-c FILE`")
    recipes = []
    places: dict[tuple[str, str | None], int] = {}
    for i, stream in enumerate(config.streams):
        where = f"$.streams[{i}]"
        first = places.setdefault((stream.name, stream.output.path), i)
        if first != i:
            raise ConfigError(
                f"{where}: expected another name or output.path than $.streams[{first}] has: both would write "
                f"{stream.output.path}/{stream.name}-0000"
            )
        recipes.append(_recipe(config, stream, where))
    return recipes


def _recipe(config: MixerConfig, stream: Stream, where: str) -> Recipe:
    path = stream.output.path
    if not path:
        raise ConfigError(f"{where}.output.path: expected a directory, found none")
    if not stream.documents:
        raise ConfigError(f"{where}.documents: expected globs of document files, found none")
    select = None
    if stream.filter is not None:
        if not stream.filter.include and not stream.filter.exclude:
            raise ConfigError(f"{where}.filter: expected `include` or `exclude`, found neither")
        select = Select(include=stream.filter.include, exclude=stream.filter.exclude, syntax=stream.filter.syntax)
    mix = Mix(
        name=stream.name,
        select=select,
        edit=[
            Edit(
                span=s.span,
                replacement=s.replacement,
                syntax=s.syntax,
                min_score=s.min_score,
                max_score=s.max_score,
            )
            for s in stream.span_replacement
        ],
        min_text_length=stream.output.min_text_length or 0,
        discard_fields=stream.output.discard_fields,
        keep_attributes="attributes" not in stream.output.discard_fields,
        destination=path,
        max_size_in_bytes=stream.output.max_size_in_bytes if config.shuffle else 0,
        format="input"
        if not config.shuffle and stream.compression.output is None
        else FORMATS[stream.compression.output],
        as_dolma=True,
    )
    # All of a stream's files are one source: an output may hold documents of several data sets.
    documents = list(dict.fromkeys(stream.documents))
    # Where keys are equal, the last file's wins: what is named twice counts where it is named last.
    attributes = list(dict.fromkeys(reversed(stream.attributes)))[::-1]
    return Recipe(
        name=f"mix {stream.name}",
        work_dir=ledger(config.work_dir, parent_of(path), "mix", f"{name_of(path)}-{stream.name}", documents),
        layout="beside",
        sources={
            name_of(stream.name): Source(
                documents=documents, columns=stream.columns or AS_DOLMA, attributes=attributes, order="given"
            )
        },
        stages=[Stage(mix=mix)],
    )
