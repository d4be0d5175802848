"""Taggers in the shapes in which people publish them for Dolma, one class for each shape."""

from __future__ import annotations

import os
import re

from dolma_pipeline.compat import add_tagger
from dolma_pipeline.compat.core.data_types import (
    DocResult,
    Document,
    DocumentWithMetadata,
    InputSpec,
    Span,
    TaggerOutputDictType,
    TextSlice,
)
from dolma_pipeline.compat.core.ft_tagger import BaseFastTextTagger, Prediction
from dolma_pipeline.compat.core.registry import TaggerRegistry
from dolma_pipeline.compat.core.taggers import BaseTagger, BaseTaggerWithMetadata
from dolma_pipeline.compat.core.utils import split_paragraphs, split_sentences, split_words


@add_tagger("decorated_v1")
class Decorated(BaseTagger):
    def predict(self, doc: Document) -> DocResult:
        return DocResult(doc=doc, spans=[Span(start=0, end=len(doc.text), type="length", score=len(doc.text))])


@TaggerRegistry.add("registered_v1")
class Registered(BaseTagger):
    def predict(self, doc: Document) -> DocResult:
        return DocResult(doc=doc, spans=[Span(0, len(doc.text), "upper", float(doc.text.isupper()))])


@TaggerRegistry.add("paragraphs_v1")
class Paragraphs(BaseTagger):
    def predict(self, doc: Document) -> DocResult:
        spans = [Span(p.start, p.end, type="words", score=len(p.text.split())) for p in split_paragraphs(doc.text)]
        return DocResult(doc=doc, spans=spans)


@TaggerRegistry.add("words_v1")
class Words(BaseTagger):
    def predict(self, doc: Document) -> DocResult:
        return DocResult(doc, [Span(0, len(doc.text), "words", len(split_words(doc.text)))])


@TaggerRegistry.add("sentences_v1")
class Sentences(BaseTagger):
    def predict(self, doc: Document) -> DocResult:
        asked = [s for s in split_sentences(doc.text) if s.text.endswith("?")]
        return DocResult(doc, [Span(s.start, s.end, "question", 1) for s in asked])


@TaggerRegistry.add("metadata_v1")
class Metadata(BaseTaggerWithMetadata):
    def predict(self, doc: DocumentWithMetadata) -> DocResult:
        return DocResult(doc, [Span(0, len(doc.text), "stars", doc.metadata.get("stars", 0))])


@TaggerRegistry.add("defaults_v1")
class Defaults(BaseTagger):
    @property
    def defaults(self) -> list[str]:
        return ["found", "missing"]

    def predict(self, doc: Document) -> DocResult:
        return DocResult(doc, [Span(m.start(), m.end(), "found", 0.123456789) for m in re.finditer("is", doc.text)])


class Keyword(BaseTagger):
    """A family of taggers with one base."""

    WORD = ""

    def predict(self, doc: Document) -> DocResult:
        return DocResult(doc, [Span(0, len(doc.text), self.WORD, doc.text.count(self.WORD))])


@TaggerRegistry.add("keyword_this_v1")
class KeywordThis(Keyword):
    WORD = "this"


@TaggerRegistry.add("own_rows_v1")
class OwnRows(BaseTagger):
    """Makes its attributes from the row itself."""

    def tag(self, row: InputSpec) -> TaggerOutputDictType:
        return {"source_length": [(0, len(row.text), float(len(row.source)))]}


@TaggerRegistry.add("grouped_v1")
class Grouped(Decorated):
    """Changes how spans become attributes."""

    def group_output(self, doc_result: DocResult) -> TaggerOutputDictType:
        return {f"my_{name}": values for name, values in super().group_output(doc_result).items()}


@TaggerRegistry.add("lines_fasttext_v1")
class LinesFastText(BaseFastTextTagger):
    def __init__(self) -> None:
        super().__init__(model_path=os.environ["TEST_FASTTEXT_MODEL"], model_mode=self.PARAGRAPH_LEVEL_TAGGER)

    def predict_slice(self, text_slice: TextSlice) -> list[Prediction]:
        labels, scores = self.classifier.predict(text_slice.text.replace("\n", " ").strip(), k=-1)
        return [
            Prediction(label=label.removeprefix("__label__"), score=score)
            for label, score in zip(labels, scores, strict=True)
        ]
