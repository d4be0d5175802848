"""The `tokenizers` library as an engine: slow, and right by definition."""

from __future__ import annotations

import copy
import json
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import tokenizers
from numpy.typing import NDArray

from dolma_pipeline.errors import ConfigError, DataError
from dolma_pipeline.io.cache import local_copy
from dolma_pipeline.report.units import counted
from dolma_pipeline.tokens.coverage import coverage_of, strict
from dolma_pipeline.tokens.encoded import Encoded

SEGMENT = re.compile(r"\n*[^\n]+|\n+")
"""A line with the newlines before it: where the pieces of `segment_before_tokenization` begin is Dolma's rule."""


def one_thread() -> None:
    """Keeps `tokenizers` to the calling thread: a worker is one core, and its threads do not survive a fork."""
    os.environ["TOKENIZERS_PARALLELISM"] = "false"


class CannotEncodeError(DataError):
    """A text that the library refuses, because its vocabulary cannot spell it."""

    row = 0
    """Which of the texts that were to be encoded it is."""


class ReferenceEngine:
    """An `Engine` for every tokenizer.json there is."""

    name = "reference"

    def __init__(self, path: Path, *, encode_special_tokens: bool = False, segment: bool = False) -> None:
        one_thread()
        try:
            self._tokenizer = tokenizers.Tokenizer.from_file(str(local_copy(path)))
        except Exception as error:  # the library raises bare Exception for whatever is wrong with the file
            raise ConfigError(f"{path}: expected a tokenizer.json, found a file that is none: {error}") from None
        # A file may say that texts are to be cut or padded to a model's length: a corpus must not be.
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        self._tokenizer.encode_special_tokens = encode_special_tokens
        self._segment = segment
        self._prepends = segment and prepends(json.loads(self._tokenizer.to_str()), path)
        self.warning: str | None = None
        self.vocab_size = 1 + max(self._tokenizer.get_vocab(with_added_tokens=True).values(), default=-1)
        added = self._tokenizer.get_added_tokens_decoder()
        self.special_tokens: list[str] = [added[i].content for i in sorted(added) if added[i].special]
        self.added_tokens: dict[str, int] = {token.content: i for i, token in added.items()}
        self._path = path
        self._strict: ReferenceEngine | None = None
        self.coverage = coverage_of(self._tokenizer)
        if self.coverage.fate == "left out":
            self._strict = copy.copy(self)
            self._strict._tokenizer = strict(self._tokenizer)
        self.coverage = self.coverage.without(self._lacks)

    def encode(self, texts: pa.LargeStringArray, *, bos: int | None = None, eos: int | None = None) -> Encoded:
        stripped = [(t or "").strip() for t in texts.to_pylist()]
        full = [i for i, t in enumerate(stripped) if t]
        try:
            encoded, lacks = self._encode_watched([stripped[i] for i in full])
        except CannotEncodeError as error:
            error.row = full[error.row]
            raise
        lengths = np.zeros(len(stripped), dtype=np.int64)
        lengths[full] = [len(ids) for ids in encoded]
        lacking = np.zeros(len(stripped), dtype=np.bool_)
        lacking[full] = lacks
        ids = np.concatenate([np.zeros(0, dtype=np.uint32), *encoded])
        ids, lengths = with_boundaries(ids, lengths, bos, eos)
        text_bytes = np.array([len(t.encode()) for t in stripped], dtype=np.int64)
        return Encoded(ids, lengths, text_bytes, None if self.coverage.fate == "none" else lacking)

    def _encode_watched(self, texts: list[str]) -> tuple[list[NDArray[np.uint32]], list[bool]]:
        """The ids of each text, and whether the vocabulary lacks something of it."""
        fate = self.coverage.fate
        if fate in ("none", "unknown"):
            encoded = self.encode_batch(texts)
            if fate == "none":
                return encoded, [False] * len(texts)
            return encoded, [self._has_unknown(t, ids) for t, ids in zip(texts, encoded, strict=True)]
        watched = self._strict or self
        try:
            return watched.encode_batch(texts), [False] * len(texts)
        except CannotEncodeError:
            return self._encode_one_by_one(texts)

    def _encode_one_by_one(self, texts: list[str]) -> tuple[list[NDArray[np.uint32]], list[bool]]:
        encoded, lacking = [], []
        for row, text in enumerate(texts):
            lacks = self._lacks(text)
            try:
                encoded += self.encode_batch([text])
            except CannotEncodeError as error:
                error.row = row
                raise
            lacking.append(lacks)
        return encoded, lacking

    def _has_unknown(self, text: str, ids: NDArray[np.uint32]) -> bool:
        """Whether the token for what the vocabulary lacks is there, other than where its name stands in the text."""
        unknown = self.coverage.unknown or ""
        found = int((ids == self.token_id(unknown)).sum())
        named = unknown in self.added_tokens and not self._tokenizer.encode_special_tokens
        return found > (text.count(unknown) if found and named else 0)

    def _lacks(self, text: str) -> bool:
        """Whether the vocabulary lacks something of one text."""
        if self.coverage.fate == "unknown":
            return self._has_unknown(text, self.encode_batch([text])[0])
        try:
            (self._strict or self).encode_batch([text])
        except CannotEncodeError:
            return True
        return False

    def encode_batch(self, texts: list[str]) -> list[NDArray[np.uint32]]:
        if self._segment:
            return self._encode_segments(texts)
        return self._encode(texts)

    def _encode(self, texts: list[str]) -> list[NDArray[np.uint32]]:
        try:
            encodings = self._tokenizer.encode_batch_fast(texts, add_special_tokens=False)
        except Exception as error:  # the library raises bare Exception for whatever it cannot do
            raise self._refused(texts, error) from None
        return [np.array(e.ids, dtype=np.uint32) for e in encodings]

    def _refused(self, texts: list[str], error: Exception) -> CannotEncodeError:
        text = f"the text {texts[0][:40]!r}" if len(texts) == 1 else counted(len(texts), "text")
        return CannotEncodeError(
            f"{self._path}: expected a vocabulary that spells {text}, found that it cannot: {error}; a tokenizer with "
            "an unknown token or all bytes would do"
        )

    def _encode_segments(self, texts: list[str]) -> list[NDArray[np.uint32]]:
        if self._prepends:
            return [self._encode_prefixed(text) for text in texts]
        pieces = [SEGMENT.findall(text) for text in texts]
        encoded = self._encode([p for piece in pieces for p in piece])
        joined, first = [], 0
        for piece in pieces:
            mine = encoded[first : first + len(piece)]
            joined.append(np.concatenate(mine) if mine else np.zeros(0, dtype=np.uint32))
            first += len(piece)
        return joined

    def _encode_prefixed(self, text: str) -> NDArray[np.uint32]:
        """As Dolma segments for a tokenizer that puts a space before each text.

        Every line but the first gets one more space, which together with that of the tokenizer is the first token, and
        is left out. Where the first token takes more than the space, the text is encoded as a whole.
        """
        first, *rest = SEGMENT.findall(text) or [""]
        try:
            encoded = self._tokenizer.encode_batch([first, *(f" {p}" for p in rest)], add_special_tokens=False)
        except Exception as error:
            raise self._refused([text], error) from None
        if any(e.offsets[0] != (0, 1) for e in encoded[1:]):
            return self._encode([text])[0]
        ids = [encoded[0].ids, *(e.ids[1:] for e in encoded[1:])]
        return np.array([i for piece in ids for i in piece], dtype=np.uint32)

    def agrees(self, texts: list[str]) -> str | None:
        return None

    def reference(self, warning: str) -> ReferenceEngine:
        warned = copy.copy(self)
        warned.warning = warning
        return warned

    def decode(self, ids: Sequence[int]) -> str:
        text: str = self._tokenizer.decode([int(i) for i in ids], skip_special_tokens=False)
        return text

    def token_id(self, token: str) -> int | None:
        found: int | None = self._tokenizer.token_to_id(token)
        return found

    def vocabulary(self) -> dict[str, int]:
        tokens: dict[str, int] = self._tokenizer.get_vocab(with_added_tokens=True)
        return tokens


