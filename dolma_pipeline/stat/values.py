"""Counts of the values of a text or flag attribute, in bounded memory and mergeable.

Up to MOST different values all counts are exact. Beyond that the counts are those of Misra and Gries (Finding Repeated
Elements, 1982): the rarest values are left out, and every count is lowered by as much as the most frequent one of
these had. `error` says by how much a count may be too low, and how often a value that is not listed occurs at most.
"""

from __future__ import annotations

from collections.abc import Mapping

import pyarrow as pa
import pyarrow.compute as pc
from msgspec import Struct

from dolma_pipeline.report.units import counted

MOST = 10_000
"""Different values that are counted."""
MOST_BYTES = 4 << 20
"""Bytes of all values that are counted, so that long texts do not pile up."""
FLAGS = {True: "true", False: "false"}


class StoredValues(Struct, frozen=True):
    """The counts on disk, the most frequent value first."""

    kind: str
    counts: dict[str, int]
    total: int
    error: int


class ValueSummary(Struct, frozen=True):
    """A line of `values.jsonl.gz`: the `values` most frequent first, with their counts."""

    name: str
    kind: str
    values: list[tuple[str, int]]
    total: int
    """Documents that have a value."""
    different: int | None
    """Different values; None where there are too many to count."""
    error: int
    """By how much a count may be too low."""


class Values:
    """Counts by value; `kind` is `string` or `bool`."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.counts: dict[str, int] = {}
        self.total = 0
        self.error = 0

    def add(self, values: pa.Array) -> None:
        """Counts the values of an array of texts or booleans that are no nulls."""
        found = pc.value_counts(values.drop_null())
        pairs = zip(found.field("values").to_pylist(), found.field("counts").to_pylist(), strict=True)
        self._add({FLAGS[value] if isinstance(value, bool) else value: count for value, count in pairs})

    def merge(self, other: Values) -> None:
        self.error += other.error
        self._add(other.counts, other.total)

    def _add(self, counts: Mapping[str, int], total: int | None = None) -> None:
        for value, count in counts.items():
            self.counts[value] = self.counts.get(value, 0) + count
        self.total += sum(counts.values()) if total is None else total
        self._trim()

    def _trim(self) -> None:
        if len(self.counts) <= MOST and sum(len(v) for v in self.counts) <= MOST_BYTES // 4:
            return
        kept: dict[str, int] = {}
        size = 0
        for value, count in self.ordered():
            size += len(value.encode())
            if len(kept) == MOST or size > MOST_BYTES:
                self.counts = {v: n - count for v, n in kept.items() if n > count}
                self.error += count
                return
            kept[value] = count

    def ordered(self) -> list[tuple[str, int]]:
        """Returns the values with their counts, the most frequent first, of equal ones by their text."""
        return sorted(self.counts.items(), key=lambda item: (-item[1], item[0]))

    def summary(self, name: str, most: int) -> ValueSummary:
        """Returns the `most` most frequent values."""
        different = None if self.error else len(self.counts)
        return ValueSummary(name, self.kind, self.ordered()[:most], self.total, different, self.error)

    def stored(self) -> StoredValues:
        return StoredValues(self.kind, dict(self.ordered()), self.total, self.error)

    @classmethod
    def of(cls, stored: StoredValues) -> Values:
        found = cls(stored.kind)
        found.counts, found.total, found.error = dict(stored.counts), stored.total, stored.error
        return found


SHOWN = 20
"""Values of an attribute that a report shows."""
LONGEST = 80


def short_text(value: str) -> str:
    """Returns a value on one line, cut where it is long."""
    text = "".join(c if c.isprintable() else "\ufffd" for c in value)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"


def facts(summary: ValueSummary) -> str:
    """Returns how many documents and values there are, and what must be known of the counts."""
    documents = counted(summary.total, "document")
    if summary.different is None:
        return (
            f"{documents}, more than {MOST:,} different values: a count may be up to {summary.error:,} too low, and "
            f"values that occur up to {summary.error:,} times may be missing"
        )
    hidden = summary.different - min(SHOWN, len(summary.values))
    more = f", {hidden:,} not shown" if hidden else ""
    return f"{documents}, {counted(summary.different, 'different value')}{more}"
