"""`dolma train-tokenizer`: a byte-level BPE from a weighted sample of documents, without a recipe."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
from msgspec import Meta, field

from dolma_pipeline.cli import arguments as cli
from dolma_pipeline.cli.command import Config, own_keys, print_config, require, say_passed_over
from dolma_pipeline.cli.sources import sources, spread
from dolma_pipeline.config.recipe import Fraction, TrainTokenizer
from dolma_pipeline.config.recipe_tokenizer import Digits, Normalizer, PreTokenizer
from dolma_pipeline.errors import ConfigError
from dolma_pipeline.formats.columns import Columns
from dolma_pipeline.io import fs
from dolma_pipeline.secrets import hide

if TYPE_CHECKING:
    from dolma_pipeline.tokens.training import TrainOnShards

FILE = "tokenizer.json"
_STANDARD = TrainTokenizer()


class TrainTokenizerConfig(Config, frozen=True):
    """What to train on, and what to make of it; `vocab_size` to `min_frequency` are those of a recipe."""

    documents: Annotated[list[str], Meta(description="globs of document files; each data set is a source")] = field(
        default_factory=list
    )
    output: Annotated[
        str | None, Meta(description=f"the file of the tokenizer (`*.json`), or a directory for its {FILE}")
    ] = None
    vocab_size: Annotated[
        int, Meta(ge=300, description="how many tokens the vocabulary has, special ones included")
    ] = _STANDARD.vocab_size
    sample_bytes: Annotated[int, Meta(ge=1, description="bytes of text to train on, the same from each file")] = (
        _STANDARD.sample_bytes
    )
    weights: Annotated[
        dict[str, float],
        Meta(
            description="the share of each source in the sample, by the name of its directory; without it, each file "
            "gives the same"
        ),
    ] = field(default_factory=dict)
    special_tokens: Annotated[
        list[str],
        Meta(
            description="the special tokens in the order of their ids, from 0; `olmo` and `dolma_v1_5` stand for "
            "those of OLMo's tokenizers"
        ),
    ] = field(default_factory=lambda: list(TrainTokenizer().special_tokens))
    pre_tokenizer: Annotated[
        PreTokenizer,
        Meta(
            description="how text is cut into words: as OLMo 1 does, as OLMo 2 does (three digits at most), or with "
            "single digits"
        ),
    ] = _STANDARD.pre_tokenizer
    digits: Annotated[
        Digits,
        Meta(
            description="how numbers are cut: as `pre_tokenizer` says, apart from the space before them, or digit by "
            "digit"
        ),
    ] = _STANDARD.digits
    normalizer: Annotated[Normalizer, Meta(description="how text is normalized first; `nfc` is that of OLMo 1")] = (
        _STANDARD.normalizer
    )
    min_frequency: Annotated[int, Meta(ge=1, description="how often a pair of tokens must occur to be merged")] = (
        _STANDARD.min_frequency
    )
    holdout: Annotated[
        Fraction,
        Meta(description="the share of documents that is left out, the same as with `holdout` of a `tokens` stage"),
    ] = 0.0
    columns: Annotated[
        Columns | None,
        Meta(description="the names of the fields that hold `id`, `text` and so on, if documents call them otherwise"),
    ] = None
    text_field: Annotated[str, Meta(description="the field that holds the text")] = "text"
    id_field: Annotated[str | None, Meta(description="the field that holds the id; null makes ids from the texts")] = (
        "id"
    )
    seed: Annotated[int, Meta(description="the seed of the sample")] = 17
    dryrun: Annotated[bool, Meta(description="print the configuration and stop")] = False


def add_options(parser: argparse.ArgumentParser) -> None:
    cli.add_options(parser, TrainTokenizerConfig)


def run(arguments: argparse.Namespace) -> int:
    given = cli.load(arguments, TrainTokenizerConfig)
    config = given.config
    with own_keys(given, {"sources.**": "documents"}):
        settings = to_training(config)
    if config.dryrun:
        print_config(config)
        return 0
    with own_keys(given):
        if fs.exists(settings.output):
            raise ConfigError(
                f"$.output: expected a file that is not there yet, found {settings.output}; token files made with it "
                "could not be read without it, so remove it yourself, or give another output"
            )
    import sys

    from dolma_pipeline.engine.task import Context
    from dolma_pipeline.formats.detect import refuse_foreign
    from dolma_pipeline.tokens.training import train_tokenizer

    refuse_foreign([s.path for s in settings.shards])
    report = train_tokenizer(settings, Context())
    for warning in report.warnings:
        print(hide(f"dolma: warning: {warning}"), file=sys.stderr)
    say_passed_over(report.bad)
    print(render(settings.output))
    return 0


def to_training(config: TrainTokenizerConfig) -> TrainOnShards:
    """The task that trains; raises ConfigError for a glob that matches nothing, or a weight of no source."""
    from dolma_pipeline.engine.corpus import source_shards
    from dolma_pipeline.tokens.sample import SampledShard, check_weights
    from dolma_pipeline.tokens.specials import PRESETS
    from dolma_pipeline.tokens.training import TrainOnShards

    require(config.documents, "documents", "globs of document files")
    require(config.output, "output", f"a directory for {FILE}, or a file `*.json`")
    found = sources(spread(config.documents), columns=config.columns)
    check_weights(config.weights, list(found), "$.weights")
    named = config.special_tokens
    preset = named[0] if len(named) == 1 and named[0] in PRESETS else None
    train = msgspec.convert(
        {
            "vocab_size": config.vocab_size,
            "sample_bytes": config.sample_bytes,
            "weights": config.weights,
            "special_tokens": preset or named,
            "pre_tokenizer": config.pre_tokenizer,
            "digits": config.digits,
            "normalizer": config.normalizer,
            "min_frequency": config.min_frequency,
        },
        TrainTokenizer,
    )
    output = Path(config.output or "")
    return TrainOnShards(
        shards=[
            SampledShard(path=s.path, label=s.label, source=s.source, columns=s.columns)
            for name, source in found.items()
            for s in source_shards(name, source)
        ],
        train=train,
        output=str(output if output.suffix == ".json" else output / FILE),
        seed=config.seed,
        holdout=config.holdout,
        text_field=config.text_field,
        id_field=config.id_field,
        where="$",
    )


def render(tokenizer: str) -> str:
    """The figures of a trained tokenizer, from its manifest."""
    from dolma_pipeline.io.atomic import read_json
    from dolma_pipeline.report.summary import table
    from dolma_pipeline.report.units import count, share, size
    from dolma_pipeline.tokens.training import TrainingManifest, manifest_path

    path = manifest_path(tokenizer)
    m: TrainingManifest = read_json(path, TrainingManifest)
    whole = sum(s.bytes for s in m.sample.values())
    rows = [["source", "documents", "text", "of the sample"]]
    rows += [[name, count(s.documents), size(s.bytes), share(s.bytes, whole)] for name, s in m.sample.items()]
    specials = ", ".join(f"{i} {name}" for name, i in m.special_tokens.items()) or "none"
    return "\n".join(
        [
            f"{tokenizer}: {count(m.vocab_size)} tokens; what it was made of is in {path.name}",
            f"  blake3 {m.blake3}",
            f"  special tokens: {specials}",
            table(rows),
        ]
    )