def with_boundaries(
    ids: NDArray[np.uint32], lengths: NDArray[np.int64], bos: int | None, eos: int | None
) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
    """`ids` with each document between BOS and EOS, neither of which is put where it already stands."""
    full = np.flatnonzero(lengths)
    ends = np.cumsum(lengths)[full]
    starts = ends - lengths[full]
    no_eos = full[:0] if eos is None else np.flatnonzero(ids[ends - 1] != eos)
    no_bos = full[:0] if bos is None else np.flatnonzero(ids[starts] != bos)
    # The end of one document is the beginning of the next: what is named first is inserted first.
    places = np.concatenate([ends[no_eos], starts[no_bos]])
    values = np.repeat(np.array([eos or 0, bos or 0], dtype=np.uint32), [len(no_eos), len(no_bos)])
    longer = lengths.copy()
    longer[full[no_eos]] += 1
    longer[full[no_bos]] += 1
    return np.insert(ids, places, values), longer


def prepends(form: dict[str, Any], path: Path) -> bool:
    """Whether a tokenizer.json puts something before each text in a way that segmenting can undo, as Dolma undoes it.

    Raises ConfigError if it does so in another way: it would come before every line of a text.
    """
    parts: list[dict[str, Any]] = []
    for key, inner in (("normalizer", "normalizers"), ("pre_tokenizer", "pretokenizers")):
        part = form.get(key) or {}
        parts += [part, *part.get(inner, [])]
    for part in parts:
        # The scheme of a Metaspace decides; files from before it have `add_prefix_space` alone.
        if part.get("type") == "Metaspace" and part.get("prepend_scheme", "never") != "never":
            raise ConfigError(
                f"expected, to encode line by line, a tokenizer that puts nothing before a text, or does so by "
                f"`Prepend` or `add_prefix_space`, found `Metaspace` in {path}, which would come before every line; "
                "leave the option out"
            )
    return any(part.get("type") == "Prepend" or bool(part.get("add_prefix_space")) for part in parts)
