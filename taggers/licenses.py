"""Creative Commons licences that the page of a document links to; they read `metadata.html`."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import pyarrow as pa

from dolma_pipeline import _native
from dolma_pipeline.taggers.base import Attribute, Documents, Tagger, TaggerFailure
from dolma_pipeline.taggers.columns import spans


class Licenses:
    """An attribute for each licence found, `cc_by-sa_4.0_de`: a span over the whole text for each link to it.

    The n-th link of a page scores 0.5 + 0.5 / n: one that comes first is more likely the page's own. A document without
    `metadata.html` has none; in Dolma 1.2.1 it ends the run.
    """

    needs_raw = True
    attributes: tuple[Attribute, ...] | None = None

    def __init__(self, name: str, *, anywhere: bool) -> None:
        self.name = name
        self._anywhere = anywhere

    def tag(self, documents: Documents) -> dict[str, pa.Array]:
        if documents.raw is None:
            raise TaggerFailure(self.name, "expected documents read with their metadata")
        found = _native.licenses(_native.string_field(documents.raw, "metadata.html"), self._anywhere)
        counts = found.value_lengths().to_numpy(zero_copy_only=False)
        names = found.flatten()
        rows = np.repeat(np.arange(len(documents)), counts)
        first = np.cumsum(counts) - counts
        scores = 0.5 + 0.5 / (np.arange(len(names)) - first[rows] + 1.0)
        ends = _native.char_lengths(documents.text).to_numpy()[rows]
        columns = {}
        for name in sorted(set(names.to_pylist())):
            mine = pa.compute.equal(names, name).to_numpy(zero_copy_only=False)
            columns[f"cc_{name}"] = spans(rows[mine], np.zeros(mine.sum()), ends[mine], scores[mine], len(documents))
        return columns


def _load(name: str, anywhere: bool) -> Tagger:
    return Licenses(name, anywhere=anywhere)


FACTORIES: dict[str, tuple[Callable[[], Tagger], str]] = {
    "cc_re": (
        partial(_load, "cc_re", False),
        "Creative Commons licences in links and `<meta>`, with version and language",
    ),
    "cc_re_fast": (partial(_load, "cc_re_fast", True), "Creative Commons licences anywhere in the page"),
}
