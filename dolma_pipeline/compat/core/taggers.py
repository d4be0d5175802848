"""The base classes of taggers."""

from dolma_pipeline.taggers.python import DECIMALS as TAGGER_SCORE_PRECISION
from dolma_pipeline.taggers.python import BaseTagger, BaseTaggerWithMetadata

__all__ = ["TAGGER_SCORE_PRECISION", "BaseTagger", "BaseTaggerWithMetadata"]
