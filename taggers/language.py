"""Language identification with fastText's lid.176, natively.

Same names, attributes and scores as Dolma's taggers: the text is lower-cased, line breaks become spaces, both ends are
stripped. Dolma downloads lid.176.bin; we take lid.176.bin where it is found and else lid.176.ftz, its quantised form
(see `dolma_pipeline.models`), which gives other scores: put the `.bin` in $DOLMA_MODELS to reproduce a run of Dolma.
Scores are fastText's own, so a certain language has 1.00001 and its `not_` attribute -1e-05.

A paragraph is a line with its line break; blank ones have no span. Scores are rounded to five decimals.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pyarrow as pa

from dolma_pipeline import _native
from dolma_pipeline.io.cache import local_copy
from dolma_pipeline.models import LANGUAGE_ID, find_model
from dolma_pipeline.taggers.base import Attribute

PREFIX = "__label__"
ENGLISH = "en"


class Texts(Protocol):
    """What these taggers read of a batch of documents."""

    @property
    def text(self) -> pa.LargeStringArray: ...
    def __len__(self) -> int: ...


class Tagger(Protocol):
    """A loaded tagger: a column per attribute, a row per document."""

    @property
    def name(self) -> str: ...
    @property
    def attributes(self) -> tuple[Attribute, ...] | None: ...
    def tag(self, documents: Texts) -> dict[str, pa.Array]: ...


@functools.lru_cache(maxsize=4)
def load_model(path: Path) -> _native.FastText:
    """The model at `path`, read once per process however many taggers share it."""
    return _native.FastText(str(local_copy(path)))


class EnglishTagger:
    """The score of one language (English unless told otherwise) for whole documents, and 1 minus it.

    `only`: without the `not_` attribute. Document scores, float64; 0.0 where the model does not name the language.
    """

    def __init__(self, name: str, model: Path, *, language: str = ENGLISH, only: bool = False) -> None:
        self.name = name
        self.model = model
        self._columns = {language: "positive"} | ({} if only else {f"not_{language}": "negative"})
        self._label = PREFIX + language
        self._fasttext = load_model(model)
        self.attributes = tuple(Attribute(attribute, "float64") for attribute in self._columns)

    def tag(self, documents: Texts) -> dict[str, pa.Array]:
        found = self._fasttext.label_scores(documents.text, self._label, lower=True, strip=True)
        return {attribute: found.column(column) for attribute, column in self._columns.items()}


class EnglishParagraphTagger:
    """The same for every paragraph: list<struct<start, end, score>> in code points.

    `with_doc_score` adds `doc_en`, the sum of length x score over the length of the document, and `doc_not_en`.
    """

    def __init__(self, name: str, model: Path, *, language: str = ENGLISH, with_doc_score: bool = False) -> None:
        self.name = name
        self.model = model
        self._spans = {language: "positive", f"not_{language}": "negative"}
        self._scores = (
            {f"doc_{language}": "doc_positive", f"doc_not_{language}": "doc_negative"} if with_doc_score else {}
        )
        self._label = PREFIX + language
        self._fasttext = load_model(model)
        self.attributes = (
            *(Attribute(attribute, "spans") for attribute in self._spans),
            *(Attribute(attribute, "float64") for attribute in self._scores),
        )

    def tag(self, documents: Texts) -> dict[str, pa.Array]:
        found = self._fasttext.paragraph_scores(documents.text, self._label, lower=True, strip=True)
        return {attribute: found.column(column) for attribute, column in (self._spans | self._scores).items()}


class AllLanguagesTagger:
    """A document score per language, null for those the model leaves out (below 1e-5).

    `minimum`: only scores above it, to two decimals. Without it a document has scores for most of the 176 languages.
    """

    def __init__(self, name: str, model: Path, *, minimum: float | None = None) -> None:
        self.name = name
        self.model = model
        self._minimum = minimum
        self._fasttext = load_model(model)
        self._languages = [label.removeprefix(PREFIX) for label in self._fasttext.labels]
        self.attributes = tuple(Attribute(language, "float64") for language in self._languages)

    def tag(self, documents: Texts) -> dict[str, pa.Array]:
        threshold = 0.0 if self._minimum is None else self._minimum / 2
        found = self._fasttext.predict(documents.text, -1, threshold, lower=True, strip=True)
        labels, scores = found.column("label"), found.column("score")
        languages = labels.flatten().to_numpy()
        values = scores.flatten().to_numpy().astype(np.float64)
        rows = np.repeat(np.arange(len(documents)), labels.value_lengths().to_numpy())
        decimals = 5
        if self._minimum is not None:
            decimals = 2
            kept = values > self._minimum
            languages, values, rows = languages[kept], values[kept], rows[kept]
        table = np.full((len(self._languages), len(documents)), np.nan)
        table[languages, rows] = _rounded(values.tolist(), decimals)
        return {
            language: pa.array(column, from_pandas=True)
            for language, column in zip(self._languages, table, strict=True)
        }


def _rounded(values: Iterable[float], decimals: int) -> list[float]:
    """By Python's `round`, which looks at the exact decimal expansion; numpy's multiplies first."""
    return [round(value, decimals) for value in values]


def _factory(kind: Callable[..., Tagger], name: str, doc: str, **options: Any) -> Callable[[], Tagger]:
    def load() -> Tagger:
        return kind(name, find_model(LANGUAGE_ID), **options)

    load.__name__, load.__doc__ = name, doc
    return load


_DOCUMENT = "ft_lang_id_en_doc_v2"
_ONLY = "ft_lang_id_en_only_v2"
_PARAGRAPH = "ft_lang_id_en_paragraph_v2"
_WITH_DOC_SCORE = "ft_lang_id_en_paragraph_with_doc_score_v2"
_ALL = "ft_lang_id_doc_v1"
_HUNDREDTHS = "ft_lang_id_1e2"
PARAGRAPHS = "ft_lang_id_paragraph_v1"
"""All languages by paragraph: a classifier like any other, see `classifiers.language_paragraphs`."""

FACTORIES: dict[str, Callable[[], Tagger]] = {
    _DOCUMENT: _factory(EnglishTagger, _DOCUMENT, "English or not, by document: en, not_en"),
    _ONLY: _factory(EnglishTagger, _ONLY, "English, by document: en", only=True),
    _PARAGRAPH: _factory(EnglishParagraphTagger, _PARAGRAPH, "English or not, by paragraph: en, not_en"),
    _WITH_DOC_SCORE: _factory(
        EnglishParagraphTagger,
        _WITH_DOC_SCORE,
        "English or not, by paragraph and weighted for the document: en, not_en, doc_en, doc_not_en",
        with_doc_score=True,
    ),
    _ALL: _factory(AllLanguagesTagger, _ALL, "176 languages, by document: a score for each"),
    _HUNDREDTHS: _factory(
        AllLanguagesTagger, _HUNDREDTHS, "176 languages, by document: scores over 0.01, to two decimals", minimum=0.01
    ),
}
"""Loaders by registered name; each finds the model (or raises ModelNotFound) and shares it with the others."""
