"""Several taggers as one: what a `tag` stage runs on each batch of documents."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa

from dolma_pipeline.taggers.base import Documents, Tagger, TaggerFailure
from dolma_pipeline.taggers.native import NativeTagger, tag_natively


class TaggerSet:
    """Loaded taggers in the order asked for; made by `load_taggers`."""

    def __init__(self, taggers: Sequence[Tagger], files: Sequence[Path] = ()) -> None:
        self.taggers = tuple(taggers)
        self._native = [t.name for t in self.taggers if isinstance(t, NativeTagger)]
        models = [Path(t.model) for t in self.taggers if getattr(t, "model", None) is not None]  # type: ignore[attr-defined]
        self._files = tuple(dict.fromkeys(str(p) for p in [*files, *models]))

    @property
    def needs_raw(self) -> bool:
        """Whether one of them reads more of a document than id, text and source."""
        return any(getattr(t, "needs_raw", False) for t in self.taggers)

    def files(self) -> tuple[str, ...]:
        """Models and Python modules: when one changes, so do the attributes."""
        return self._files

    def attribute_names(self) -> list[tuple[str, str]]:
        """(tagger, attribute) of all columns that are known before any document is read, in the order of `tag`."""
        return [(t.name, a.name) for t in self.taggers for a in t.attributes or ()]

    @property
    def undeclared(self) -> tuple[str, ...]:
        """Taggers whose attributes only the documents tell: batches may differ in their columns."""
        return tuple(t.name for t in self.taggers if t.attributes is None)

    def tag(self, documents: Documents) -> dict[tuple[str, str], pa.Array]:
        """(tagger, attribute) -> column, in the order asked for; all native taggers run in one call.

        Raises TaggerFailure with the tagger and, where it is known, the document.
        """
        found = dict(zip(self._native, tag_natively(self._native, documents), strict=True)) if self._native else {}
        columns: dict[tuple[str, str], pa.Array] = {}
        for tagger in self.taggers:
            if tagger.name not in found:
                try:
                    found[tagger.name] = tagger.tag(documents)
                except TaggerFailure:
                    raise
                except Exception as error:
                    raise TaggerFailure(tagger.name, f"{type(error).__name__}: {error}") from error
            columns.update({(tagger.name, name): column for name, column in found[tagger.name].items()})
        return columns
