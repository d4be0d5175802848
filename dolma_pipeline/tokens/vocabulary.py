"""What a vocabulary decides: the type of a token in a file, and the ids that begin, end and pad documents."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from msgspec import Struct

from dolma_pipeline.config.recipe import Tokenizer
from dolma_pipeline.errors import ConfigError, suggest
from dolma_pipeline.tokens.engine import Engine
from dolma_pipeline.tokens.specials import special_tokens

DTYPES = ("uint8", "uint16", "uint32", "uint64")
END_OF_TEXT = "<|endoftext|>"
PADDING = "<|padding|>"
MOST_NAMED = 10
"""Number of special tokens that an error names."""


class SpecialIds(Struct, frozen=True, kw_only=True):
    """Ids of the tokens around documents; None where a corpus has none."""

    bos: int | None = None
    eos: int | None = None
    pad: int | None = None


def token_dtype(vocab_size: int, dtype: str | None = None, where: str = "$.dtype") -> np.dtype[np.unsignedinteger]:
    """The little-endian type of a token: the smallest that holds the vocabulary, or `dtype` where that is enough."""
    smallest = next(d for d in DTYPES if vocab_size - 1 <= np.iinfo(d).max)
    if dtype is None:
        dtype = smallest
    elif vocab_size - 1 > np.iinfo(dtype).max:
        raise ConfigError(
            f"{where}: expected a type that holds the ids 0 to {vocab_size - 1} of the vocabulary, "
            f"found `{dtype}` (0 to {np.iinfo(dtype).max}); `{smallest}` would"
        )
    return np.dtype(dtype).newbyteorder("<")


def special_ids(engine: Engine, tokenizer: Tokenizer, where: str = "$.tokenizer", *, needed: bool = True) -> SpecialIds:
    """The ids that the recipe names or, for a tokenizer trained here, those of its own end-of-text and padding.

    Raises ConfigError with a line for each that the vocabulary does not have, and for neither BOS nor EOS if one is
    `needed`.
    """
    bos, eos, pad = tokenizer.bos, tokenizer.eos, tokenizer.pad
    if tokenizer.train is not None:
        named = special_tokens(tokenizer.train).names
        if bos is None and eos is None and END_OF_TEXT in named:
            eos = END_OF_TEXT
        if pad is None and PADDING in named:
            pad = PADDING
    if bos is None and eos is None and needed:
        raise ConfigError(neither(engine.special_tokens, where))
    found: dict[str, int | None] = {}
    problems = []
    for name, token in (("bos", bos), ("eos", eos), ("pad", pad)):
        try:
            found[name] = _token_id(engine, token, f"{where}.{name}")
        except ConfigError as error:
            problems.append(str(error))
    if problems:
        raise ConfigError("\n".join(problems))
    return SpecialIds(**found)


def neither(special: Sequence[str], where: str) -> str:
    """What is said of documents that nothing would part."""
    return (
        f"{where}: expected `eos` or `bos`, found neither: without one nothing would part two documents "
        f"(special tokens of this tokenizer: {_listed(special)})"
    )


def _token_id(engine: Engine, token: str | int | None, where: str) -> int | None:
    if token is None:
        return None
    if isinstance(token, int):
        _check_id(engine, token, where)
        return token
    found = engine.token_id(token)
    if found is None:
        # Special tokens first: among 100,000 others the nearest name is seldom the one that was meant.
        nearest = suggest(token, engine.special_tokens) or suggest(token, engine.vocabulary())
        raise ConfigError(
            f"{where}: expected a token of the vocabulary, found `{token}`{nearest} "
            f"(special tokens: {_listed(engine.special_tokens)})"
        )
    return found


def _check_id(engine: Engine, token: int, where: str) -> None:
    """Raises ConfigError for an id that no token has; ids may have gaps before those of added tokens."""
    names = {i: name for name, i in engine.vocabulary().items()}
    if token in names:
        return
    special = ", ".join(f"`{t}` {engine.token_id(t)}" for t in engine.special_tokens[:MOST_NAMED]) or "none"
    if 0 <= token < engine.vocab_size:
        nearest = min(names, key=lambda i: (abs(i - token), i))
        raise ConfigError(
            f"{where}: expected an id that a token has, found {token}, which none has; the nearest is {nearest}, "
            f"`{names[nearest]}` (special tokens: {special})"
        )
    raise ConfigError(
        f"{where}: expected an id from 0 to {engine.vocab_size - 1}, found {token} (special tokens: {special})"
    )


def _listed(tokens: Sequence[str]) -> str:
    shown = ", ".join(f"`{t}`" for t in tokens[:MOST_NAMED]) or "none"
    return shown if len(tokens) <= MOST_NAMED else f"{shown} and {len(tokens) - MOST_NAMED} more"
