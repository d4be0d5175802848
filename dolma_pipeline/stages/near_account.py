"""What a run tells of its near-duplicates: figures, a table by source, and what should make one look twice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Struct

from dolma_pipeline.config.recipe_minhash import KeepRule
from dolma_pipeline.dedupe.near_scheme import Scheme
from dolma_pipeline.dedupe.near_texts import value_of
from dolma_pipeline.engine.stage import Table
from dolma_pipeline.engine.task import Context, Report
from dolma_pipeline.report.units import counted

ALARM = 0.3
"""Share of a source's documents that are duplicates, from which a run warns."""
MOST_SOURCES = 50
"""Most sources in the table, those with the largest share first."""


class Account(Struct, frozen=True, kw_only=True):
    """What is known once all documents were compared."""

    details: dict[str, Any]
    warnings: list[str] = []


def tell(config: Account, context: Context) -> Report:
    """Reports what the plan has added up; it writes no file."""
    return Report(details=config.details, warnings=config.warnings)


def details_of(
    name: str,
    scheme: Scheme,
    *,
    documents: Mapping[str, int],
    without_text: int,
    links: Sequence[Mapping[str, Any]],
    rounds: int,
    verified: Sequence[Mapping[str, Any]],
) -> dict[str, Any]:
    """The figures of the stage `name`; `documents` by source, the others as the tasks of a phase have reported them."""
    gone = by_source(verified)
    shares = [(source, count, gone.get(source, 0)) for source, count in documents.items()]
    shares.sort(key=lambda each: (-each[2] / max(1, each[1]), each[0]))
    rows = [(source, count, less, f"{less / max(1, count):.1%}") for source, count, less in shares[:MOST_SOURCES]]
    table = Table(title=f"near-duplicates of {name}", head=("source", "documents", "duplicates", "share"), rows=rows)
    total = sum(documents.values())
    figures: dict[str, Any] = {
        "documents": total,
        "without_text": without_text,
        "keys": total - without_text,
        "links": sum(each["links"] for each in links),
        "rounds": rounds,
        "scheme": str(scheme),
        "found_by_similarity": scheme.curve(),
    }
    for key in ("components", "clusters", "duplicates", "compared"):
        figures[key] = sum(each[key] for each in verified)
    for key in ("largest_component", "largest_cluster"):
        figures[key] = max((each[key] for each in verified), default=0)
    return {**figures, **table.details()}


def by_source(verified: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    """The duplicates of each source."""
    gone: dict[str, int] = {}
    for each in verified:
        for source, count in each["by_source"].items():
            gone[source] = gone.get(source, 0) + count
    return gone


def warnings_of(
    name: str,
    keep: Sequence[KeepRule],
    *,
    documents: Mapping[str, int],
    without_text: int,
    verified: Sequence[Mapping[str, Any]],
    texts: Sequence[Mapping[str, Any]],
) -> list[str]:
    """What is to be said aloud; `texts`: what the tasks that read the linked documents have reported."""
    where = f"dedupe `{name}`"
    total, gone = sum(documents.values()), by_source(verified)
    if without_text == total:
        return [f"{where}: nothing was compared: none of {counted(total, 'document')} has a text that takes part"]
    said = []
    for source, count in documents.items():
        less = gone.get(source, 0)
        if less > ALARM * count:
            said.append(
                f"{where}: {less:,d} of {count:,d} documents of source `{source}` ({less / count:.1%}) are marked as "
                f"near-duplicates; look at some of them before a mix drops them"
            )
    if without_text:
        said.append(
            f"{where}: {counted(without_text, 'document')} took no part, without a word or shorter than `min_length`"
        )
    linked = sum(each["texts"] for each in texts)
    for i, rule in enumerate(keep):
        if isinstance(rule, str) or not linked:
            continue
        asked = rule.newest if rule.newest is not None else rule.score
        lacking = linked - sum(each["values"][value_of(i)] for each in texts)
        if lacking:
            said.append(
                f"{where}: keep[{i}]: {lacking:,d} of {linked:,d} documents that were compared have no `{asked}`, and "
                f"come behind those that have one"
            )
    return said
