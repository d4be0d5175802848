"""The modules of `dolma.core` by their names."""

from dolma_pipeline.compat.core.data_types import DocResult, Document, Span
from dolma_pipeline.compat.core.registry import TaggerRegistry
from dolma_pipeline.compat.core.taggers import BaseTagger

__all__ = ["BaseTagger", "DocResult", "Document", "Span", "TaggerRegistry"]
