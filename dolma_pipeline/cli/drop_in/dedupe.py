"""`dolma dedupe`: attributes that mark documents or paragraphs seen before, by a Bloom filter.

A `partition_index` makes the run one of `num_partitions` jobs, each with an attribute of its own. Without it all
partitions are one run, whose filters share the work and whose verdicts go to one attribute.
"""

from __future__ import annotations

import argparse
import re
from typing import Annotated

from msgspec import Meta, field, structs

from dolma_pipeline.cli import arguments as cli
from dolma_pipeline.cli.command import NO_EFFECT as READ_IN_PLACE
from dolma_pipeline.cli.command import CompressionConfig, Config, WorkDir, require, run_command
from dolma_pipeline.cli.sources import ledger, root_of, sources
from dolma_pipeline.config.recipe import (
    Bloom,
    Dedupe,
    DocumentKey,
    Fraction,
    KeyPart,
    Ngrams,
    Paragraphs,
    PositiveInt,
    Recipe,
    Stage,
)
from dolma_pipeline.errors import ConfigError
from dolma_pipeline.formats.columns import AS_DOLMA, Columns
from dolma_pipeline.io import fs
from dolma_pipeline.io.url import local

Count = Annotated[int, Meta(ge=0)]


class NgramConfig(Config, frozen=True):
    ngram_length: Annotated[Count, Meta(description="words in an n-gram; 0 compares whole paragraphs")] = 0
    stride: Annotated[
        Count, Meta(description="words from the start of one n-gram to the next; 0 and 1 both take every n-gram")
    ] = 0
    overlap_threshold: Annotated[
        Fraction, Meta(description="the share of n-grams that must have been seen for a paragraph to be a duplicate")
    ] = 1.0
    skip_short_paragraphs: Annotated[
        bool, Meta(description="leave out paragraphs of fewer than two n-grams, instead of comparing them as a whole")
    ] = False


class ParagraphConfig(Config, frozen=True):
    attribute_name: Annotated[str | None, Meta(description="the attribute that marks duplicate paragraphs")] = None
    by_ngram: Annotated[NgramConfig | None, Meta(description="compare paragraphs by n-grams of words")] = None
    paragraph_separator: Annotated[str | None, Meta(description="the string between paragraphs")] = "\n"


class DocumentConfig(Config, frozen=True):
    attribute_name: Annotated[str | None, Meta(description="the attribute that marks duplicate documents")] = None
    key: Annotated[str | None, Meta(description="the field that is compared, such as $.text or $.metadata.url")] = None


class DedupeConfig(Config, frozen=True):
    name: Annotated[
        str | None, Meta(description="the directory of the attribute files, instead of one called as `attribute_name`")
    ] = None
    documents: DocumentConfig | None = None
    paragraphs: ParagraphConfig | None = None
    skip_empty: Annotated[
        bool | None, Meta(description="leave out documents or paragraphs without text other than white space")
    ] = False
    min_length: Annotated[Count | None, Meta(description="leave out documents or paragraphs of fewer characters")] = 0
    min_words: Annotated[Count | None, Meta(description="leave out documents or paragraphs of fewer words")] = 0
    num_partitions: Annotated[PositiveInt | None, Meta(description="into how many parts the keys are divided")] = 1
    partition_index: Annotated[
        Count | None,
        Meta(description="mark only duplicates in this partition, as NAME_INDEX; without it, the run does all"),
    ] = None
    file_partition: bool | None = False
    document_dir: Annotated[str | None, Meta(description="the part of each path that `attributes/<name>` replaces")] = (
        "documents"
    )


class BloomConfig(Config, frozen=True):
    file: Annotated[
        str | None, Meta(description="the file that the filter is loaded from, if it exists, and saved to")
    ] = None
    size_in_bytes: Annotated[
        Count,
        Meta(
            description="the size of the filter; 0 computes it from the two options below, or from the number of keys"
        ),
    ] = 0
    read_only: Annotated[bool, Meta(description="mark what the filter in `file` holds, and add nothing to it")] = False
    estimated_doc_count: Annotated[Count, Meta(description="the number of keys to expect; 0 counts them")] = 0
    desired_false_positive_rate: Annotated[
        float, Meta(ge=0, lt=1, description="the share of new keys that are taken for duplicates; 0 means 1e-6")
    ] = 0.0


class DeduperConfig(Config, frozen=True):
    """Dolma's configuration of `dedupe`."""

    documents: Annotated[list[str], Meta(description="globs of document files, or directories that hold them")] = field(
        default_factory=list
    )
    columns: Annotated[
        Columns | None,
        Meta(description="the names of the fields that hold `id`, `text` and so on, if documents call them otherwise"),
    ] = None
    work_dir: WorkDir = WorkDir()
    dedupe: DedupeConfig = DedupeConfig()
    bloom_filter: BloomConfig = BloomConfig()
    processes: Annotated[PositiveInt, Meta(description="how many workers run at once")] = 1
    compression: CompressionConfig = CompressionConfig()
    dryrun: Annotated[bool, Meta(description="print the configuration and stop")] = False
    is_s3_volume: bool = False


