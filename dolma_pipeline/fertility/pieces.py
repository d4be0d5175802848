"""What a tokenizer makes of texts: their tokens, where each of them stands, and the pieces that words come to."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import tokenizers
from numpy.typing import NDArray

from dolma_pipeline import _native
from dolma_pipeline.io.cache import local_copy
from dolma_pipeline.tokens.coverage import byte_letters
from dolma_pipeline.tokens.engine import Engine, load_engine
from dolma_pipeline.tokens.reference import one_thread

Integers = NDArray[np.int64]
Booleans = NDArray[np.bool_]


@dataclass(frozen=True)
class Words:
    """Words of texts that stand one after the other (see `_native.word_spans`): a count per text, places per word."""

    counts: Integers
    starts: Integers
    ends: Integers


@dataclass(frozen=True)
class Pieces:
    """The tokens of texts: their ids, how many each text has, and how many are in each word."""

    ids: Integers
    lengths: Integers
    words: Integers
    """How many each text has."""
    pieces: Integers


def words_of(texts: pa.LargeStringArray) -> Words:
    counts, starts, ends = (column.to_numpy() for column in _native.word_spans(texts))
    return Words(counts, starts, ends)


class Measured:
    """A loaded tokenizer. Texts are encoded as a `tokens` stage does; BOS and EOS are not counted."""

    def __init__(self, path: Path) -> None:
        self._engine: Engine = load_engine(str(path))
        one_thread()
        self._library = tokenizers.Tokenizer.from_file(str(local_copy(path)))
        self._library.no_truncation()
        self._library.no_padding()
        self.vocab_size = self._engine.vocab_size
        self.warning = self._engine.warning
        vocabulary = self._engine.vocabulary()
        added = {token.content for token in self._library.get_added_tokens_decoder().values()}
        # The fast engine takes byte-level tokenizers alone, of which each token is a string of bytes.
        self._bytes = byte_strings(vocabulary, added, self.vocab_size) if self._engine.name == "fast" else None
        self.byte_tokens: Booleans = _byte_tokens(vocabulary, self._bytes, self.vocab_size)
        """By id: those of a single byte that is but a part of a character."""
        self._nfc = self._bytes is not None and self._library.normalizer is not None

    def pieces(self, texts: Sequence[str], column: pa.LargeStringArray, words: Words) -> Pieces:
        """`texts`, stripped and none empty, also as a `column`, and their `words`."""
        encoded = self._engine.encode(column)
        ids, lengths = encoded.ids.astype(np.int64), encoded.lengths
        if self._bytes is not None:
            if self._nfc and not all(map(_is_nfc, texts)):
                column = pa.array([unicodedata.normalize("NFC", t) for t in texts], pa.large_string())
                words = words_of(column)
            sizes = self._bytes[ids]
            ends = np.cumsum(sizes)
            at = np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)])
            reached = np.concatenate([np.zeros(1, np.int64), ends])[at]
            offsets = np.frombuffer(column.buffers()[1], np.int64, len(column) + 1, column.offset * 8)
            # A vocabulary that lacks a byte leaves it out: then only the library knows where tokens are.
            if np.array_equal(reached, offsets - offsets[0]):
                return Pieces(ids, lengths, words.counts, overlaps(ends - sizes, ends, words))
            words = words_of(pa.array(texts, pa.large_string()))
        starts, ends = self._places(texts)
        return Pieces(ids, lengths, words.counts, overlaps(starts, ends, words))

    def _places(self, texts: Sequence[str]) -> tuple[Integers, Integers]:
        """Bytes from the beginning of the first text to that of each token and to its end, by the library."""
        starts, ends, base = [], [], 0
        encodings = self._library.encode_batch(list(texts), add_special_tokens=False)
        for text, encoding in zip(texts, encodings, strict=True):
            data = np.frombuffer(text.encode(), np.uint8)
            of_character = np.append(np.flatnonzero((data & 0xC0) != 0x80), len(data))
            places = np.array(encoding.offsets, np.int64).reshape(-1, 2)
            starts.append(base + of_character[places[:, 0]])
            ends.append(base + of_character[places[:, 1]])
            base += len(data)
        return np.concatenate(starts), np.concatenate(ends)


def overlaps(starts: Integers, ends: Integers, words: Words) -> Integers:
    """Tokens that share a byte with each word; both stand in order."""
    return np.searchsorted(starts, words.ends, side="left") - np.searchsorted(ends, words.starts, side="right")


def byte_strings(vocabulary: dict[str, int], added: set[str], size: int) -> Integers:
    """Bytes of each token of a byte-level vocabulary, by id: its characters stand for bytes, added tokens for text."""
    lengths = np.zeros(size, np.int64)
    for token, i in vocabulary.items():
        lengths[i] = len(token.encode()) if token in added else len(token)
    return lengths


def _byte_tokens(vocabulary: dict[str, int], lengths: Integers | None, size: int) -> Booleans:
    """ByteLevel writes a byte from 128 on, which is no character, as a letter of its own; others write `<0xE2>`."""
    found = np.zeros(size, np.bool_)
    high = {letter for byte, letter in byte_letters().items() if byte >= 0x80}
    for token, i in vocabulary.items():
        if lengths is not None:
            found[i] = token in high
        else:
            found[i] = len(token) == 6 and token.startswith("<0x") and token.endswith(">") and token[3] in "89ABCDEF"
    return found


def _is_nfc(text: str) -> bool:
    return text.isascii() or unicodedata.is_normalized("NFC", text)
