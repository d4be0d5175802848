"""What gets tagged: native rules, models, and taggers that users write.

`load_taggers` finds them by name and returns a `TaggerSet`, which measures a batch of documents in one pass.
"""

from dolma_pipeline.taggers.base import Attribute, Documents, Tagger, TaggerFailure
from dolma_pipeline.taggers.data_types import DocResult, Document, Span
from dolma_pipeline.taggers.python import (
    BaseTagger,
    BaseTaggerWithMetadata,
    add_tagger,
    batch_tagger,
    tagger,
)
from dolma_pipeline.taggers.registry import attribute_key, describe, load_taggers
from dolma_pipeline.taggers.tagger_set import TaggerSet

__all__ = [
    "Attribute",
    "BaseTagger",
    "BaseTaggerWithMetadata",
    "DocResult",
    "Document",
    "Documents",
    "Span",
    "Tagger",
    "TaggerFailure",
    "TaggerSet",
    "add_tagger",
    "attribute_key",
    "batch_tagger",
    "describe",
    "load_taggers",
    "tagger",
]
