"""How many bytes of a source's text one token takes, measured on a sample of its documents.

The sample has the documents whose places in the draw come first, from every file of the source: it depends on nothing
but the documents there are, and its size is bounded.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pyarrow as pa
from msgspec import Struct

from dolma_pipeline.config.recipe import Tokenizer
from dolma_pipeline.engine.task import Context
from dolma_pipeline.mixers.attributes import Integers
from dolma_pipeline.mixers.sampling import Hashes

SOURCE_BYTES = 2 << 20
"""About how much text of a source is encoded, in all its files."""
FILE_BYTES = 1 << 16
"""The least of one file."""
DOCUMENT_BYTES = 1 << 16
"""The most of one document: its beginning."""


def share_of_file(files: int) -> int:
    """Bytes of text that each of the files of a source gives to the sample."""
    return max(FILE_BYTES, SOURCE_BYTES // max(1, files))


class TextSample:
    """The beginnings of the documents that come first in the draw, until they have `most` bytes."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._drawn: list[tuple[int, str, int]] = []

    def add(self, hashes: Hashes, texts: pa.LargeStringArray, sizes: Integers) -> None:
        """Takes the documents of a batch in; sizes are bytes of UTF-8 text."""
        order = np.argsort(hashes, kind="stable")
        before = np.cumsum(np.minimum(sizes[order], DOCUMENT_BYTES)) - np.minimum(sizes[order], DOCUMENT_BYTES)
        for row in order[before < self._most].tolist():
            text = texts[row].as_py() or ""
            if sizes[row] > DOCUMENT_BYTES:
                text = text.encode()[:DOCUMENT_BYTES].decode(errors="ignore")
            self._drawn.append((int(hashes[row]), text, len(text.encode())))
        self._drawn.sort()
        size = 0
        for number, (_, _, length) in enumerate(self._drawn):
            if size >= self._most:
                del self._drawn[number:]
                return
            size += length

    @property
    def texts(self) -> list[str]:
        return [text for _, text, _ in self._drawn]


class TokenSample(Struct, frozen=True, kw_only=True):
    """What a tokenizer makes of a sample."""

    text_bytes: int = 0
    tokens: int = 0
    """Without those put around a document."""
    around: int = 0
    """Tokens put around each document."""


def encode_sample(sample: TextSample, tokenizer: Tokenizer, context: Context) -> TokenSample:
    """Encodes the texts of a sample as the `tokens` stage will."""
    from dolma_pipeline.tokens.engine import loaded_engine
    from dolma_pipeline.tokens.vocabulary import special_ids

    engine = loaded_engine(
        context,
        tokenizer.path or "",
        encode_special_tokens=tokenizer.encode_special_tokens,
        segment=tokenizer.segment_before_tokenization,
        choice=tokenizer.engine,
    )
    special = special_ids(engine, tokenizer)
    encoded = engine.encode(pa.array(sample.texts, pa.large_string()), bos=None, eos=None)
    return TokenSample(
        text_bytes=int(encoded.text_bytes.sum()),
        tokens=int(encoded.lengths.sum()),
        around=sum(token is not None for token in (special.bos, special.eos)),
    )


class FileMeasure(Struct, frozen=True, kw_only=True):
    """The text of a file that a mix keeps, and the sample of it."""

    documents: int
    text_bytes: int
    sample: TokenSample


def bytes_per_token(files: Iterable[FileMeasure]) -> float | None:
    """Returns the bytes of text per token of a source, each file weighted by its text; None if no text was encoded."""
    total, tokens = 0, 0.0
    for file in files:
        if file.sample.text_bytes and file.sample.tokens:
            total += file.text_bytes
            tokens += file.text_bytes * file.sample.tokens / file.sample.text_bytes
            tokens += file.documents * file.sample.around
    return total / tokens if tokens else None
