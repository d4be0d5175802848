"""What a mix decided about one document: the code that decided on all of them decides on this one again."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pyarrow as pa

from dolma_pipeline.engine.task import Context
from dolma_pipeline.errors import DataError
from dolma_pipeline.explanation.find import Found
from dolma_pipeline.explanation.story import RuleAnswer, StageStory
from dolma_pipeline.formats.documents import read_documents
from dolma_pipeline.mixers.attribute_files import AttributeFiles, BatchAttributes, MixInput
from dolma_pipeline.mixers.computed import Computed
from dolma_pipeline.mixers.decide import Decider, Decision, rule_columns
from dolma_pipeline.stages.mix import BATCH_BYTES, MixShards


class MixAnswer:
    """A decision on one document."""

    def __init__(self, task: MixShards, found: Found) -> None:
        self._task = task
        self._input = next(each for each in task.inputs if each.path == found.shard.path)
        self._computed = Computed(task.computed, Context()) if task.computed else None
        self._decider = Decider(task.mix, task.names, self._computed)
        self._columns = self._beside(found)
        self.decision: Decision = self._decider.decide(found.document, self._columns)
        self.before = found.document

    @property
    def text(self) -> str:
        """The text after the edits."""
        return str(self.decision.final_texts()[0].as_py())

    @property
    def dropped_by(self) -> str | None:
        rule = int(self.decision.rule[0])
        return None if rule < 0 else self._decider.rules[rule]

    def tell(self, stage: str) -> StageStory:
        """Returns the rules in order, each with what it read and what it says of the document."""
        return StageStory(
            stage=stage,
            rules=self._rules(),
            dropped_by=self.dropped_by,
            edited={edit: count for edit, count in self.decision.edited.items() if count},
            bytes_before=self.before.text_bytes,
            bytes_after=len(self.text.encode()) if self.dropped_by is None else None,
        )

    def _rules(self) -> list[RuleAnswer]:
        drop = self._decider.drop
        if self._computed is not None:
            batch = self._computed.batch(self.before, self._input.path, self._input.name)
            batch.fill_all(np.ones(1, np.bool_))
            for name, pair in self._task.names.items():
                column = batch.whole_column(pair)
                if column is not None:
                    self._columns.named[name] = column
        fields = {field for rule in drop.values() for field in rule.fields}
        table = rule_columns(self.before, self._columns.named, fields)
        return [
            RuleAnswer(
                name=name,
                expression=rule.text,
                answer=bool(rule.evaluate(table, 1)[0]),
                values={each.partition(":")[2] or each: _plain(table[each]) for each in (*rule.names, *rule.fields)},
            )
            for name, rule in drop.items()
        ]

    def _beside(self, found: Found) -> BatchAttributes:
        """Returns the attributes of the document alone."""
        task, row = self._task, found.place.row
        whole = task.mix.select is not None or any(edit.span is not None for edit in task.mix.edit)
        stream = read_documents(self._input.path, columns=self._input.columns, keep_raw=True, batch_bytes=BATCH_BYTES)
        beside = AttributeFiles(
            self._input, task.names, whole=whole, objects=task.mix.keep_attributes, computed=self._computed
        )
        before = 0
        for documents in stream:
            columns = beside.next(documents)
            if row < before + len(documents):
                return self._alone(columns, row - before, found)
            before += len(documents)
        raise DataError(f"{self._input.path}: expected {row + 1} documents, found {before}; the file has changed")

    def _alone(self, columns: BatchAttributes, row: int, found: Found) -> BatchAttributes:
        files = [
            {k: column.slice(row, 1) for k, column in each.items()} if isinstance(each, dict) else each.slice(row, 1)
            for each in columns.files
        ]
        batch = None
        if self._computed is not None:
            batch = self._computed.batch(found.document, self._input.path, self._input.name)
        return dataclasses.replace(
            columns,
            named={name: column.slice(row, 1) for name, column in columns.named.items()},
            rows=[each.slice(row, 1) for each in columns.rows],
            whole=[(key, column.slice(row, 1)) for key, column in columns.whole],
            files=files,
            computed=batch,
        )


def input_of(task: MixShards, path: str) -> MixInput | None:
    """Returns the part of a task that is about the file at `path`."""
    return next((each for each in task.inputs if each.path == path), None)


def _plain(column: pa.Array) -> Any:
    value = column[0].as_py()
    return len(value) if isinstance(value, list) else value
