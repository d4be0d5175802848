"""Training a tokenizer: a byte-level BPE on a sample that depends on the documents, the weights and the seed alone."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import tokenizers
from msgspec import Struct, structs
from tokenizers import Regex, decoders, models, normalizers, pre_tokenizers, trainers

from dolma_pipeline import __version__
from dolma_pipeline.config import recipe
from dolma_pipeline.engine.task import BadInput, Context, Report
from dolma_pipeline.errors import ConfigError, StageError
from dolma_pipeline.io.atomic import write_json, write_text
from dolma_pipeline.tokens.reference import one_thread
from dolma_pipeline.tokens.sample import SampledShard, Sampling, check_weights, sample, wanted
from dolma_pipeline.tokens.specials import MASK, special_tokens

BYTES = 256
_CONTRACTIONS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
_REST = r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
WORDS = {
    "gpt4": rf"{_CONTRACTIONS}|[^\r\n\p{{L}}\p{{N}}]?\p{{L}}+|\p{{N}}{{1,3}}|{_REST}",
    "qwen2": rf"{_CONTRACTIONS}|[^\r\n\p{{L}}\p{{N}}]?\p{{L}}+|\p{{N}}|{_REST}",
}
"""Rules for words that are patterns; that of GPT-2 is built into ByteLevel. The fast engine knows no others."""


class TrainOnShards(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Train on documents of `shards`, given in the order of the corpus; the tokenizer.json goes to `output`."""

    shards: list[SampledShard]
    train: recipe.TrainTokenizer
    output: str
    seed: int
    holdout: float = 0.0
    text_field: str = "text"
    id_field: str | None = "id"
    where: str = "$.tokenizer.train"
    """Path of the settings, for messages."""


class SourceSample(Struct, kw_only=True, omit_defaults=True):
    """What was drawn of a source; `wanted`: the bytes that its weight asks for."""

    documents: int = 0
    bytes: int = 0
    wanted: int | None = None


class TrainingManifest(Struct, frozen=True, kw_only=True):
    """What a tokenizer was made of, beside it as `tokenizer.training.json`."""

    tokenizer: str
    blake3: str
    vocab_size: int
    special_tokens: dict[str, int]
    settings: dict[str, Any]
    """A recipe's, those that were not given too."""
    seed: int
    holdout: float
    sample: dict[str, SourceSample]
    sample_blake2b: str
    """Hash of the texts in the order of the sample, each with its length before it."""
    versions: dict[str, str]


def manifest_path(tokenizer: str | Path) -> Path:
    return Path(tokenizer).with_suffix(".training.json")


def train_tokenizer(config: TrainOnShards, context: Context) -> Report:
    """Writes a tokenizer.json and, beside it, what it was made of. No text is unknown to it.

    Ids: special tokens, the 256 bytes, merges in their order, then special tokens that a preset has at the end. Without
    a normalizer decoding gives back every text byte for byte.
    """
    settings = config.train
    specials = special_tokens(settings)
    least = BYTES + len(specials.names)
    if settings.vocab_size < least:
        raise ConfigError(
            f"{config.where}.vocab_size: expected at least {least}, for {BYTES} bytes and "
            f"{len(specials.names)} special tokens, found {settings.vocab_size}"
        )
    check_weights(settings.weights, list(dict.fromkeys(s.source for s in config.shards)), f"{config.where}.weights")
    sampling = Sampling(
        shards=config.shards,
        sample_bytes=settings.sample_bytes,
        weights=settings.weights,
        seed=config.seed,
        holdout=config.holdout,
        text_field=config.text_field,
        id_field=config.id_field,
    )
    asked = wanted(sampling)
    drawn = {s.source: SourceSample(wanted=asked.get(s.source)) for s in config.shards}
    digest = hashlib.blake2b(digest_size=16)
    bad: dict[str, BadInput] = {}

    def texts() -> Iterator[str]:
        for shard, text, size in sample(sampling, bad):
            drawn[shard.source].documents += 1
            drawn[shard.source].bytes += size
            digest.update(size.to_bytes(8, "little") + text.encode())
            yield text

    tokenizer = train(texts(), settings)
    documents, size = (sum(getattr(s, f) for s in drawn.values()) for f in ("documents", "bytes"))
    if not documents:
        raise StageError(
            f"{config.output}: expected text to train a tokenizer on, found none in {len(config.shards)} shards"
        )
    written = write_text(config.output, tokenizer.to_str(pretty=True) + "\n")
    manifest = TrainingManifest(
        tokenizer=Path(config.output).name,
        blake3=written.blake3,
        vocab_size=tokenizer.get_vocab_size(),
        special_tokens={token.content: i for i, token in sorted(tokenizer.get_added_tokens_decoder().items())},
        settings=structs.asdict(settings),
        seed=config.seed,
        holdout=config.holdout,
        sample=drawn,
        sample_blake2b=digest.hexdigest(),
        versions={"dolma_pipeline": __version__, "tokenizers": tokenizers.__version__},
    )
    beside = manifest_path(config.output)
    described = write_json(beside, manifest)
    details = {"vocab_size": manifest.vocab_size, "sample_documents": documents, "sample_bytes": size}
    return Report(
        outputs=[written, described],
        details=details,
        warnings=_warnings(config, drawn, size, manifest.vocab_size),
        bad=[bad[path] for path in sorted(bad)],
    )


