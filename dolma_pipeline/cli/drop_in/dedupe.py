"""`dolma dedupe`: attributes that mark documents or paragraphs seen before, by a Bloom filter.

All partitions are one run here: `num_partitions` filters share the work, and their verdicts go to one attribute.
"""

from __future__ import annotations

import argparse
import re
from typing import Annotated

from msgspec import Meta, field

from dolma_pipeline.cli import arguments as cli
from dolma_pipeline.cli.command import NO_EFFECT as READ_IN_PLACE
from dolma_pipeline.cli.command import CompressionConfig, Config, WorkDir, require, run_command
from dolma_pipeline.cli.sources import ledger, root_of, sources
from dolma_pipeline.errors import ConfigError
from dolma_pipeline.formats.columns import Columns
from dolma_pipeline.recipe import Bloom, Dedupe, DocumentKey, Fraction, Ngrams, Paragraphs, PositiveInt, Recipe, Stage

Count = Annotated[int, Meta(ge=0)]


class NgramConfig(Config, frozen=True):
    ngram_length: Annotated[Count, Meta(description="words in an n-gram; 0: whole paragraphs")] = 0
    stride: Annotated[Count, Meta(description="words from one n-gram to the next; 0 and 1: every one")] = 0
    overlap_threshold: Annotated[Fraction, Meta(description="share of n-grams that must be seen before")] = 1.0
    skip_short_paragraphs: Annotated[bool, Meta(description="leave out paragraphs of less than two n-grams")] = False


class ParagraphConfig(Config, frozen=True):
    attribute_name: Annotated[str | None, Meta(description="attribute that marks duplicate paragraphs")] = None
    by_ngram: NgramConfig | None = None
    paragraph_separator: Annotated[str | None, Meta(description="string between paragraphs")] = "\n"


class DocumentConfig(Config, frozen=True):
    attribute_name: Annotated[str | None, Meta(description="attribute that marks duplicate documents")] = None
    key: Annotated[str | None, Meta(description="field that is compared: $.text, $.metadata.url")] = None


class DedupeConfig(Config, frozen=True):
    name: Annotated[str | None, Meta(description="directory of the attribute files; default: attribute_name")] = None
    documents: DocumentConfig | None = None
    paragraphs: ParagraphConfig | None = None
    skip_empty: Annotated[bool | None, Meta(description="leave out documents or paragraphs of white space")] = False
    min_length: Annotated[Count | None, Meta(description="leave out shorter ones, in characters")] = 0
    min_words: Annotated[Count | None, Meta(description="leave out those of fewer words")] = 0
    num_partitions: Annotated[PositiveInt | None, Meta(description="of the key space; all are done in one run")] = 1
    partition_index: Annotated[Count | None, Meta(description="0, for the run that does all partitions")] = 0
    file_partition: bool | None = False
    document_dir: Annotated[
        str | None, Meta(description="path component that `attributes/<name>` takes the place of")
    ] = "documents"


class BloomConfig(Config, frozen=True):
    file: Annotated[str | None, Meta(description="load the filter from here if it exists, save it there")] = None
    size_in_bytes: Annotated[Count, Meta(description="default: sized by the next two, or by the keys")] = 0
    read_only: Annotated[bool, Meta(description="mark what the loaded filter holds; insert nothing")] = False
    estimated_doc_count: Annotated[Count, Meta(description="keys to be inserted; 0: as many as there are")] = 0
    desired_false_positive_rate: Annotated[float, Meta(ge=0, lt=1)] = 0.0


class DeduperConfig(Config, frozen=True):
    """Dolma's configuration of `dedupe`."""

    documents: Annotated[list[str], Meta(description="globs of document files")] = field(default_factory=list)
    columns: Annotated[Columns | None, Meta(description="where documents keep their fields, if under other names")] = (
        None
    )
    work_dir: WorkDir = WorkDir()
    dedupe: DedupeConfig = DedupeConfig()
    bloom_filter: BloomConfig = BloomConfig()
    processes: Annotated[PositiveInt, Meta(description="workers")] = 1
    compression: CompressionConfig = CompressionConfig()
    dryrun: Annotated[bool, Meta(description="print the configuration and stop")] = False
    is_s3_volume: bool = False


