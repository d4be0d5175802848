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
from dolma_pipeline.engine.task import Context, Counts, Report
from dolma_pipeline.formats.documents import Documents, read_documents
from dolma_pipeline.formats.parquet_errors import named
from dolma_pipeline.formats.quarantine import SetAside
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

    input: MixInput
    source: str
    labels: list[str]
    rules: dict[str, str | None]
    """The rule of each label with documents in this source, in order: the first that holds counts; None takes all."""
    names: dict[str, tuple[str, str]]
    held_out: float
    form: TextForm
    seed: int
    out: str


def read_examples(config: ReadExamples, context: Context) -> Report:
    """Writes the shard's labelled documents, sorted by a hash of id and text: merged, shards are in random order.

    Holds the texts of one shard's examples.
    """
    rules = {
        label: expression.compile(text, f"labels.{label}.where") if text is not None else None
        for label, text in config.rules.items()
    }
    needs = {f for rule in rules.values() if rule is not None for f in rule.fields}
    wanted = expression.needs_of({name: rule for name, rule in rules.items() if rule is not None})
    beside = AttributeFiles(config.input, config.names, whole=False, needs=wanted)
    stream = read_documents(config.input.path, columns=config.input.columns, keep_raw=needs_lines(needs))
    counts, parts, dropped = Counts(), [], Counter[str]()
    with SetAside(stream, config.input.quarantine, counts) as aside:
        for documents in stream:
            columns = rule_columns(documents, beside.next(documents).named, needs)
            label = np.full(len(documents), -1, np.int32)
            for name, rule in rules.items():
                hits = rule.evaluate(columns, len(documents)) if rule is not None else np.ones(len(label), np.bool_)
                label[(label < 0) & hits] = config.labels.index(name)
            part = _labelled(documents, label, config, dropped)
            parts.append(part)
            counts.documents_in += len(documents)
            counts.bytes_in += documents.text_bytes
            counts.documents_out += part.num_rows
            counts.bytes_out += pc.sum(pc.binary_length(part.column("text"))).as_py() or 0
            aside.take()
        if stream.damage is None:
            beside.finish()
    counts.dropped = dict(sorted(dropped.items()))
    table = pa.Table.from_batches(parts, SCHEMA)
    with (
        publishing(config.out) as published,
        parquet_writer(published.file, table.schema, compression="zstd") as writer,
    ):
        writer.write_table(table.sort_by("order"), row_group_size=4 * BATCH)
    source = output(config.input.path)
    details: dict[str, Any] = {
        "input": {"path": config.input.label, "bytes": source.bytes, "blake3": source.blake3},
        "examples": _by_label(table, config.labels),
    }
    warnings = [f"{config.input.path}: {stream.damage}"] if stream.damage is not None else []
    return Report(
        counts={config.source: counts},
        outputs=[published.output, *aside.outputs],
        details=details,
        warnings=warnings,
        bad=aside.bad,
    )


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
