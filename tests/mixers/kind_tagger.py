"""A tagger with an attribute of each kind, which some texts lack."""

from __future__ import annotations

from typing import Any

from dolma_pipeline.formats.kinds import Kind
from dolma_pipeline.taggers import Span, tagger

BIG = 2**53 + 1
KINDLY: dict[str, Kind] = {"n": "int64", "t": "string", "b": "bool", "x": "float64", "s": "spans"}


@tagger("rule_kinds_v1", attributes=KINDLY)
def measure(text: str) -> dict[str, Any]:
    """Values by the size of the text alone."""
    size = len(text)
    values = {"n": BIG + size, "t": f"ü{size % 3}" if size % 4 else "", "b": size % 2 == 0, "x": size / 7}
    found: dict[str, Any] = {k: v for i, (k, v) in enumerate(values.items()) if (size + i) % 5}
    return found | {"s": [Span(0, size // 2, score=size)] if size % 3 else []}
