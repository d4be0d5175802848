"""What the measures of shards come to: counts by source that add up, and the examples nearest to a threshold."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from msgspec import Struct


class Amount(Struct):
    """Documents and the UTF-8 bytes of their texts."""

    documents: int = 0
    bytes: int = 0

    def add(self, other: Amount) -> None:
        self.documents += other.documents
        self.bytes += other.bytes


class Example(Struct, frozen=True, kw_only=True):
    """A document near a threshold: where it is, what it measures, how it begins."""

    id: str
    place: str
    """file:line."""
    source: str
    value: float
    distance: float
    order: int
    """A keyed hash of the id: of two equally near documents the lower one is shown."""
    excerpt: str


class Threshold(Struct, kw_only=True):
    """One threshold of a sweep."""

    at: int | float
    """Whole where a double would round it."""
    removed: dict[str, Amount] = {}
    """By source."""
    dropped: list[Example] = []
    """The documents nearest to it that it drops, of those whose fate is up to it."""
    kept: list[Example] = []

    @property
    def shown(self) -> str:
        """The threshold in a table."""
        return str(self.at) if isinstance(self.at, int) else f"{self.at:g}"


class SweepResult(Struct, kw_only=True):
    """A rule at several thresholds."""

    expression: str
    thresholds: list[Threshold]
    unknown: dict[str, Amount] = {}
    """Documents that have no value to compare."""


class RuleResult(Struct, kw_only=True):
    """A rule of a mix among the others."""

    name: str
    expression: str
    alone: dict[str, Amount] = {}
    """What it would drop if it were the only one."""
    first: dict[str, Amount] = {}
    """What counts under it: what no rule before it drops."""
    only: dict[str, Amount] = {}
    """What no other rule drops: what would come back without it."""
    examples: list[Example] = []
    """Some of those that only this rule drops."""


class WhatIf(Struct, kw_only=True):
    """All of it, of a shard or of a corpus."""

    read: dict[str, Amount] = {}
    sweeps: list[SweepResult] = []
    rules: list[RuleResult] = []
    dropped: dict[str, Amount] = {}
    """By any of the rules."""


def merge(parts: Iterable[WhatIf], examples: int) -> WhatIf:
    """The sum of `parts`, which have the same sweeps and rules; of their examples the nearest."""
    whole = WhatIf()
    for part in parts:
        if not whole.sweeps and not whole.rules:
            whole.sweeps = [
                SweepResult(expression=s.expression, thresholds=[Threshold(at=t.at) for t in s.thresholds])
                for s in part.sweeps
            ]
            whole.rules = [RuleResult(name=r.name, expression=r.expression) for r in part.rules]
        _add(whole.read, part.read)
        _add(whole.dropped, part.dropped)
        for mine, theirs in zip(whole.sweeps, part.sweeps, strict=True):
            _add(mine.unknown, theirs.unknown)
            for a, b in zip(mine.thresholds, theirs.thresholds, strict=True):
                _add(a.removed, b.removed)
                a.dropped = nearest([*a.dropped, *b.dropped], examples)
                a.kept = nearest([*a.kept, *b.kept], examples)
        for rule, other in zip(whole.rules, part.rules, strict=True):
            for amounts, more in ((rule.alone, other.alone), (rule.first, other.first), (rule.only, other.only)):
                _add(amounts, more)
            rule.examples = nearest([*rule.examples, *other.examples], examples)
    return whole


def nearest(examples: Sequence[Example], most: int) -> list[Example]:
    """The `most` that are nearest; the sort is stable, so what is still equal stays in canonical order."""
    return sorted(examples, key=lambda e: (e.distance, e.order))[:most]


def total(amounts: dict[str, Amount]) -> Amount:
    whole = Amount()
    for amount in amounts.values():
        whole.add(amount)
    return whole


def _add(mine: dict[str, Amount], theirs: dict[str, Amount]) -> None:
    for source, amount in theirs.items():
        mine.setdefault(source, Amount()).add(amount)
