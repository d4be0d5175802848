"""Documents, spans and rows; see `dolma_pipeline.taggers.data_types`."""

from typing import TypeAlias

from dolma_pipeline.taggers.data_types import (
    DocResult,
    Document,
    DocumentWithMetadata,
    DocumentWithMetadataAndAttributes,
    InputSpec,
    InputSpecWithMetadata,
    InputSpecWithMetadataAndAttributes,
    OutputSpec,
    Score,
    Span,
    TextSlice,
)

TaggerOutputValueType: TypeAlias = Score
TaggerOutputType: TypeAlias = list[Score]
TaggerOutputDictType: TypeAlias = dict[str, TaggerOutputType]

__all__ = [
    "DocResult",
    "Document",
    "DocumentWithMetadata",
    "DocumentWithMetadataAndAttributes",
    "InputSpec",
    "InputSpecWithMetadata",
    "InputSpecWithMetadataAndAttributes",
    "OutputSpec",
    "Span",
    "TaggerOutputDictType",
    "TaggerOutputType",
    "TaggerOutputValueType",
    "TextSlice",
]