def _warnings(config: TrainOnShards, drawn: dict[str, SourceSample], size: int, vocab_size: int) -> list[str]:
    warnings = []
    # A cut within a character leaves at most three bytes, of each shard.
    spare = 3 * len(config.shards) + 1
    enough = size + spare >= config.train.sample_bytes
    for name, s in drawn.items():
        if s.wanted is not None and s.bytes + spare < s.wanted:
            rest = "the others gave the rest" if enough else "nor had the others more"
            warnings.append(
                f"{config.output}: expected {s.wanted} bytes of source `{name}` for its weight, found only {s.bytes}; "
                f"{rest}"
            )
    if vocab_size < config.train.vocab_size:
        warnings.append(
            f"{config.output}: expected a vocabulary of {config.train.vocab_size}, found only {vocab_size} in "
            f"{size} bytes of text; give it more, or a smaller `vocab_size`"
        )
    return warnings


def train(texts: Iterable[str], settings: recipe.TrainTokenizer) -> tokenizers.Tokenizer:
    """A byte-level BPE; the order of `texts` does not matter.

    Special tokens that stand in a text part it, as they do when it is encoded: nothing is learnt of their letters.
    """
    one_thread()
    specials = special_tokens(settings)
    tokenizer = tokenizers.Tokenizer(models.BPE())
    if settings.normalizer == "nfc":
        tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizer(settings)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=settings.vocab_size - len(specials.last),
        min_frequency=settings.min_frequency,
        special_tokens=list(specials.first),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(_parts(texts, specials.names), trainer=trainer)
    tokenizer.add_special_tokens([tokenizers.AddedToken(t, normalized=False, special=True) for t in specials.last])
    return _with_masks(tokenizer)


def pre_tokenizer(settings: recipe.TrainTokenizer) -> pre_tokenizers.PreTokenizer:
    """Numbers cut out where asked for, then the rule for words, then bytes."""
    parts: list[Any] = []
    if settings.digits != "as_rule":
        parts.append(pre_tokenizers.Digits(individual_digits=settings.digits == "single"))
    pattern = WORDS.get(settings.pre_tokenizer)
    if pattern is not None:
        parts.append(pre_tokenizers.Split(Regex(pattern), behavior="isolated"))
    parts.append(pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=pattern is None))
    return parts[0] if len(parts) == 1 else pre_tokenizers.Sequence(parts)


def _parts(texts: Iterable[str], names: tuple[str, ...]) -> Iterator[str]:
    """What stands between special tokens; of two that begin alike the longer is the one that is found."""
    if not names:
        yield from texts
        return
    between = re.compile("|".join(re.escape(name) for name in sorted(names, key=len, reverse=True)))
    for text in texts:
        yield from filter(None, between.split(text))


def _with_masks(tokenizer: tokenizers.Tokenizer) -> tokenizers.Tokenizer:
    """The trainer makes every token that it is given a special one, which masks of personal data are not."""
    form = json.loads(tokenizer.to_str())
    for token in form["added_tokens"]:
        if MASK.fullmatch(token["content"]):
            token["special"] = False
    return tokenizers.Tokenizer.from_str(json.dumps(form, ensure_ascii=False))