NO_EFFECT = READ_IN_PLACE | {
    "dedupe.file_partition": "all files are one run, whose verdicts do not depend on the number of workers",
    "compression.input": "the extension of a file says how it is compressed",
    "compression.output": "attribute files are called, and compressed, like their documents",
    "is_s3_volume": "every file is written under a temporary name and renamed",
}
KEYS = {
    "sources.**": "documents",
    "sources.*.columns": "columns",
    "stages[0].dedupe": "dedupe",
    "stages[0].dedupe.documents.attribute": "dedupe.documents.attribute_name",
    "stages[0].dedupe.paragraphs.attribute": "dedupe.paragraphs.attribute_name",
    "stages[0].dedupe.bloom": "bloom_filter",
}


def add_options(parser: argparse.ArgumentParser) -> None:
    cli.add_options(parser, DeduperConfig, NO_EFFECT)


def run(arguments: argparse.Namespace) -> int:
    return run_command(
        arguments, DeduperConfig, to_recipes, keys=KEYS, no_effect=NO_EFFECT, processes=lambda c: c.processes
    )


def to_recipes(config: DeduperConfig) -> list[Recipe]:
    """One recipe with one `dedupe` stage."""
    dedupe, directory = config.dedupe, config.dedupe.document_dir or "documents"
    require(config.documents, "documents", "globs of document files")
    require(config.bloom_filter.file, "bloom_filter.file", "the file of the Bloom filter")
    if dedupe.partition_index:
        raise ConfigError(
            f"$.dedupe.partition_index: expected 0, found {dedupe.partition_index}: one run does all "
            f"{dedupe.num_partitions} partitions and writes one attribute; `processes` share the work"
        )
    documents, paragraphs = _documents(dedupe.documents), _paragraphs(dedupe.paragraphs)
    if (documents is None) == (paragraphs is None):
        found = "neither" if documents is None else "both"
        raise ConfigError(
            "$.dedupe: expected either `documents` (attribute_name and key) or `paragraphs` (attribute_name), "
            f"found {found}"
        )
    mode = documents or paragraphs
    name = dedupe.name or (mode.attribute if mode is not None else "")
    bloom = config.bloom_filter
    stage = Dedupe(
        name=name,
        documents=documents,
        paragraphs=paragraphs,
        bloom=Bloom(
            file=bloom.file,
            read_only=bloom.read_only,
            size_in_bytes=bloom.size_in_bytes,
            estimated_keys=bloom.estimated_doc_count,
            false_positive_rate=bloom.desired_false_positive_rate or Bloom().false_positive_rate,
        ),
        partitions=dedupe.num_partitions or 1,
        skip_empty=bool(dedupe.skip_empty),
        min_length=dedupe.min_length or 0,
        min_words=dedupe.min_words or 0,
        format="jsonl.gz",
    )
    root = root_of(config.documents, directory)
    return [
        Recipe(
            name=f"dedupe {name}",
            work_dir=ledger(config.work_dir, root, "dedupe", name, config.documents),
            layout="beside",
            sources=sources(config.documents, columns=config.columns, document_dir=directory, beside=True),
            stages=[Stage(dedupe=stage)],
        )
    ]


def _documents(config: DocumentConfig | None) -> DocumentKey | None:
    if config is None or (config.attribute_name is None and config.key is None):
        return None
    require(config.attribute_name, "dedupe.documents.attribute_name", "the name of the attribute")
    require(config.key, "dedupe.documents.key", "the field to compare")
    return DocumentKey(key=field_path(config.key or ""), attribute=config.attribute_name or "")


def _paragraphs(config: ParagraphConfig | None) -> Paragraphs | None:
    if config is None or config.attribute_name is None:
        return None
    ngrams = None
    if config.by_ngram is not None and config.by_ngram.ngram_length > 0:
        ngrams = Ngrams(
            length=config.by_ngram.ngram_length,
            stride=config.by_ngram.stride,
            overlap_threshold=config.by_ngram.overlap_threshold,
            skip_short_paragraphs=config.by_ngram.skip_short_paragraphs,
        )
    return Paragraphs(separator=config.paragraph_separator or "\n", ngrams=ngrams, attribute=config.attribute_name)


def field_path(key: str) -> str:
    """`$.metadata.url` and `$['metadata']['url']` as `metadata.url`; any other JSONPath names no single field."""
    steps = re.sub(r"""\[(['"])([^'"\]]+)\1\]""", r".\2", key.strip())
    path = steps.removeprefix("$").removeprefix(".")
    if not re.fullmatch(r"[^.\s$@\[\]()*]+(\.[^.\s$@\[\]()*]+)*", path):
        raise ConfigError(
            "$.dedupe.documents.key: expected the path of one field, such as `$.text` or `$.metadata.url`, "
            f"found `{key}`"
        )
    return path
