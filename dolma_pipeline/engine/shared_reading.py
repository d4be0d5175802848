"""One reading of a shard's documents, shared by every task that wants them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from typing import Any

import msgspec
from msgspec import Struct

from dolma_pipeline.engine.corpus import Shard
from dolma_pipeline.engine.reading import ROWS, ShardInput
from dolma_pipeline.engine.task import Context, Counts, Report, Task, call, make_task
from dolma_pipeline.errors import Where, put_where
from dolma_pipeline.formats.documents import Documents, read_documents
from dolma_pipeline.formats.quarantine import SetAside

FUSED_RUN = f"{__name__}:run_fused"
"""The `fused_run` of tasks that are ops."""


class ShardRead(Struct, kw_only=True):
    """What was read of a shard, as one of the ops accounts for it."""

    counts: Counts
    """The documents, as if all of them stayed: an op that drops some of them, or sets them aside, changes its counts.
    Rows that damage took are added afterwards."""
    damage: str | None = None
    """Why the file could not be read, or not all of it."""


class Op(ABC):
    """What a task does with the documents of one shard, in a reading that it shares with tasks of other stages.

    It is made with the settings of the task, which it keeps as `config`, and a Context. The settings are a ShardInput,
    or have one in the field `read`.
    """

    config: Any
    keep_raw: bool = False
    """Whether it needs more of a line than id, text and source."""

    @abstractmethod
    def add(self, documents: Documents) -> None:
        """Takes the next documents of the shard in; those of a task may be many, so keep only what is small."""

    @abstractmethod
    def finish(self, read: ShardRead) -> Report:
        """Writes what the task is for, and reports it; bad lines, damage and `read.counts` are reported for it."""

    def abort(self) -> None:  # noqa: B027 - most ops write nothing before they finish
        """Removes what was written so far: the reading has failed, here or in another op."""


def shard_input(config: Any) -> ShardInput:
    """The shard that an op with the settings `config` reads."""
    found: ShardInput = config if isinstance(config, ShardInput) else config.read
    return found


def reads_alike(shard: Shard, config: Any) -> bool:
    """Whether an op with the settings `config` finds the fields of documents where all ops of `shard` do."""
    return shard_input(config).columns == shard.columns


def op_task(
    phase: str,
    name: str,
    shard: Shard,
    run: str | Callable[..., Any],
    config: Struct,
    inputs: Iterable[str],
    version: int,
) -> Task:
    """A task that is an op. Those that look for the fields of documents in other places have a reading of their own."""
    columns = shard_input(config).columns
    fuse = shard.id if reads_alike(shard, config) else f"{shard.id} {msgspec.json.encode(columns).decode()}"
    return make_task(phase, name, run, config, inputs, version, fuse=fuse, fused_run=FUSED_RUN)


def _made(task: Task, context: Context) -> Op:
    """The op of a task, made with its settings."""
    try:
        op: Op = call(task, context)
    except BaseException as error:
        put_where(error, _place(task))
        raise
    return op


def _place(task: Task) -> Where:
    return Where(task.phase, task.name, task.inputs)


def run_fused(tasks: list[Task], context: Context) -> list[Report]:
    """Runs `tasks` in one reading, and returns their reports in the same order."""
    context = context.of_reading()
    ops: list[Op] = []
    op: Op | None = None
    """The one that is at work, by which it is known whose exception it is."""
    try:
        for task in tasks:
            ops.append(_made(task, context))
        shard = shard_input(ops[0].config)
        keep_raw = any(op.keep_raw for op in ops)
        stream = read_documents(shard.path, columns=shard.columns, keep_raw=keep_raw, piece=shard.piece)
        counts = Counts()
        with SetAside(stream, shard.quarantine, counts) as aside:
            for documents in stream:
                counts.documents_in += len(documents)
                counts.documents_out += len(documents)
                counts.bytes_in += documents.text_bytes
                context.made.update(dict.fromkeys(context.made))
                for op in ops:
                    op.add(documents)
                op = None
                aside.take()
            aside.end()
            counts.bytes_out = counts.bytes_in
            read = [ShardRead(counts=counts.copy(), damage=stream.damage) for _ in ops]
            reports = []
            for op, mine in zip(ops, read, strict=True):
                reports.append(op.finish(mine))
            op = None
    except BaseException as error:
        if op is not None:
            put_where(error, _place(tasks[next(n for n, each in enumerate(ops) if each is op)]))
        for each in ops:
            each.abort()
        raise
    for mine, report in zip(read, reports, strict=True):
        mine.counts.unread += counts.unread
        mine.counts.documents_in += counts.unread
        report.counts = {shard.source: mine.counts}
        report.outputs = [*report.outputs, *aside.outputs]
        report.bad = [*aside.bad, *report.bad]
        if stream.damage is not None:
            report.warnings = [f"{shard.path}: {stream.damage}", *report.warnings]
        if shard.piece is not None:
            report.details = {**report.details, ROWS: stream.documents}
    return reports
