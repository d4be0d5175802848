"""The base class of taggers around a fastText classifier."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from dolma_pipeline.compat.core.paths import cached_path
from dolma_pipeline.compat.core.utils import split_paragraphs, split_sentences
from dolma_pipeline.errors import ConfigError
from dolma_pipeline.io import fs
from dolma_pipeline.taggers.data_types import DocResult, Document, Span, TextSlice
from dolma_pipeline.taggers.language import load_model
from dolma_pipeline.taggers.python import BaseTagger


class Prediction(NamedTuple):
    label: str
    score: float


class Classifier:
    """A model with fastText's `predict` and `labels`, run by the built-in kernel."""

    def __init__(self, path: str | Path) -> None:
        self._model = load_model(Path(path))

    @property
    def labels(self) -> list[str]:
        return self._model.labels

    def predict(
        self, text: str | list[str], k: int = 1, threshold: float = 0.0
    ) -> tuple[Any, NDArray[np.float64] | list[NDArray[np.float64]]]:
        """Returns the `k` best labels (-1: all) of at least `threshold` and their probabilities, as fastText does.

        A list of texts gives a list of either. Raises ValueError if a text holds a line break.
        """
        texts = [text] if isinstance(text, str) else text
        if any("\n" in each for each in texts):
            raise ValueError("expected one line, found a line break; replace `\\n` by a space first")
        found = self._model.predict(pa.array(texts, pa.large_string()), k, threshold)
        labels = [tuple(self.labels[i] for i in row) for row in found.column("label").to_pylist()]
        scores = [np.array(row, dtype=np.float64) for row in found.column("score").to_pylist()]
        return (labels[0], scores[0]) if isinstance(text, str) else (labels, scores)


class BaseFastTextTagger(BaseTagger):
    """Subclasses define `predict_slice`, which is given a sentence, a paragraph or the document."""

    SENTENCE_LEVEL_TAGGER = "sentence"
    PARAGRAPH_LEVEL_TAGGER = "paragraph"
    DOCUMENT_LEVEL_TAGGER = "document"

    def __init__(self, model_path: str, model_mode: str) -> None:
        """Loads a local `.bin` or `.ftz` file; `model_mode` is one of the three levels."""
        path = Path(cached_path(model_path)).expanduser()
        if not fs.is_file(path):
            raise ConfigError(f"{type(self).__name__}: expected a fastText model, found no file {path}")
        self.model = path
        self.classifier = Classifier(path)
        self.mode = model_mode

    @classmethod
    def train(cls, *args: Any, **kwargs: Any) -> None:
        raise NotImplementedError("fastText classifiers are trained with `dolma train-classifier`")

    def predict(self, doc: Document) -> DocResult:
        spans = [
            Span(unit.start, unit.end, prediction.label, prediction.score)
            for unit in self._units(doc.text)
            for prediction in self.predict_slice(unit)
        ]
        return DocResult(doc=doc, spans=spans)

    def _units(self, text: str) -> list[TextSlice]:
        if self.mode == self.SENTENCE_LEVEL_TAGGER:
            return split_sentences(text)
        if self.mode == self.PARAGRAPH_LEVEL_TAGGER:
            return split_paragraphs(text)
        if self.mode == self.DOCUMENT_LEVEL_TAGGER:
            return [TextSlice(text, 0, len(text))]
        raise ValueError(f"expected the mode `sentence`, `paragraph` or `document`, found `{self.mode}`")

    def predict_slice(self, text_slice: TextSlice) -> Iterable[Prediction]:
        raise NotImplementedError(f"{type(self).__name__} defines no `predict_slice`")


__all__ = ["BaseFastTextTagger", "Classifier", "Prediction"]
