"""Training a tokenizer: a byte-level BPE on a sample that depends on the documents and the seed alone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import tokenizers
from msgspec import Struct
from tokenizers import decoders, models, pre_tokenizers, trainers

from dolma_pipeline import recipe
from dolma_pipeline.errors import ConfigError, StageError
from dolma_pipeline.formats.documents import Documents, read_documents
from dolma_pipeline.storage import atomic_path, output
from dolma_pipeline.task import Context, Report
from dolma_pipeline.tokens.encode import document_ids, needs_raw
from dolma_pipeline.tokens.keys import held_out, sample_keys
from dolma_pipeline.tokens.reference import one_thread

BYTES = 256
SHARD_BYTES = 1 << 16
"""Least worth opening a shard for: a sample of less than this for each takes fewer shards."""
READ_AHEAD = 4
"""Times its share that is read of a shard to draw from: the cost of a sample does not grow with the corpus."""


class SampledShard(Struct, frozen=True):
    """A file of documents, and how the index calls it (see EncodeShard)."""

    path: str
    label: str


class TrainOnShards(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Train on documents of `shards`, given in the order of the corpus; the tokenizer.json goes to `output`."""

    shards: list[SampledShard]
    train: recipe.TrainTokenizer
    output: str
    seed: int
    holdout: float = 0.0
    text_field: str = "text"
    id_field: str | None = "id"


def train_tokenizer(config: TrainOnShards, context: Context) -> Report:
    """Writes a tokenizer.json: special tokens first, then the 256 bytes, then merges. No text is unknown to it.

    It has no normalizer, so that decoding gives back every text byte for byte.
    """
    settings = config.train
    least = BYTES + len(settings.special_tokens)
    if settings.vocab_size < least:
        raise ConfigError(
            f"$.tokenizer.train.vocab_size: expected at least {least}, for {BYTES} bytes and "
            f"{len(settings.special_tokens)} special tokens, found {settings.vocab_size}"
        )
    used = {"documents": 0, "bytes": 0}

    def texts() -> Iterator[str]:
        for text, size in sample(config):
            used["documents"] += 1
            used["bytes"] += size
            yield text

    tokenizer = train(texts(), settings)
    if not used["documents"]:
        raise StageError(
            f"{config.output}: expected text to train a tokenizer on, found none in {len(config.shards)} shards"
        )
    with atomic_path(config.output) as temporary:
        temporary.write_text(tokenizer.to_str(pretty=True) + "\n", encoding="utf-8")
    size = tokenizer.get_vocab_size()
    warnings = []
    if size < settings.vocab_size:
        warnings.append(
            f"{config.output}: expected a vocabulary of {settings.vocab_size}, found only {size} in "
            f"{used['bytes']} bytes of text; give it more, or a smaller `vocab_size`"
        )
    details = {"vocab_size": size, "sample_documents": used["documents"], "sample_bytes": used["bytes"]}
    return Report(outputs=[output(config.output)], details=details, warnings=warnings)


def train(texts: Iterator[str], settings: recipe.TrainTokenizer) -> tokenizers.Tokenizer:
    """A byte-level BPE with GPT-2's rule for words, as OLMo's has; the order of `texts` does not matter."""
    one_thread()
    tokenizer = tokenizers.Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=settings.vocab_size,
        min_frequency=2,
        special_tokens=settings.special_tokens,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer=trainer)
    return tokenizer


def sample(config: TrainOnShards) -> Iterator[tuple[str, int]]:
    """Texts (stripped) and their UTF-8 bytes, `sample_bytes` in all, in equal shares of the shards.

    What a small shard does not have the larger ones give. Documents held out for validation are not looked at.
    """
    total = config.train.sample_bytes
    # The smallest first: what they leave is shared by those that can give more.
    shards = sorted(_spread(config.shards, max(1, total // SHARD_BYTES)), key=lambda s: Path(s.path).stat().st_size)
    remaining = total
    for number, shard in enumerate(shards):
        for text, size in _draw(config, shard, remaining // (len(shards) - number)):
            remaining -= size
            yield text, size


def _spread(shards: list[SampledShard], most: int) -> list[SampledShard]:
    """`most` of `shards` at equal distances, or all where there are fewer."""
    if len(shards) <= most:
        return shards
    return [shards[i * len(shards) // most] for i in range(most)]


def _draw(config: TrainOnShards, shard: SampledShard, share: int) -> list[tuple[str, int]]:
    """The documents of the smallest keys, `share` bytes in all: the last one is cut to that."""
    drawn: list[tuple[int, int, str, int]] = []
    bytes_drawn = bytes_read = 0
    for documents in read_documents(shard.path, keep_raw=needs_raw(config.text_field, config.id_field)):
        found = _keyed(config, shard, documents)
        drawn = sorted(drawn + found)
        bytes_drawn += sum(size for _, _, _, size in found)
        while drawn and bytes_drawn - drawn[-1][3] >= share:
            bytes_drawn -= drawn.pop()[3]
        bytes_read += documents.text_bytes
        if bytes_read >= READ_AHEAD * share:
            break
    texts = [(text, size) for _, _, text, size in drawn]
    if bytes_drawn > share:
        text, size = texts.pop()
        cut = text.encode()[: size - (bytes_drawn - share)].decode(errors="ignore")
        texts.append((cut, len(cut.encode())))
    return texts


def _keyed(config: TrainOnShards, shard: SampledShard, documents: Documents) -> list[tuple[int, int, str, int]]:
    """(key, line, text, bytes) of the documents that may be trained on."""
    texts = [(t or "").strip() for t in documents.field(config.text_field).to_pylist()]
    ids = document_ids(documents, config.id_field, shard.label)
    aside = held_out(ids, config.holdout, config.seed).tolist()
    keys = sample_keys(ids, config.seed).tolist()
    lines = documents.line.to_pylist()
    return [
        (key, line, text, len(text.encode()))
        for key, line, text, held in zip(keys, lines, texts, aside, strict=True)
        if text and not held
    ]
