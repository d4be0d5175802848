"""One reading of a shard's documents, shared by every task that wants them."""

from __future__ import annotations

from typing import Any, Protocol

from dolma_pipeline.engine.pieces import ROWS
from dolma_pipeline.engine.reading import ShardInput
from dolma_pipeline.engine.task import BadInput, Context, Counts, Output, Report, Task, call
from dolma_pipeline.formats.documents import Documents, read_documents
from dolma_pipeline.formats.quarantine import SetAside

FUSED_RUN = f"{__name__}:run_fused"
"""The `fused_run` of tasks that are ops."""


class ShardOp(Protocol):
    """Work on the documents of one shard, a batch at a time."""

    config: ShardInput
    keep_raw: bool
    """Whether it needs more of a line than id, text and source."""
    aside: Counts
    """`quarantined`: documents that it has set aside by itself, `bytes_out`: their text."""
    bad: list[BadInput]
    """The documents that it has set aside by itself, known once it has finished."""

    def add(self, documents: Documents) -> None: ...

    def finish(self) -> tuple[list[Output], dict[str, Any], dict[str, int]]:
        """Outputs; details; spans marked, by attribute."""
        ...

    def abort(self) -> None: ...


def run_fused(tasks: list[Task], context: Context) -> list[Report]:
    """Runs `tasks` in one reading, and returns their reports in the same order."""
    ops: list[ShardOp] = []
    try:
        for task in tasks:
            ops.append(call(task, context))
        config = ops[0].config
        keep_raw = any(s.keep_raw for s in ops)
        stream = read_documents(config.path, columns=config.columns, keep_raw=keep_raw, piece=config.piece)
        counts = Counts()
        with SetAside(stream, config.quarantine, counts) as aside:
            for documents in stream:
                counts.documents_in += len(documents)
                counts.documents_out += len(documents)
                counts.bytes_in += documents.text_bytes
                for op in ops:
                    op.add(documents)
                aside.take()
            aside.end()
            finished = [op.finish() for op in ops]
        counts.bytes_out = counts.bytes_in
    except BaseException:
        for op in ops:
            op.abort()
        raise
    reports = []
    of_piece = {ROWS: stream.documents} if config.piece is not None else {}
    for op, (outputs, details, marked) in zip(ops, finished, strict=True):
        mine = counts.copy(edited=marked)
        mine.quarantined += op.aside.quarantined
        mine.documents_out -= op.aside.quarantined
        mine.bytes_out -= op.aside.bytes_out
        report = Report(
            outputs=outputs + aside.outputs,
            details=details | of_piece,
            counts={config.source: mine},
            bad=[*aside.bad, *op.bad],
        )
        if stream.damage is not None:
            report.warnings.append(f"{config.path}: {stream.damage}")
        reports.append(report)
    return reports
