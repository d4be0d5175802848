"""Engines turn texts into token ids; every one of them gives exactly the ids of the `tokenizers` library."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import tokenizers
from numpy.typing import NDArray

from dolma_pipeline.errors import ConfigError
from dolma_pipeline.task import Context

SEGMENT = re.compile(r"\n*[^\n]+|\n+")
"""A line with the newlines before it: where the pieces of `segment_before_tokenization` begin is Dolma's rule."""


class Engine(Protocol):
    """What the stages need of a tokenizer."""

    vocab_size: int
    """One more than the largest id: what a token's type must hold."""
    special_tokens: list[str]

    def encode_batch(self, texts: list[str]) -> list[NDArray[np.uint32]]:
        """The ids of each text, without BOS or EOS added."""
        ...

    def decode(self, ids: Sequence[int]) -> str:
        """The text of `ids`, special tokens included."""
        ...

    def token_id(self, token: str) -> int | None:
        """The id of a token of the vocabulary; None where there is none."""
        ...

    def vocabulary(self) -> dict[str, int]: ...


def one_thread() -> None:
    """Keeps `tokenizers` to the calling thread: a worker is one core, and its threads do not survive a fork."""
    os.environ["TOKENIZERS_PARALLELISM"] = "false"


class ReferenceEngine:
    """The `tokenizers` library itself."""

    def __init__(self, path: Path, *, encode_special_tokens: bool = False, segment: bool = False) -> None:
        one_thread()
        try:
            self._tokenizer = tokenizers.Tokenizer.from_file(str(path))
        except Exception as error:  # the library raises bare Exception for whatever is wrong with the file
            raise ConfigError(f"{path}: expected a tokenizer.json, found a file that is none: {error}") from None
        # A file may say that texts are to be cut or padded to a model's length: a corpus must not be.
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        self._tokenizer.encode_special_tokens = encode_special_tokens
        self._segment = segment
        if segment and (prefix := _prefix(json.loads(self._tokenizer.to_str()))):
            raise ConfigError(
                f"segment_before_tokenization: expected a tokenizer that puts nothing before a text, "
                f"found {prefix} in {path}, which would come before every line; leave the option out"
            )
        self.vocab_size = 1 + max(self._tokenizer.get_vocab(with_added_tokens=True).values(), default=-1)
        added = self._tokenizer.get_added_tokens_decoder()
        self.special_tokens: list[str] = [added[i].content for i in sorted(added) if added[i].special]

    def encode_batch(self, texts: list[str]) -> list[NDArray[np.uint32]]:
        if self._segment:
            return self._encode_segments(texts)
        return self._encode(texts)

    def _encode(self, texts: list[str]) -> list[NDArray[np.uint32]]:
        encodings = self._tokenizer.encode_batch_fast(texts, add_special_tokens=False)
        return [np.array(e.ids, dtype=np.uint32) for e in encodings]

    def _encode_segments(self, texts: list[str]) -> list[NDArray[np.uint32]]:
        pieces = [SEGMENT.findall(text) for text in texts]
        encoded = self._encode([p for piece in pieces for p in piece])
        joined, first = [], 0
        for piece in pieces:
            mine = encoded[first : first + len(piece)]
            joined.append(np.concatenate(mine) if mine else np.zeros(0, dtype=np.uint32))
            first += len(piece)
        return joined

    def decode(self, ids: Sequence[int]) -> str:
        text: str = self._tokenizer.decode([int(i) for i in ids], skip_special_tokens=False)
        return text

    def token_id(self, token: str) -> int | None:
        found: int | None = self._tokenizer.token_to_id(token)
        return found

    def vocabulary(self) -> dict[str, int]:
        tokens: dict[str, int] = self._tokenizer.get_vocab(with_added_tokens=True)
        return tokens


def _prefix(form: dict[str, Any]) -> str | None:
    """The part of a tokenizer.json that puts something before each text, if there is one."""
    parts: list[dict[str, Any]] = []
    for key, inner in (("normalizer", "normalizers"), ("pre_tokenizer", "pretokenizers")):
        part = form.get(key) or {}
        parts += [part, *part.get(inner, [])]
    for part in parts:
        if part.get("type") == "Prepend" or part.get("add_prefix_space"):
            return f"`{part['type']}`"
        # Of a Metaspace the scheme decides; files from before it have `add_prefix_space` alone.
        if part.get("type") == "Metaspace" and part.get("prepend_scheme", "never") != "never":
            return "`Metaspace`"
    return None


def tokenizer_file(path: str) -> Path:
    """The tokenizer.json that `path` names: the file, or the one in that directory; else a ConfigError."""
    found = Path(path).expanduser()
    if found.is_dir():
        found = found / "tokenizer.json"
    if not found.is_file():
        raise ConfigError(
            f"tokenizer `{path}`: expected a tokenizer.json or a directory that holds one, found no {found}; "
            "download it first, or have one trained with `tokenizer: {train: {}}`"
        )
    return found


def load_engine(path: str, *, encode_special_tokens: bool = False, segment: bool = False) -> Engine:
    """The engine for the tokenizer at `path` (see `tokenizer_file`).

    `encode_special_tokens`: special tokens that stand in a text are taken as text. `segment`: lines are encoded one
    by one, which is faster for tokenizers that do not split at white space and differs where a token spans lines.
    """
    return ReferenceEngine(tokenizer_file(path), encode_special_tokens=encode_special_tokens, segment=segment)


def loaded_engine(context: Context, path: str, *, encode_special_tokens: bool = False, segment: bool = False) -> Engine:
    """The same, loaded once in a process for as long as the file does not change."""
    stat = tokenizer_file(path).stat()
    key = ("tokenizer", path, stat.st_size, stat.st_mtime_ns, encode_special_tokens, segment)
    return context.load(key, lambda: load_engine(path, encode_special_tokens=encode_special_tokens, segment=segment))
