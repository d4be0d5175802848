"""Taggers of the native extension: any number of them share one segmentation of each text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import pyarrow as pa

from dolma_pipeline import _native
from dolma_pipeline.taggers.base import Attribute, Documents, Kind


class NativeTagger:
    """One native tagger; see `tag_natively` for several in one pass."""

    def __init__(self, name: str) -> None:
        self.name = name
        found = _native.tagger_attributes(name)
        self.attributes = tuple(Attribute(attribute, cast(Kind, kind)) for attribute, kind in found)

    def tag(self, documents: Documents) -> dict[str, pa.Array]:
        return tag_natively([self.name], documents)[0]


def tag_natively(names: Sequence[str], documents: Documents) -> list[dict[str, pa.Array]]:
    """The columns of each of `names`, in one native call without the GIL."""
    batches = _native.tag_texts(documents.text, list(names))
    return [dict(zip(b.schema.names, b.columns, strict=True)) for b in batches]
