"""How a mix reads the pieces of a large shard, and what becomes of their reports."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import accumulate
from typing import Any

import msgspec

from dolma_pipeline.config.recipe import Mix
from dolma_pipeline.engine.details import combine
from dolma_pipeline.engine.pieces import ROWS, Ending, Join, join_task, pieces_phase
from dolma_pipeline.engine.stage import Builder, Phase, Places, Shard, ShardInput, State
from dolma_pipeline.engine.task import Context, Report, Task, make_task
from dolma_pipeline.formats.documents import read_documents
from dolma_pipeline.mixers.piece_findings import PieceFindings, joined_use, together
from dolma_pipeline.report.units import counted
from dolma_pipeline.stages.mix_groups import Group

FINDINGS = "findings_of_piece"
"""In the details of a report on a piece: `PieceFindings`."""
JOIN_VERSION = 1
COUNT_VERSION = 1


def pieces_of(group: Group, config: Mix, builder: Builder) -> list[Shard]:
    """The pieces of the one shard that becomes an output; none where it is read as a whole.

    The columns of a Parquet file have types that hold the values of all its documents, so it is written as a whole.
    """
    if len(group.shards) > 1 or group.output.path.endswith(".parquet"):
        return []
    return builder.pieces(group.shards[0])


def count_documents(config: ShardInput, context: Context) -> Report:
    """Counts the documents of a piece, as many as an attribute file beside them has rows for it."""
    stream = read_documents(config.path, columns=config.columns, piece=config.piece)
    for _ in stream:
        stream.take_bad()
    return Report(details={ROWS: stream.documents})


def counting_phase(phase: str, pieces: Sequence[Shard]) -> Phase:
    """The phase that counts documents, where no stage before has read the pieces."""

    def build(state: State) -> list[Task]:
        return [
            make_task(
                phase=phase,
                name=p.id,
                run=count_documents,
                config=ShardInput(source=p.source, path=p.path, columns=p.columns, piece=p.piece),
                inputs=(p.path,),
                version=COUNT_VERSION,
            )
            for p in pieces
        ]

    return Phase(id=phase, what=f"count the documents of {counted(len(pieces), 'piece')}", build=build)


def first_rows(pieces: Sequence[Shard], reports: Mapping[str, Report]) -> list[int]:
    """Number of documents before each piece. Raises FileNotFoundError if one was not read yet."""
    missing = next((p.id for p in pieces if p.id not in reports), None)
    if missing is not None:
        raise FileNotFoundError(missing)
    return list(accumulate((reports[p.id].details[ROWS] for p in pieces[:-1]), initial=0))


def join_group(places: Places, raw: bool, phase: str, group: Group, pieces: Sequence[Shard], state: State) -> Task:
    """The task that joins the mixed documents of the pieces of a shard; `raw`: whose bad lines go to quarantine."""
    shard = group.shards[0]
    aside = {places.quarantine(p): places.quarantine(shard) for p in pieces} if raw else {}
    join = Join(
        phase=phase, shard=group.output, pieces=pieces, outputs=[group.output.path], aside=aside, version=JOIN_VERSION
    )
    reports = state.reports.get(pieces_phase(phase), {})
    return join_task(places, join, reports, holds=_wrote, finish=_finisher(shard.path))


def _wrote(report: Report) -> bool:
    return any(counts.documents_out for counts in report.counts.values())


def _finisher(path: str) -> Callable[[Sequence[Report]], Ending]:
    def finish(reports: Sequence[Report]) -> Ending:
        findings = [msgspec.convert(r.details[FINDINGS], PieceFindings) for r in reports]
        warnings, problem = together(path, findings)
        use = joined_use([r.details.get("use", {}) for r in reports], [r.details[ROWS] for r in reports])
        use_of_all: dict[str, Any] = combine([{}, *use])
        return Ending(details={"use": use_of_all} if use_of_all else {}, warnings=warnings, problem=problem)

    return finish
