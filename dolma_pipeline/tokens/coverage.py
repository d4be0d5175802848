"""Which texts a vocabulary can spell, and what becomes of those that it cannot."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Literal

import msgspec
import tokenizers
from msgspec import Struct

from dolma_pipeline.report.units import counted

UTF8 = tuple(b for b in range(256) if b not in (0xC0, 0xC1) and b < 0xF5)
"""The 243 bytes that occur in UTF-8."""
MOST_BYTES = 8
"""Number of missing bytes that a message names."""
LEFT_OUT = "left out of the tokens"


class Coverage(Struct, frozen=True, kw_only=True):
    """What a tokenizer does with text that its vocabulary cannot spell."""

    fate: Literal["none", "unknown", "left out", "error"]
    """`none`: the vocabulary spells every text; `unknown`: a token stands for what it lacks; `left out`: nothing does,
    and nobody is told; `error`: the library refuses the text."""
    unknown: str | None = None
    """The token that stands for what the vocabulary lacks."""
    missing: tuple[int, ...] = ()
    """The bytes that the vocabulary lacks, where it spells by bytes."""
    size: int = 0
    """Number of tokens in the vocabulary."""

    @property
    def instead(self) -> str:
        """What becomes of text that the vocabulary lacks, as the account has it."""
        return LEFT_OUT if self.unknown is None else f"`{self.unknown}` in its place"

    @property
    def lack(self) -> str:
        """What the vocabulary does not have, as a message says it."""
        if not self.missing:
            return f"a vocabulary of {counted(self.size, 'token')} that cannot spell every text"
        named = ", ".join(_shown(b) for b in self.missing[:MOST_BYTES])
        more = f" and {len(self.missing) - MOST_BYTES} more" if len(self.missing) > MOST_BYTES else ""
        return f"a vocabulary that lacks {len(self.missing)} of the {len(UTF8)} bytes of UTF-8 ({named}{more})"

    @property
    def loss(self) -> str:
        """What then happens to text, as a sentence."""
        if self.fate == "error":
            return f"encoding stops at the first text {'with one of them' if self.missing else 'that it cannot spell'}"
        if self.fate == "unknown":
            return f"`{self.unknown}` stands in {'their place' if self.missing else 'the place of what it lacks'}"
        return "text that contains them loses them" if self.missing else "what it cannot spell is left out"

    def without(self, lacks: Callable[[str], bool]) -> Coverage:
        """The same but for ASCII bytes that are not found to be lacking: a normalizer may have changed them."""
        missing = tuple(b for b in self.missing if b >= 0x80 or lacks(chr(b)))
        if self.missing and not missing:
            return Coverage(fate="none")
        return msgspec.structs.replace(self, missing=missing)


def coverage_of(library: tokenizers.Tokenizer) -> Coverage:
    """What the parts of a tokenizer say of it."""
    model = library.model
    kind = type(model).__name__
    size: int = library.get_vocab_size(with_added_tokens=False)
    # The model of a Unigram tells its settings in no other way.
    settings: dict[str, Any] = json.loads(model.__getstate__()) if kind == "Unigram" else {}
    spelling = _spelling(library, bool(settings.get("byte_fallback")))
    missing = tuple(b for b in UTF8 if model.token_to_id(spelling[b]) is None) if spelling else ()
    if kind == "Unigram":
        number = settings.get("unk_id")
        unknown = None if number is None else settings["vocab"][number][0]
    else:
        unknown = model.unk_token
    # A Unigram without an unknown token refuses a text before it looks for bytes.
    if spelling and not missing and not (kind == "Unigram" and settings["byte_fallback"] and unknown is None):
        return Coverage(fate="none")
    if kind == "BPE" and unknown is None:
        return Coverage(fate="left out", missing=missing, size=size)
    if unknown is None or model.token_to_id(unknown) is None:
        return Coverage(fate="error", missing=missing, size=size)
    return Coverage(fate="unknown", unknown=unknown, missing=missing, size=size)


def strict(library: tokenizers.Tokenizer) -> tokenizers.Tokenizer:
    """A twin of a BPE that gives the same ids, but refuses a text of which it would leave something out.

    To the library a name of an unknown token that no vocabulary has is an error when that token is needed.
    """
    form = json.loads(library.to_str())
    name = "\0unknown"
    while name in form["model"]["vocab"]:
        name += "\0"
    form["model"]["unk_token"] = name
    twin = tokenizers.Tokenizer.from_str(json.dumps(form))
    twin.encode_special_tokens = library.encode_special_tokens
    return twin


def byte_letters() -> dict[int, str]:
    """GPT-2's letter for each byte: printable Latin-1 stands for itself, the rest for U+0100 and on, in order."""
    plain = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    rest = [b for b in range(256) if b not in plain]
    return {b: chr(b) for b in plain} | {b: chr(0x100 + i) for i, b in enumerate(rest)}


def _spelling(library: tokenizers.Tokenizer, fallback: bool) -> dict[int, str] | None:
    """The token of each byte, where the tokenizer spells by bytes what it has no other token for."""
    model = library.model
    kind = type(model).__name__
    if kind not in ("BPE", "Unigram"):
        return None
    if kind == "BPE":
        if model.continuing_subword_prefix or model.end_of_word_suffix:
            return None
        fallback = model.byte_fallback
    parts = [json.loads(p.__getstate__()) for p in (library.normalizer, library.pre_tokenizer) if p is not None]
    parts += [inner for p in parts for inner in (*p.get("normalizers", []), *p.get("pretokenizers", []))]
    if any(p.get("type") == "ByteLevel" for p in parts):
        return byte_letters()
    tokens = {b: f"<0x{b:02X}>" for b in range(256)}
    return tokens if fallback and any(model.token_to_id(t) is not None for t in tokens.values()) else None


def _shown(byte: int) -> str:
    return f"`{chr(byte)}`" if 0x21 <= byte < 0x7F else f"0x{byte:02X}"
