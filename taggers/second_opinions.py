"""Language identification by other libraries: CLD2 and Lingua, where they are installed.

Attributes are ISO codes of languages (`en`, `de`), as document scores or by paragraph; the English ones add `not_en`,
1 minus it, and have 0 for `en` where the library does not name it. Two faults of Dolma 1.2.1 are not repeated: it takes
the first two letters of CLD2's name of a language for its code (`sp`, `ge`, `ch`), and it transliterates a text that
CLD2 refuses to ASCII, which is another language; here such a text is read without its control characters.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable, Iterator
from functools import lru_cache, partial
from typing import Any, NamedTuple

from dolma_pipeline.errors import ConfigError
from dolma_pipeline.taggers.base import Attribute, Kind, Tagger
from dolma_pipeline.taggers.data_types import Span
from dolma_pipeline.taggers.python import RowTagger, Value

Scores = list[tuple[str, float]]
Detect = Callable[[str], Scores]
_PARAGRAPH = re.compile(r"[^\n]*\n|[^\n]+")
_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]+")


class Opinion(NamedTuple):
    """A tagger of this module."""

    library: str
    package: str
    by_paragraph: bool = False
    english: bool = False
    negative: bool = False
    doc_score: bool = False
    hundredths: bool = False
    """Only scores above 0.01, to two decimals."""


def _require(module: str, package: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ConfigError(
            f"expected the package `{package}`, found none ({error}); `pip install {package}` brings it"
        ) from None


@lru_cache(maxsize=1)
def _cld2() -> Detect:
    cld2 = _require("pycld2", "pycld2")

    def detect(text: str) -> Scores:
        for attempt in (text, _CONTROLS.sub(" ", text)):
            try:
                reliable, _, details = cld2.detect(attempt)
            except cld2.error:
                continue
            return [(code.lower(), percent / 100) for _, code, percent, _ in details if reliable and code != "un"]
        return []

    return detect


@lru_cache(maxsize=1)
def _lingua() -> tuple[Detect, tuple[str, ...]]:
    lingua = _require("lingua", "lingua-language-detector")
    detector = lingua.LanguageDetectorBuilder.from_all_languages().build()

    def detect(text: str) -> Scores:
        found = detector.compute_language_confidence_values(text)
        return [(f.language.iso_code_639_1.name.lower(), float(f.value)) for f in found]

    codes = {language.iso_code_639_1.name.lower() for language in lingua.Language.all()}
    return detect, tuple(sorted(codes))


def _load(name: str, opinion: Opinion) -> Tagger:
    """Makes the tagger; raises ConfigError if its library is not installed."""
    codes: tuple[str, ...] | None = None
    if opinion.library == "cld2":
        detect = _cld2()
    else:
        detect, codes = _lingua()
    kind: Kind = "spans" if opinion.by_paragraph else "float64"
    if opinion.english:
        codes = ("en", "not_en") if opinion.negative else ("en",)
    attributes = None if codes is None else tuple(Attribute(c, kind) for c in codes)
    if attributes is not None and opinion.doc_score:
        attributes += (Attribute("doc_en", "float64"), Attribute("doc_not_en", "float64"))
    return RowTagger(name, attributes, lambda row: _values(row.text, detect, opinion))


def _values(text: str, detect: Detect, opinion: Opinion) -> dict[str, Value]:
    if not opinion.by_paragraph:
        return dict(_scores(text, detect, opinion))
    found: dict[str, Any] = {"en": [], "not_en": []} if opinion.english else {}
    total = 0.0
    for match in _PARAGRAPH.finditer(text):
        if not match[0].strip():
            continue
        for code, score in _scores(match[0], detect, opinion):
            found.setdefault(code, []).append(Span(match.start(), match.end(), code, score))
            total += len(match[0]) * score if code == "en" else 0.0
    if opinion.doc_score:
        found["doc_en"] = total / len(text) if text else 0.0
        found["doc_not_en"] = 1 - found["doc_en"] if text else 0.0
    return found


def _scores(text: str, detect: Detect, opinion: Opinion) -> Iterator[tuple[str, float]]:
    scores = detect(text)
    if opinion.english:
        score = next((s for code, s in scores if code == "en"), 0.0)
        yield "en", score
        if opinion.negative:
            yield "not_en", 1 - score
    elif opinion.hundredths:
        yield from ((code, round(score, 2)) for code, score in scores if score > 0.01)
    else:
        # CLD2 may name a language twice, in two scripts.
        yield from dict(reversed(scores)).items()


_CLD2 = Opinion("cld2", "pycld2")
_LINGUA = Opinion("lingua", "lingua-language-detector")
_OPINIONS: dict[str, tuple[Opinion, str]] = {
    "cld2_doc_v2": (_CLD2, "languages by CLD2, by document"),
    "cld2_paragraph_v2": (_CLD2._replace(by_paragraph=True), "languages by CLD2, by paragraph"),
    "cld2_en_doc_v2": (_CLD2._replace(english=True, negative=True), "English or not by CLD2, by document"),
    "cld2_en_paragraph_v2": (
        _CLD2._replace(english=True, negative=True, by_paragraph=True),
        "English or not by CLD2, by paragraph",
    ),
    "cld2_en_paragraph_with_doc_score_v2": (
        _CLD2._replace(english=True, negative=True, by_paragraph=True, doc_score=True),
        "English or not by CLD2, by paragraph and weighted for the document",
    ),
    "lingua_1e2": (_LINGUA._replace(hundredths=True), "75 languages by Lingua: scores over 0.01, to two decimals"),
    "lingua_doc_v1": (_LINGUA, "75 languages by Lingua, by document"),
    "lingua_doc_en_v1": (_LINGUA._replace(english=True, negative=True), "English or not by Lingua, by document"),
    "lingua_en_only_v1": (_LINGUA._replace(english=True), "English by Lingua, by document"),
    "lingua_par_v1": (_LINGUA._replace(by_paragraph=True), "75 languages by Lingua, by paragraph"),
    "lingua_en_par_v1": (
        _LINGUA._replace(english=True, negative=True, by_paragraph=True),
        "English or not by Lingua, by paragraph",
    ),
}

FACTORIES: dict[str, tuple[Callable[[], Tagger], str, str]] = {
    name: (partial(_load, name, opinion), opinion.package, about) for name, (opinion, about) in _OPINIONS.items()
}
"""Loader, package and a line by Dolma's names."""

_LANGDETECT = "langdetect has not been maintained since 2021 and reads half a megabyte a second"
_CLD3 = "cld3 has no packages for current versions of Python"
_PRESIDIO = "Presidio loads a model of spaCy's that no package index has, and finds the same three kinds"
UNAVAILABLE = {
    "cld3_en_doc_v2": (_CLD3, "ft_lang_id_en_doc_v2"),
    "cld3_en_paragraph_v2": (_CLD3, "ft_lang_id_en_paragraph_v2"),
    "cld3_en_paragraph_with_doc_score_v2": (_CLD3, "ft_lang_id_en_paragraph_with_doc_score_v2"),
    "langdetect_doc_v1": (_LANGDETECT, "ft_lang_id_doc_v1"),
    "langdetect_doc_en_v1": (_LANGDETECT, "ft_lang_id_en_doc_v2"),
    "langdetect_paragraph_v1": (_LANGDETECT, "ft_lang_id_paragraph_v1"),
    "langdetect_en_paragraph_v1": (_LANGDETECT, "ft_lang_id_en_paragraph_v2"),
    "pii_presidio_v1": (_PRESIDIO, "pii_v1"),
}
"""Taggers of Dolma's that there are not: why, and the one to use instead."""
