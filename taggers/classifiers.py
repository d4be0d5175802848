"""Taggers that are fastText classifiers: Dolma's for quality and toxicity, and any other model by its file."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from dolma_pipeline import _native
from dolma_pipeline.errors import ConfigError, unknown
from dolma_pipeline.models import LANGUAGE_ID, ModelFiles, find_model
from dolma_pipeline.taggers.base import Attribute, Documents, Kind, Tagger
from dolma_pipeline.taggers.columns import spans
from dolma_pipeline.taggers.language import PREFIX, load_model

Unit = Literal["document", "paragraph", "sentence"]
Floats = npt.NDArray[np.float64]
_BLANKS = re.compile(r"[^\S\x1c-\x1f]+")
"""White space of Unicode; Python adds the four separators."""


class FastTextTagger:
    """A score for each label of a model: of the document, or of every paragraph or sentence as a span.

    A paragraph is a line with its break, a sentence one of Unicode's (UAX #29) without the white space around it: Dolma
    1.2.1 has them from BlingFire, whose model follows no rule that could be written down. `labels`: those wanted,
    without `__label__`; `threshold`: scores that are not above it are left out. `full_names`: with it.
    """

    def __init__(
        self,
        name: str,
        model: Path,
        *,
        by: Unit = "document",
        labels: Sequence[str] = (),
        threshold: float = 0.0,
        lower: bool = False,
        full_names: bool = False,
        prepare: Callable[[str], str] | None = None,
    ) -> None:
        self.name = name
        self.model = model
        self._fasttext = load_model(model)
        self._by = by
        self._threshold = threshold
        self._lower = lower
        self._prepare = prepare
        known = {label.removeprefix(PREFIX): i for i, label in enumerate(self._fasttext.labels)}
        for label in labels:
            if label not in known:
                raise ConfigError(f"tagger `{name}`: {unknown('label', label, known)}")
        shown = {k: f"{PREFIX}{k}" if full_names else k for k in known}
        self._wanted = {shown[label]: known[label] for label in labels or known}
        kind: Kind = "float64" if by == "document" else "spans"
        self.attributes = tuple(Attribute(label, kind) for label in self._wanted)

    def tag(self, documents: Documents) -> dict[str, pa.Array]:
        if self._by == "document":
            return self._documents(documents)
        pieces = _native.text_pieces(documents.text, self._by)
        labels, scores, units = self._predict(pieces.column("text"))
        row, start, end = (pieces.column(c).to_numpy()[units] for c in ("row", "start", "end"))
        # Sorted by label once: looking through all predictions for each of 176 labels would cost more than they did.
        order = np.argsort(labels, kind="stable")
        row, start, end, scores, labels = row[order], start[order], end[order], scores[order], labels[order]
        columns = {}
        for name, label in self._wanted.items():
            mine = slice(*np.searchsorted(labels, [label, label + 1]))
            columns[name] = spans(row[mine], start[mine], end[mine], scores[mine], len(documents))
        return columns

    def _documents(self, documents: Documents) -> dict[str, pa.Array]:
        text = documents.text
        if self._prepare is not None:
            text = pa.array([self._prepare(t) for t in text.to_pylist()], pa.large_string())
        labels, scores, rows = self._predict(text)
        columns = {}
        for name, label in self._wanted.items():
            mine = labels == label
            column = np.full(len(documents), np.nan)
            column[rows[mine]] = scores[mine]
            columns[name] = _native.round_scores(pa.array(column, from_pandas=True))
        return columns

    def _predict(self, texts: pa.LargeStringArray) -> tuple[npt.NDArray[np.int32], Floats, npt.NDArray[np.int64]]:
        """Label, score and text of every prediction above the threshold."""
        found = self._fasttext.predict(texts, -1, self._threshold, lower=self._lower, strip=True)
        labels, scores = found.column("label"), found.column("score")
        rows = np.repeat(np.arange(len(texts)), labels.value_lengths().to_numpy())
        values = scores.flatten().to_numpy().astype(np.float64)
        above = values > self._threshold
        return labels.flatten().to_numpy()[above], values[above], rows[above]


class InstructionQuality:
    """`dclm-oh-eli5`: how much a text is like instructions and explanations rather than any page, as `score`.

    The probability of `hq`: that of the best label, or one minus it where that is `cc`.
    """

    attributes = (Attribute("score", "float64"),)

    def __init__(self, name: str, model: Path) -> None:
        self.name = name
        self.model = model
        self._fasttext = load_model(model)
        self._good = [label != f"{PREFIX}cc" for label in self._fasttext.labels]

    def tag(self, documents: Documents) -> dict[str, pa.Array]:
        texts = pa.array([" ".join(t.strip().splitlines()) for t in documents.text.to_pylist()], pa.large_string())
        found = self._fasttext.predict(texts, 1)
        scores = [
            None if not labels else score[0] if self._good[labels[0]] else 1 - score[0]
            for labels, score in zip(found.column("label").to_pylist(), found.column("score").to_pylist(), strict=True)
        ]
        return {"score": _native.round_scores(pa.array(scores, pa.float64()))}


class CodeComposition:
    """`code_composition`: lines of code, of prose and of other things, by the model's best label for each line.

    For a label: lines, their share to two decimals (`_pct`), mean entropy of the model's scores in bits (`_entropy`);
    absent where there is no such line. Lines of three characters and fewer are `other`. `boundaries`: changes between
    code and prose. Dolma 1.2.1 strips the letters of `__label__` from the front of a name; we strip the prefix.
    """

    def __init__(self, name: str, model: Path) -> None:
        self.name = name
        self.model = model
        self._fasttext = load_model(model)
        self._labels = [*(label.removeprefix(PREFIX) for label in self._fasttext.labels), "other"]
        per_label = [f"{label}{end}" for label in self._labels for end in ("_pct", "", "_entropy")]
        self.attributes = tuple(Attribute(a, "float64") for a in ("boundaries", *per_label))

    def tag(self, documents: Documents) -> dict[str, pa.Array]:
        lines = [[s for line in t.splitlines() if (s := line.strip())] for t in documents.text.to_pylist()]
        long = [line for text in lines for line in text if len(line) > 3]
        found = self._fasttext.predict(pa.array(long, pa.large_string()), -1)
        scores = found.column("score").to_pylist()
        best = [labels[0] for labels in found.column("label").to_pylist()]
        judged = iter(zip(best, map(_entropy, scores), strict=True))
        rows = []
        for text in lines:
            rows.append(self._row([next(judged) if len(line) > 3 else (len(self._labels) - 1, 0.0) for line in text]))
        return {
            a.name: _native.round_scores(pa.array([row.get(a.name) for row in rows], pa.float64()))
            for a in self.attributes
        }

    def _row(self, judged: list[tuple[int, float]]) -> dict[str, float]:
        names = [self._labels[label] for label, _ in judged]
        sides = itertools.pairwise(names)
        row = {"boundaries": float(sum({a, b} == {"code", "prose"} for a, b in sides))}
        for name in dict.fromkeys(names):
            entropies = [e for (_, e), n in zip(judged, names, strict=True) if n == name]
            row[name] = float(len(entropies))
            row[f"{name}_pct"] = round(len(entropies) / len(names), 2)
            row[f"{name}_entropy"] = sum(entropies) / len(entropies)
        return row


def _entropy(scores: Sequence[float]) -> float:
    return -sum(p * math.log2(p) for p in scores if p > 0)


def _model(what: str, name: str, url: str) -> ModelFiles:
    return ModelFiles(what=what, names=(name,), install=f'wget -P "$DOLMA_MODELS" {url}/{name}')


_ARTIFACTS = "https://dolma-artifacts.org/fasttext_models"
_JIGSAW = f"{_ARTIFACTS}/jigsaw_fasttext_bigrams_20230515"
HATESPEECH = _model("Jigsaw hate speech", "jigsaw_fasttext_bigrams_hatespeech_final.bin", _JIGSAW)
NSFW = _model("Jigsaw adult content", "jigsaw_fasttext_bigrams_nsfw_final.bin", _JIGSAW)
OH_ELI5 = _model(
    "DCLM quality",
    "openhermes_reddit_eli5_vs_rw_v2_bigram_200k_train.bin",
    "https://huggingface.co/mlfoundations/fasttext-oh-eli5/resolve/main",
)
DOLMA17 = _model(
    "Dolma 1.7 quality",
    "cc_wiki_wikiref_sw_pes2o_adult_fakenews_math_books_openhermes.bin",
    f"{_ARTIFACTS}/dolma-1_7",
)
COMPOSITION = _model(
    "code and prose",
    "code-comment-prose-model.bin",
    "https://huggingface.co/techarb/code-prose-composition/resolve/main",
)


def language_paragraphs(name: str) -> Tagger:
    """Spans for each language over every paragraph, where its score is 1e-5 or more."""
    return FastTextTagger(name, find_model(LANGUAGE_ID), by="paragraph", lower=True)


def _words(text: str) -> str:
    return _BLANKS.sub(" ", text).strip(" ")


def _jigsaw(name: str, model: ModelFiles, by: Unit) -> Callable[[], Tagger]:
    return lambda: FastTextTagger(name, find_model(model), by=by, full_names=True)


FACTORIES: dict[str, tuple[Callable[[], Tagger], ModelFiles, str]] = {
    "code_composition": (
        lambda: CodeComposition("code_composition", find_model(COMPOSITION)),
        COMPOSITION,
        "lines of code and of prose, their shares and the changes between them",
    ),
    "dclm-oh-eli5": (
        lambda: InstructionQuality("dclm-oh-eli5", find_model(OH_ELI5)),
        OH_ELI5,
        "DCLM's quality classifier",
    ),
    "dolma17-quality": (
        lambda: FastTextTagger("dolma17-quality", find_model(DOLMA17), prepare=_words),
        DOLMA17,
        "Dolma 1.7's quality classifier: a score for each kind of source",
    ),
    "jigsaw_hatespeech_document_v2": (
        _jigsaw("jigsaw_hatespeech_document_v2", HATESPEECH, "document"),
        HATESPEECH,
        "hate speech, by document",
    ),
    "jigsaw_hatespeech_sentence_v2": (
        _jigsaw("jigsaw_hatespeech_sentence_v2", HATESPEECH, "sentence"),
        HATESPEECH,
        "hate speech, by sentence",
    ),
    "jigsaw_nsfw_document_v1": (
        _jigsaw("jigsaw_nsfw_document_v1", NSFW, "document"),
        NSFW,
        "adult content, by document",
    ),
    "jigsaw_nsfw_sencence_v2": (
        _jigsaw("jigsaw_nsfw_sencence_v2", NSFW, "sentence"),
        NSFW,
        "adult content, by sentence",
    ),
}
"""Loader, model and a line by Dolma's names; a loader finds the model or raises ModelNotFound."""
