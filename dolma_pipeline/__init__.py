"""Raw text to training tokens to a trained, judged language model."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dolma_pipeline.taggers import (
        BaseTagger,
        BaseTaggerWithMetadata,
        DocResult,
        Document,
        Span,
        add_tagger,
        batch_tagger,
        tagger,
    )

__version__ = "0.1.0"
__all__ = [
    "BaseTagger",
    "BaseTaggerWithMetadata",
    "DocResult",
    "Document",
    "Span",
    "__version__",
    "add_tagger",
    "batch_tagger",
    "tagger",
]


def __getattr__(name: str) -> Any:
    """What writing a tagger takes, imported on first use: the command line must start without pyarrow."""
    if name in __all__:
        return getattr(importlib.import_module("dolma_pipeline.taggers"), name)
    raise AttributeError(f"module `dolma_pipeline` has no attribute `{name}`")
