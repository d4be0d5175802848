"""What was found in all shards: the matches, and a table by evaluation set."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
from msgspec import Struct

from dolma_pipeline.engine.stage import Context, Report, Table, output, read_json
from dolma_pipeline.io.atomic import write_text
from dolma_pipeline.report.units import counted
from dolma_pipeline.stages.decontaminate.op import FoundItem, FoundItems


class MergeMatches(Struct, frozen=True, kw_only=True):
    """Bring the matches of all shards together."""

    name: str
    found: list[str]
    items: dict[str, int]
    """Number of items of each evaluation set."""
    short: int
    """Number of items that are too short to be looked for."""
    needs: str
    """What an item needs to be looked for, in words."""
    alarm: float
    out: str


def merge_matches(config: MergeMatches, context: Context) -> Report:
    """Writes all matches as JSON lines, in the order of the corpus; warns of sources that lose much."""
    documents: dict[str, int] = {}
    marked: dict[str, int] = {}
    items: dict[str, set[str]] = {}
    found_in: dict[str, set[tuple[str, int]]] = {}

    def lines() -> Iterator[str]:
        for path in config.found:
            found = read_json(path, FoundItems)
            documents[found.source] = documents.get(found.source, 0) + found.documents
            marked[found.source] = marked.get(found.source, 0) + found.contaminated
            for match in found.matches:
                items.setdefault(match.evaluation, set()).add(match.item)
                found_in.setdefault(match.evaluation, set()).add((match.file, match.line))
                yield msgspec.json.encode(match).decode() + "\n"

    write_text(config.out, "".join(lines()))
    rows = [
        (name, count, len(items.get(name, ())), len(found_in.get(name, ()))) for name, count in config.items.items()
    ]
    head = ("evaluation", "items", "items found", "documents")
    table = Table(title=f"evaluation items found by {config.name}", head=head, rows=rows)
    details = {"documents": sum(documents.values()), "contaminated": sum(marked.values())}
    warnings = _warnings(config, documents, marked)
    return Report(outputs=[output(config.out)], details=details | table.details(), warnings=warnings)


def _warnings(config: MergeMatches, documents: dict[str, int], marked: dict[str, int]) -> list[str]:
    where = f"decontaminate `{config.name}`"
    said = []
    if config.short:
        said.append(
            f"{where}: {counted(config.short, 'item')} {_is(config.short)} not looked for; an item needs {config.needs}"
        )
    for source, count in documents.items():
        if marked[source] > config.alarm * count:
            said.append(
                f"{where}: {marked[source]:,d} of {count:,d} documents of source `{source}` "
                f"({marked[source] / count:.2%}) hold evaluation items, more than the {config.alarm:.2%} of `alarm`; "
                f"look at some of them in {config.out} before a mix drops them"
            )
    return said


def _is(count: int) -> str:
    return "is" if count == 1 else "are"


def read_matches(path: str) -> Iterator[FoundItem]:
    """Yields the matches that a run has written."""
    from dolma_pipeline.io import fs

    with fs.open_input(path) as handle:
        for line in handle:
            yield msgspec.json.decode(line, type=FoundItem)
