"""A tagger whose attributes only its documents tell."""

from __future__ import annotations

from dolma_pipeline import tagger


@tagger("toy_size")
def size(text: str) -> dict[str, float]:
    if len(text) > 40:
        return {"large": len(text) / 40}
    return {"even" if len(text.split()) % 4 == 0 else "odd": 1.0, "small": 0.5}
