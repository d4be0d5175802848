"""What rules would remove of the documents of one shard: by threshold, and each beside the others."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from msgspec import Struct

from dolma_pipeline import _native
from dolma_pipeline.config.recipe import Sweep
from dolma_pipeline.engine.shared_reading import Op, ShardRead
from dolma_pipeline.engine.task import Context, Report
from dolma_pipeline.formats.documents import Documents
from dolma_pipeline.io.atomic import write_json
from dolma_pipeline.mixers import attributes, expression
from dolma_pipeline.mixers.attribute_files import AttributeFiles, MixInput
from dolma_pipeline.mixers.decide import rule_columns
from dolma_pipeline.mixers.expression import Rule
from dolma_pipeline.mixers.fields import needs_lines
from dolma_pipeline.secrets import hide_in_settings
from dolma_pipeline.stat.result import Amount, Example, RuleResult, SweepResult, Threshold, WhatIf, nearest
from dolma_pipeline.stat.sweep import Compiled, compile_sweep

EXCERPT = 200
"""Code points of a document that an example shows."""
Mask = npt.NDArray[np.bool_]


class MeasureShard(Struct, frozen=True, kw_only=True):
    """A shard, the attributes beside it, and what to try on it."""

    read: MixInput
    sweeps: list[Sweep]
    drop: dict[str, str]
    names: dict[str, tuple[str, str]]
    """(experiment, key) of each attribute that the rules name."""
    examples: int
    seed: int
    out: str


def compiled_sweeps(sweeps: list[Sweep], where: str = "sweeps") -> list[Compiled]:
    return [compile_sweep(s.expression, f"{where}[{i}].expression", s.at) for i, s in enumerate(sweeps)]


class WhatIfOp(Op):
    """The counts and examples of a shard, from its documents and the attribute columns that the rules name."""

    def __init__(self, config: MeasureShard, context: Context) -> None:
        self.config = config
        self._sweeps = compiled_sweeps(config.sweeps)
        self._rules = expression.compile_all(config.drop, "drop")
        self._needs = {f for rule in all_rules(self._sweeps, self._rules).values() for f in rule.fields}
        self.keep_raw = needs_lines(self._needs)
        needs = expression.needs_of(all_rules(self._sweeps, self._rules))
        self._beside = AttributeFiles(config.read, config.names, whole=False, made=context.made, needs=needs)
        self.result = WhatIf(
            read={config.read.source: Amount()},
            sweeps=[
                SweepResult(expression=hide_in_settings(s.expression), thresholds=[Threshold(at=t) for t in s.at])
                for s in config.sweeps
            ],
            rules=[RuleResult(name=name, expression=hide_in_settings(text)) for name, text in config.drop.items()],
        )

    def add(self, documents: Documents) -> None:
        columns = rule_columns(documents, self._beside.next(documents).named, self._needs)
        n = len(documents)
        batch = _Batch(documents, self.config)
        batch.count(self.result.read, np.ones(n, np.bool_))
        for compiled, sweep in zip(self._sweeps, self.result.sweeps, strict=True):
            judged = compiled.judge(columns, n)
            batch.count(sweep.unknown, np.isnan(judged.value))
            for threshold in sweep.thresholds:
                dropped = compiled.dropped(judged, threshold.at)
                batch.count(threshold.removed, dropped)
                distance = np.abs(judged.value - threshold.at)
                threshold.dropped = batch.nearest(threshold.dropped, judged.open & dropped, judged.value, distance)
                threshold.kept = batch.nearest(threshold.kept, judged.open & ~dropped, judged.value, distance)
        if self._rules:
            self._try_rules(columns, batch, n)

    def finish(self, read: ShardRead) -> Report:
        if read.damage is None:
            self._beside.finish()
        return Report(outputs=[write_json(self.config.out, self.result)])

    def _try_rules(self, columns: Mapping[str, pa.Array], batch: _Batch, n: int) -> None:
        hits = np.stack([rule.evaluate(columns, n) for rule in self._rules.values()])
        number = hits.sum(axis=0)
        first = np.where(number > 0, hits.argmax(axis=0), -1)
        batch.count(self.result.dropped, number > 0)
        for position, rule in enumerate(self.result.rules):
            only = hits[position] & (number == 1)
            batch.count(rule.alone, hits[position])
            batch.count(rule.first, first == position)
            batch.count(rule.only, only)
            rule.examples = batch.nearest(rule.examples, only, np.zeros(n), np.zeros(n))


class _Batch:
    """Documents of a batch as amounts and examples."""

    def __init__(self, documents: Documents, config: MeasureShard) -> None:
        self._documents = documents
        self._source = config.read.source
        self._label = config.read.label
        self._most = config.examples
        self._bytes = attributes.to_integers(pc.binary_length(documents.text))
        self._order = np.asarray(_native.keyed_hash(documents.id, config.seed).to_numpy(zero_copy_only=False))

    def count(self, amounts: dict[str, Amount], mask: Mask) -> None:
        amount = amounts.setdefault(self._source, Amount())
        amount.documents += int(mask.sum())
        amount.bytes += int(self._bytes[mask].sum())

    def nearest(
        self, so_far: list[Example], mask: Mask, value: npt.NDArray[np.float64], distance: npt.NDArray[np.float64]
    ) -> list[Example]:
        """`so_far` and the documents in `mask`, as many as are shown; only those get their texts read."""
        rows = np.flatnonzero(mask)
        if self._most == 0 or not len(rows):
            return so_far
        best = rows[np.lexsort((self._order[rows], distance[rows]))[: self._most]]
        found = [self._example(int(row), float(value[row]), float(distance[row])) for row in best]
        return nearest([*so_far, *found], self._most)

    def _example(self, row: int, value: float, distance: float) -> Example:
        # A text can be long: words are looked for at its beginning only.
        head = self._documents.text[row].as_py()[: 4 * EXCERPT]
        return Example(
            id=self._documents.id[row].as_py(),
            place=f"{self._label}:{self._documents.line[row].as_py()}",
            source=self._source,
            value=value,
            distance=distance,
            order=int(self._order[row]),
            excerpt=" ".join(head.split())[:EXCERPT],
        )


def all_rules(sweeps: list[Compiled], drop: Mapping[str, Rule]) -> dict[str, Rule]:
    """Everything that reads attributes, under names that do not collide."""
    return {**{f"sweeps[{i}]": s.rule for i, s in enumerate(sweeps)}, **{f"drop.{n}": r for n, r in drop.items()}}
