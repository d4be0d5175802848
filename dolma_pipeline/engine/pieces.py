"""Tasks on the pieces of a large shard, and the task that joins what they wrote to the outputs of the shard.

A stage plans a task for each piece in the phase `PHASE-pieces`, where it leaves scratch files, and one that joins them
in `PHASE` itself, under the name that the task of the shard would have. The report of that one is what the report of
an undivided shard would be, so nothing that reads reports needs to know of pieces.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from dolma_pipeline.engine.builder import Builder, Phase, State
from dolma_pipeline.engine.corpus import Places, Shard
from dolma_pipeline.engine.reading import ROWS as ROWS
from dolma_pipeline.engine.task import BadInput, Context, Counts, Report, Task, make_task
from dolma_pipeline.errors import DataError
from dolma_pipeline.formats.attribute_join import join_attributes
from dolma_pipeline.io import fs
from dolma_pipeline.report.units import counted


class JoinPieces(Struct, frozen=True, kw_only=True):
    """Write each output of a shard from what its pieces have left."""

    files: list[tuple[str, list[str]]]
    """(output, scratch files in order). Without scratch files there is no such output, and an older one is removed."""
    report: Report
    """The reports of the pieces in one, but for the outputs."""
    problem: str = ""
    """Why the shard cannot be used, as its pieces together tell."""


class Ending(Struct, frozen=True, kw_only=True):
    """What is told of a shard once all of its pieces were read."""

    details: dict[str, Any] = {}
    warnings: list[str] = []
    problem: str = ""


def join_pieces(config: JoinPieces, context: Context) -> Report:
    """Joins the files. Raises DataError if the pieces together tell that the input cannot be used."""
    if config.problem:
        raise DataError(config.problem)
    outputs = []
    for path, parts in config.files:
        if parts:
            outputs.append(join_attributes(parts, path))
        else:
            fs.remove(path, missing_ok=True)
    return replace(config.report, outputs=outputs)


def pieces_phase(phase: str) -> str:
    """The phase of the tasks on pieces whose results are joined in `phase`."""
    return f"{phase}-pieces"


def part_of(places: Places, phase: str, piece: Shard, number: int, path: str) -> str:
    """The scratch file of a piece that becomes a part of `path`, which is output number `number` of its task."""
    return places.scratch(pieces_phase(phase), piece, f".{number}{Path(path).suffix}")


class Join(Struct, frozen=True, kw_only=True):
    """What a stage says of the task that joins the pieces of a shard."""

    phase: str
    shard: Shard
    pieces: Sequence[Shard]
    outputs: Sequence[str]
    """Each output of the task; the pieces have written what `part_of` says."""
    aside: Mapping[str, str]
    """Quarantine file of a piece -> that of the shard, the one for lines that cannot be read first."""
    version: int


def join_task(
    places: Places,
    join: Join,
    reports: Mapping[str, Report],
    *,
    holds: Callable[[Report], bool] = lambda report: report.details[ROWS] > 0,
    finish: Callable[[Sequence[Report]], Ending] = lambda reports: Ending(),
) -> Task:
    """The task that joins the pieces of a shard; `reports` are those of the phase of the pieces.

    `holds`: whether a piece has left anything; `finish`: the details and warnings of the shard that follow from those
    of its pieces together. Raises FileNotFoundError if a piece is not done yet.
    """
    mine = []
    for piece in join.pieces:
        if piece.id not in reports:
            raise FileNotFoundError(piece.id)
        mine.append(reports[piece.id])
    files = []
    for number, path in enumerate(join.outputs):
        parts = [part_of(places, join.phase, piece, number, path) for piece in join.pieces]
        # A file of nothing adds nothing, but for the first one where all are.
        files.append((path, [p for p, r in zip(parts, mine, strict=True) if holds(r)] or parts[:1]))
    ending = finish(mine)
    left = [bad.quarantine for report in mine for bad in report.bad if bad.documents]
    for final in dict.fromkeys(join.aside.values()):
        files.append((final, [part for part in dict.fromkeys(left) if join.aside[part] == final]))
    return make_task(
        phase=join.phase,
        name=join.shard.id,
        run=join_pieces,
        config=JoinPieces(files=files, report=joined_report(mine, join, ending), problem=ending.problem),
        inputs=[part for _, parts in files for part in parts],
        version=join.version,
    )


def join_phases(
    builder: Builder,
    phase: str,
    shards: Sequence[Shard],
    join: Callable[[Shard], Join],
) -> tuple[list[str], list[Phase]]:
    """The ledger's phases of the pieces of `shards`, and the phase behind theirs that joins them.

    Without shards there are none.
    """
    if not shards:
        return [], []
    before, name = pieces_phase(phase), f"{phase}-join"

    def build(state: State) -> list[Task]:
        reports = state.reports.get(before, {})
        return [join_task(builder.places, join(shard), reports) for shard in shards]

    what = f"join the pieces of {counted(len(shards), 'shard')}"
    return [before, name], [Phase(id=name, what=what, build=build, after=[before])]


def joined_report(reports: Sequence[Report], join: Join, more: Ending) -> Report:
    """The reports of all pieces in one, with the details and warnings of `more`."""
    counts: dict[str, Counts] = {}
    for report in reports:
        for source, found in report.counts.items():
            counts.setdefault(source, Counts()).add(found)
    for total in counts.values():
        total.edited = dict(sorted(total.edited.items()))
    read = sum(report.details[ROWS] for report in reports)
    warnings = dict.fromkeys(line for report in reports for line in report.warnings)
    warnings |= dict.fromkeys(more.warnings)
    bad = _joined_bad([bad for report in reports for bad in report.bad], join.aside, read)
    return Report(counts=counts, details=more.details, warnings=list(warnings), bad=bad)


def _joined_bad(found: Iterable[BadInput], aside: Mapping[str, str], read: int) -> list[BadInput]:
    """What could not be used of a shard, an entry for each quarantine file; `read`: documents read of all pieces."""
    first = next(iter(aside.values()), "")
    joined: dict[str, BadInput] = {}
    for bad in found:
        final = aside.get(bad.quarantine, first)
        before = joined.get(final)
        joined[final] = bad if before is None else _both(before, bad)
    return [
        replace(bad, quarantine=final if bad.documents else "", nothing_read=bad.nothing_read and read == 0)
        for final, bad in sorted(joined.items(), key=lambda item: item[0] != first)
    ]


def _both(one: BadInput, other: BadInput) -> BadInput:
    said = one if one.documents else other
    unread = list(one.unread)
    for rows in other.unread:
        if unread and unread[-1][1] == rows[0] - 1:
            unread[-1] = (unread[-1][0], rows[1])
        else:
            unread.append(rows)
    changes: dict[str, Any] = {
        "documents": one.documents + other.documents,
        "line": said.line,
        "reason": said.reason,
        "without_raw": one.without_raw + other.without_raw,
        "damage": "; ".join(filter(None, (one.damage, other.damage))),
        "unread": unread,
        "unread_bytes": one.unread_bytes + other.unread_bytes,
        "nothing_read": one.nothing_read or other.nothing_read,
    }
    return replace(one, **changes)
