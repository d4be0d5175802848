"""Several taggers as one: what a `tag` stage runs on each batch of documents."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pyarrow as pa

from dolma_pipeline.formats.columns import shown_id
from dolma_pipeline.formats.kinds import Kind, absent, kind_of
from dolma_pipeline.taggers.base import Documents, Tagger, TaggerFailure
from dolma_pipeline.taggers.native import NativeTagger, tag_natively

LONGEST = 1000
"""Maximum number of characters of an error message: some exceptions quote the whole document."""


class TaggerSet:
    """Loaded taggers in the order asked for; made by `load_taggers`."""

    def __init__(self, taggers: Sequence[Tagger], files: Sequence[Path] = ()) -> None:
        self.taggers = tuple(taggers)
        self._native = [t.name for t in self.taggers if isinstance(t, NativeTagger)]
        models = [Path(t.model) for t in self.taggers if getattr(t, "model", None) is not None]  # type: ignore[attr-defined]
        lists = [Path(p) for t in self.taggers for p in getattr(t, "files", ())]
        self._files = tuple(dict.fromkeys(str(p) for p in [*files, *models, *lists]))

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

    def attribute_kinds(self) -> dict[tuple[str, str], Kind]:
        """The same names with their kinds."""
        return {(t.name, a.name): a.kind for t in self.taggers for a in t.attributes or ()}

    @property
    def undeclared(self) -> tuple[str, ...]:
        """Taggers whose attributes only the documents tell: batches may differ in their columns."""
        return tuple(t.name for t in self.taggers if t.attributes is None)

    @property
    def uses_seed(self) -> bool:
        """Whether one of them draws random numbers."""
        return any(hasattr(t, "seeded") for t in self.taggers)

    def tag(self, documents: Documents) -> dict[tuple[str, str], pa.Array]:
        """(tagger, attribute) -> column, in the order asked for; all native taggers run in one call.

        Raises TaggerFailure with the tagger and, where it is known, the document.
        """
        return self._join(documents, lambda tagger: _tag(tagger, documents))

    def tag_some(self, documents: Documents) -> tuple[dict[tuple[str, str], pa.Array], dict[int, str]]:
        """The same, and why a tagger failed on a document, by row; such a document has no attribute at all.

        A batch on which a tagger fails is halved until the documents are found: about 2 log2 calls more for each.
        """
        failures: dict[int, str] = {}
        columns = self._join(documents, lambda tagger: _tag_some(tagger, documents, failures))
        return {k: _without(c, failures) for k, c in columns.items()}, failures

    def first_failing(self, documents: Documents, failure: TaggerFailure) -> int | None:
        """The row of the first document on which the tagger of `failure` fails by itself.

        None where it fails only on several documents together.
        """
        if failure.row is not None:
            return failure.row
        tagger = next((t for t in self.taggers if t.name == failure.tagger), None)
        if tagger is None:
            return None
        start, count = 0, len(documents)
        while count > 1:
            half = count // 2
            if _fails(tagger, documents.slice(start, half)):
                count = half
            else:
                start, count = start + half, count - half
        return start if _fails(tagger, documents.slice(start, 1)) else None

    def _natively(self, documents: Documents) -> list[dict[str, pa.Array]]:
        try:
            return tag_natively(self._native, documents)
        except Exception:
            # One call for all does not tell which it was.
            for tagger in self.taggers:
                if tagger.name in self._native:
                    _tag(tagger, documents)
            raise

    def _join(
        self, documents: Documents, tag: Callable[[Tagger], dict[str, pa.Array]]
    ) -> dict[tuple[str, str], pa.Array]:
        found = dict(zip(self._native, self._natively(documents), strict=True)) if self._native else {}
        columns: dict[tuple[str, str], pa.Array] = {}
        for tagger in self.taggers:
            if tagger.name not in found:
                found[tagger.name] = tag(tagger)
            columns.update({(tagger.name, name): column for name, column in found[tagger.name].items()})
        return columns


def describe_failure(taggers: TaggerSet, documents: Documents, failure: TaggerFailure, path: str) -> str:
    """Says what failed on which document of the file at `path`, with the line of the document and of the tagger."""
    row = taggers.first_failing(documents, failure)
    lines = documents.line
    if row is None:
        place = f"lines {lines[0].as_py()} to {lines[len(lines) - 1].as_py()}"
        what = f"{path}: {place} together: tagger `{failure.tagger}`: {failure.reason}"
    else:
        document = shown_id(documents.id[row].as_py())
        what = f"{path}:{lines[row].as_py()}: tagger `{failure.tagger}`, document `{document}`: {failure.reason}"
    what = " ".join(what.split())[:LONGEST]
    at = failure.raised_at
    return what if at is None else f"{what} (raised at {at}; DOLMA_TRACEBACK=1 shows the traceback)"


def _tag(tagger: Tagger, documents: Documents) -> dict[str, pa.Array]:
    try:
        return tagger.tag(documents)
    except TaggerFailure:
        raise
    except (Exception, SystemExit) as error:
        raise TaggerFailure(tagger.name, f"{type(error).__name__}: {error}") from error


def _fails(tagger: Tagger, documents: Documents) -> bool:
    try:
        _tag(tagger, documents)
    except TaggerFailure:
        return True
    return False


def _tag_some(tagger: Tagger, documents: Documents, failures: dict[int, str]) -> dict[str, pa.Array]:
    """The columns of all `documents`, those that fail without values; why they failed, by row."""
    done: list[tuple[dict[str, pa.Array], int]] = []
    todo = [(0, len(documents))]
    while todo:
        start, count = todo.pop()
        part = documents.slice(start, count)
        try:
            done.append((_tag(tagger, part), count))
        except TaggerFailure as failure:
            if count == 1:
                reason = f"tagger `{tagger.name}`, document `{shown_id(part.id[0].as_py())}`: {failure.reason}"
                failures[start] = f"{failures[start]}; {reason}" if start in failures else reason
                done.append(({a.name: absent(a.kind, 1) for a in tagger.attributes or ()}, 1))
                continue
            # Where the tagger knows which document it was, those before it are done with one more call.
            cut = count // 2 if failure.row is None else max(failure.row, 1)
            todo += [(start + cut, count - cut), (start, cut)]
    kinds = {name: _kind(column) for columns, _ in done for name, column in columns.items()}
    return {
        name: pa.concat_arrays([c[name] if name in c else absent(kind, n) for c, n in done])
        for name, kind in kinds.items()
    }


def _kind(column: pa.Array) -> Kind:
    return kind_of(column.type) or "float64"


def _without(column: pa.Array, failures: dict[int, str]) -> pa.Array:
    """The column with nothing in the rows of `failures`."""
    if not failures:
        return column
    parts = []
    start = 0
    for row in [*sorted(failures), len(column)]:
        parts += [column.slice(start, row - start), absent(_kind(column), min(1, len(column) - row))]
        start = row + 1
    return pa.concat_arrays(parts)