def remarks(config: DeduperConfig) -> list[str]:
    """What of the result differs from that of Dolma 1.2.1 under these settings; docs/differences.md has the reasons."""
    dedupe = config.dedupe
    found = []
    if (dedupe.num_partitions or 1) > 1 and dedupe.partition_index is None:
        found.append(
            f"one run does all {dedupe.num_partitions} partitions and writes one attribute; dolma 1.2.1 would do "
            "partition 0 alone, as `--dedupe.partition_index 0` does here"
        )
    if dedupe.min_length and dedupe.documents is not None and dedupe.documents.key:
        found.append("`dedupe.min_length` counts characters of a document's key; dolma 1.2.1 counts bytes")
    separator = dedupe.paragraphs.paragraph_separator if dedupe.paragraphs is not None else None
    if separator is not None and len(separator) != 1:
        found.append(
            f"spans include the {len(separator)} characters of `paragraph_separator`; those of dolma 1.2.1 count one"
        )
    if dedupe.min_words:
        found.append(
            "`dedupe.min_words` leaves out what has fewer words, and compares the rest; dolma 1.2.1 compares nothing "
            "where it is above 0"
        )
    return found


NO_EFFECT = READ_IN_PLACE | {
    "dedupe.file_partition": "all files are one run, whose verdicts do not depend on the number of workers",
    "compression.input": "the extension of a file says how it is compressed",
    "compression.output": "attribute files are called, and compressed, like their documents",
    "is_s3_volume": "every file is written under a temporary name and renamed",
}
DOLMAS_FILTER = b"\x17\xf1\xf0\x81"
"""How the files of Dolma's Bloom filters begin."""
KEYS = {
    "sources.**": "documents",
    "sources.*.columns": "columns",
    "stages[0].dedupe": "dedupe",
    "stages[0].dedupe.documents.attribute": "dedupe.documents.attribute_name",
    "stages[0].dedupe.paragraphs.attribute": "dedupe.paragraphs.attribute_name",
    "stages[0].dedupe.bloom": "bloom_filter",
    "stages[0].dedupe.partitions": "dedupe.num_partitions",
}


def add_options(parser: argparse.ArgumentParser) -> None:
    cli.add_options(parser, DeduperConfig, NO_EFFECT)


def run(arguments: argparse.Namespace) -> int:
    return run_command(
        arguments,
        DeduperConfig,
        to_recipes,
        keys=KEYS,
        no_effect=NO_EFFECT,
        processes=lambda c: c.processes,
        remarks=remarks,
    )


def to_recipes(config: DeduperConfig) -> list[Recipe]:
    """One recipe with one `dedupe` stage."""
    dedupe, directory = config.dedupe, config.dedupe.document_dir or "documents"
    require(config.documents, "documents", "globs of document files")
    require(config.bloom_filter.file, "bloom_filter.file", "the file of the Bloom filter")
    documents, paragraphs = _documents(dedupe.documents), _paragraphs(dedupe.paragraphs)
    if (documents is None) == (paragraphs is None):
        found = "neither" if documents is None else "both"
        raise ConfigError(
            "$.dedupe: expected either `documents` (attribute_name and key) or `paragraphs` (attribute_name), "
            f"found {found}"
        )
    mode = documents or paragraphs
    _refuse_dolmas_filter(config.bloom_filter.file or "")
    name = dedupe.name or (mode.attribute if mode is not None else "")
    part = _part(dedupe)
    if part is not None:
        name = f"{name}_{part.index}"
        documents = structs.replace(documents, attribute=f"{documents.attribute}_{part.index}") if documents else None
        if paragraphs is not None:
            paragraphs = structs.replace(paragraphs, attribute=f"{paragraphs.attribute}_{part.index}")
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
        partitions=(dedupe.num_partitions or 1) if part is None else 1,
        part=part,
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
            sources=sources(config.documents, columns=config.columns or AS_DOLMA, document_dir=directory, beside=True),
            stages=[Stage(dedupe=stage)],
        )
    ]


def _refuse_dolmas_filter(file: str) -> None:
    if "://" in file or not fs.is_file(path := local(file)):
        return
    with fs.open_input(path) as opened:
        if opened.read(len(DOLMAS_FILTER)) == DOLMAS_FILTER:
            raise ConfigError(
                f"$.bloom_filter.file: expected a filter that this command saved, found one of dolma 1.2.1 in "
                f"`{file}`: it has other hashes; name another file, and run over its documents to make one"
            )


def _part(config: DedupeConfig) -> KeyPart | None:
    """The partition of a job that does one of several; a job that does the only one is like any other."""
    index, of = config.partition_index, config.num_partitions or 1
    if index is None or (index == 0 and of == 1):
        return None
    if index >= of:
        raise ConfigError(
            f"$.dedupe.partition_index: expected a number below `dedupe.num_partitions`, which is {of}, found {index}"
        )
    if (
        config.paragraphs is not None
        and config.paragraphs.by_ngram is not None
        and config.paragraphs.by_ngram.ngram_length
    ):
        raise ConfigError(
            "$.dedupe.partition_index: expected none beside `dedupe.paragraphs.by_ngram`, found one: each job would "
            "see only some of the n-grams of a paragraph; leave it out, and one run does all partitions"
        )
    return KeyPart(index=index, of=of)


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
