"""Counts that add up, and the figures that are made of their sums."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from msgspec import Struct

NO_GROUP = "(none)"
"""Documents without the field, or that no tagger has a score for."""


class TokenCounts(Struct, kw_only=True):
    """What one tokenizer makes of some documents."""

    tokens: int = 0
    byte_tokens: int = 0
    """Tokens of a single byte that is only a part of a character."""
    words: int = 0
    """In the text as the tokenizer normalizes it."""
    pieces: int = 0
    """Tokens that are in words, one that is in two counted twice."""
    whole_words: int = 0
    used: bytes = b""
    """A bit for each id of the vocabulary."""

    def add(self, other: TokenCounts) -> None:
        for name in ("tokens", "byte_tokens", "words", "pieces", "whole_words"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        if not self.used:
            self.used = other.used
        elif other.used:
            mine, theirs = (np.frombuffer(u, np.uint8) for u in (self.used, other.used))
            self.used = (mine | theirs).tobytes()


class Counts(Struct, kw_only=True):
    """Documents with text, and what each tokenizer makes of them."""

    documents: int = 0
    bytes: int = 0
    characters: int = 0
    words: int = 0
    tokenizers: list[TokenCounts] = []

    def add(self, other: Counts) -> None:
        for name in ("documents", "bytes", "characters", "words"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        while len(self.tokenizers) < len(other.tokenizers):
            self.tokenizers.append(TokenCounts())
        for mine, theirs in zip(self.tokenizers, other.tokenizers, strict=True):
            mine.add(theirs)


class ShardCounts(Struct, frozen=True, kw_only=True):
    """The counts of a shard by the value of the field, or of the tagger, that documents are grouped by."""

    source: str
    groups: dict[str, Counts]


class TokenizerInfo(Struct, frozen=True, kw_only=True):
    name: str
    path: str
    blake3: str
    vocab_size: int


class Figures(Struct, frozen=True, kw_only=True):
    """Figures of one tokenizer on some documents; None where nothing is divided by nothing."""

    tokens: int
    tokens_per_word: float | None
    """All tokens, those of white space and punctuation too."""
    pieces_per_word: float | None
    """Tokens that are in a word, of the mean word: 1 where every word is a token."""
    whole_words: float | None
    """Share of the words that are one token."""
    bytes_per_token: float | None
    characters_per_token: float | None
    byte_tokens: float | None
    """Share of the tokens that are a single byte of a character."""
    vocabulary_used: int
    """Ids that occur."""
    to_best: float | None
    """Tokens for each that the best of the tokenizers needs."""
    to_baseline: float | None
    """Tokens per word for each of the baseline's."""


class Row(Struct, frozen=True, kw_only=True):
    """Some documents, and the figures of each tokenizer in their order."""

    documents: int
    bytes: int
    characters: int
    words: int
    tokenizers: list[Figures]


class Fertility(Struct, frozen=True, kw_only=True):
    """The content of fertility.json."""

    by: str | None
    sample: float
    baseline: str | None
    words: str
    tokenizers: list[TokenizerInfo]
    total: Row
    sources: dict[str, Row]
    groups: dict[str, Row]


WORDS = "UAX 29: segments with a letter or a number; of scripts without spaces between words, each character"


def summed(counts: Iterable[Counts]) -> Counts:
    total = Counts(tokenizers=[])
    for each in counts:
        total.add(each)
    return total


def fertility(
    shards: Iterable[ShardCounts],
    tokenizers: list[TokenizerInfo],
    *,
    by: str | None,
    sample: float,
    baseline: str | None,
) -> Fertility:
    """The figures of all shards; sources in their order, groups by size."""
    sources: dict[str, Counts] = {}
    groups: dict[str, Counts] = {}
    for shard in shards:
        for name, counts in shard.groups.items():
            sources.setdefault(shard.source, Counts(tokenizers=[])).add(counts)
            groups.setdefault(name, Counts(tokenizers=[])).add(counts)
    base = groups.get(baseline) if baseline is not None else None
    ordered = sorted(groups, key=lambda name: (-groups[name].bytes, name)) if by is not None else []
    return Fertility(
        by=by,
        sample=sample,
        baseline=baseline,
        words=WORDS,
        tokenizers=tokenizers,
        total=row(summed(sources.values()), base),
        sources={name: row(counts, base) for name, counts in sources.items()},
        groups={name: row(groups[name], base) for name in ordered},
    )


def row(counts: Counts, base: Counts | None) -> Row:
    best = min((t.tokens for t in counts.tokenizers), default=0)
    figures = []
    for i, t in enumerate(counts.tokenizers):
        per_word = ratio(t.tokens, counts.words)
        base_per_word = ratio(base.tokenizers[i].tokens, base.words) if base is not None else None
        figures.append(
            Figures(
                tokens=t.tokens,
                tokens_per_word=per_word,
                pieces_per_word=ratio(t.pieces, t.words),
                whole_words=ratio(t.whole_words, t.words),
                bytes_per_token=ratio(counts.bytes, t.tokens),
                characters_per_token=ratio(counts.characters, t.tokens),
                byte_tokens=ratio(t.byte_tokens, t.tokens),
                vocabulary_used=int(np.unpackbits(np.frombuffer(t.used, np.uint8)).sum()),
                to_best=ratio(t.tokens, best),
                to_baseline=ratio(per_word, base_per_word),
            )
        )
    return Row(
        documents=counts.documents,
        bytes=counts.bytes,
        characters=counts.characters,
        words=counts.words,
        tokenizers=figures,
    )


def ratio(part: float | None, whole: float | None) -> float | None:
    return part / whole if part is not None and whole else None
