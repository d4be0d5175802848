"""The labelled documents of one shard: chosen by rule, split by a hash of id and text, in the order of another."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from msgspec import Struct

from dolma_pipeline import _native
from dolma_pipeline.classifier.line import TextForm, training_line
from dolma_pipeline.engine.shared_reading import Op, ShardRead
from dolma_pipeline.engine.task import Context, Report
from dolma_pipeline.formats.documents import Documents
from dolma_pipeline.formats.parquet_errors import named
from dolma_pipeline.io.arrow import open_parquet, parquet_writer
from dolma_pipeline.io.atomic import output, publishing
from dolma_pipeline.mixers import expression
from dolma_pipeline.mixers.attribute_files import AttributeFiles, MixInput
from dolma_pipeline.mixers.decide import rule_columns
from dolma_pipeline.mixers.fields import needs_lines

UNLABELLED = "no label"
EMPTY = "no words"
"""The rules under which documents count that are of no label, or of no use."""
SCHEMA = pa.schema(
    [
        pa.field("order", pa.uint64(), nullable=False),
        pa.field("label", pa.int32(), nullable=False),
        pa.field("held_out", pa.bool_(), nullable=False),
        pa.field("text", pa.large_string(), nullable=False),
    ]
)
BATCH = 256
_SPLIT, _ORDER = "held out", "order"
"""Two draws of one seed must know nothing of each other."""


class ReadExamples(Struct, frozen=True, kw_only=True):
    """A shard, and the rule of each label that may be in it."""

    read: MixInput
    labels: list[str]
    rules: dict[str, str | None]
    """The rule of each label with documents in this source, in order: the first that holds counts; None takes all."""
    names: dict[str, tuple[str, str]]
    held_out: float
    form: TextForm
    seed: int
    out: str


class ExamplesOp(Op):
    """The shard's labelled documents, sorted by a hash of id and text: merged, shards are in random order.

    Holds the texts of one shard's examples.
    """

    def __init__(self, config: ReadExamples, context: Context) -> None:
        self.config = config
        self._rules = {
            label: expression.compile(text, f"labels.{label}.where") if text is not None else None
            for label, text in config.rules.items()
        }
        self._needs = {f for rule in self._rules.values() if rule is not None for f in rule.fields}
        self.keep_raw = needs_lines(self._needs)
        needs = expression.needs_of({name: rule for name, rule in self._rules.items() if rule is not None})
        self._beside = AttributeFiles(config.read, config.names, whole=False, made=context.made, needs=needs)
        self._parts: list[pa.RecordBatch] = []
        self._dropped = Counter[str]()

    def add(self, documents: Documents) -> None:
        columns = rule_columns(documents, self._beside.next(documents).named, self._needs)
        label = np.full(len(documents), -1, np.int32)
        for name, rule in self._rules.items():
            hits = rule.evaluate(columns, len(documents)) if rule is not None else np.ones(len(label), np.bool_)
            label[(label < 0) & hits] = self.config.labels.index(name)
        self._parts.append(_labelled(documents, label, self.config, self._dropped))

    def finish(self, read: ShardRead) -> Report:
        config = self.config
        if read.damage is None:
            self._beside.finish()
        table = pa.Table.from_batches(self._parts, SCHEMA)
        read.counts.documents_out = table.num_rows
        read.counts.bytes_out = pc.sum(pc.binary_length(table.column("text"))).as_py() or 0
        read.counts.dropped = dict(sorted(self._dropped.items()))
        with (
            publishing(config.out) as published,
            parquet_writer(published.file, table.schema, compression="zstd") as writer,
        ):
            writer.write_table(table.sort_by("order"), row_group_size=4 * BATCH)
        source = output(config.read.path)
        details: dict[str, Any] = {
            "input": {"path": config.read.label, "bytes": source.bytes, "blake3": source.blake3},
            "examples": _by_label(table, config.labels),
        }
        return Report(outputs=[published.output], details=details)


def _labelled(documents: Documents, label: Any, config: ReadExamples, dropped: Counter[str]) -> pa.RecordBatch:
    dropped[UNLABELLED] += int((label < 0).sum())
    rows = np.flatnonzero(label >= 0)
    texts = documents.text.take(pa.array(rows))
    good = np.asarray([bool(training_line(text.as_py(), config.form)) for text in texts], np.bool_)
    dropped[EMPTY] += int((~good).sum())
    ids = documents.id.take(pa.array(rows[good]))
    texts = texts.filter(pa.array(good))
    held_out = _places(ids, texts, config.seed, _SPLIT) < np.float64(config.held_out) * 2.0**64
    return pa.RecordBatch.from_arrays(
        [
            pa.array(_places(ids, texts, config.seed, _ORDER)),
            pa.array(label[rows[good]], pa.int32()),
            pa.array(held_out),
            texts,
        ],
        schema=SCHEMA,
    )


def _places(ids: pa.Array, texts: pa.Array, seed: int, purpose: str) -> np.ndarray[tuple[int], np.dtype[np.uint64]]:
    """A hash of id and text: where ids repeat, documents of one id are not all on one side; copies of one are."""
    own = keyed(seed, purpose)
    by_id, by_text = _native.keyed_hash(ids, own), _native.keyed_hash(texts, keyed(own, purpose))
    return np.asarray(by_id.to_numpy(zero_copy_only=False) ^ by_text.to_numpy(zero_copy_only=False))


def keyed(seed: int, purpose: str) -> int:
    """A seed of its own for each purpose."""
    return int(_native.keyed_hash(pa.array([purpose], pa.large_string()), seed)[0].as_py())


def _by_label(table: pa.Table, labels: list[str]) -> dict[str, dict[str, int]]:
    label, held_out = table.column("label").to_numpy(), table.column("held_out").to_numpy(zero_copy_only=False)
    return {
        name: {"training": int(((label == i) & ~held_out).sum()), "held_out": int(((label == i) & held_out).sum())}
        for i, name in enumerate(labels)
        if (label == i).any()
    }


def rows_in_order(path: str) -> Iterator[tuple[int, int, bool, str]]:
    """(order, label, held out, text) of a shard's examples, by order."""
    with named(path):
        for batch in open_parquet(path).iter_batches(batch_size=BATCH):
            columns = [batch.column(name).to_pylist() for name in ("order", "label", "held_out", "text")]
            yield from zip(*columns, strict=True)
