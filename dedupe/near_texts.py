"""The texts that are compared: the tokens of each document that has a link, and what decides whether it stays."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
from msgspec import Struct

from dolma_pipeline import _native
from dolma_pipeline.config.recipe_minhash import KeepRule
from dolma_pipeline.dedupe.near_components import read_labels
from dolma_pipeline.dedupe.near_edges import Space
from dolma_pipeline.dedupe.near_files import Ordinals, divided, ordinal_bounds, write_parts
from dolma_pipeline.engine.file_list import read_list
from dolma_pipeline.engine.task import Context, Report
from dolma_pipeline.errors import DataError
from dolma_pipeline.formats.columns import shown_id, takes_any_id
from dolma_pipeline.formats.documents import Documents, read_documents
from dolma_pipeline.formats.quarantine import longest_line
from dolma_pipeline.mixers import expression
from dolma_pipeline.mixers.attribute_files import AttributeFiles, MixInput
from dolma_pipeline.mixers.decide import rule_columns
from dolma_pipeline.mixers.fields import needs_lines
from dolma_pipeline.mixers.nodes import Comparison

TOKENS = pa.list_(pa.uint64())
BASE = (
    ("component", pa.uint64()),
    ("ordinal", pa.uint64()),
    ("id", pa.large_string()),
    ("source", pa.large_string()),
    ("priority", pa.int64()),
    ("chars", pa.int64()),
    ("hash", pa.large_string()),
    ("tokens", TOKENS),
)


def header(space: Space) -> dict[str, Any]:
    """What a file of texts says of itself."""
    return space.header() | {"scheme": "texts", "version": _native.MINHASH_VERSION}


def schema_of(keep: list[KeepRule]) -> pa.Schema:
    """The columns of a file of texts: BASE, and one for each rule of `keep` that asks for a value of the document."""
    return pa.schema([*BASE, *((name, type) for name, type in value_columns(keep).items())])


def value_columns(keep: list[KeepRule]) -> dict[str, pa.DataType]:
    """The columns for the rules that ask for a value, by `value_of`."""
    return {
        value_of(i): pa.large_string() if rule.newest is not None else pa.float64()
        for i, rule in enumerate(keep)
        if not isinstance(rule, str)
    }


def value_of(number: int) -> str:
    """The column of rule `number`."""
    return f"keep_{number}"


class NearTexts(Struct, frozen=True, kw_only=True):
    """Write the tokens of those documents of a shard that have a link."""

    read: MixInput
    labels: str
    """The list of the files with the components of all partitions."""
    space: Space
    first: int
    """Number of documents before the first one of the shard, or of the piece of it."""
    documents: int
    priority: int
    unit: str
    keep: list[KeepRule]
    names: dict[str, tuple[str, str]]
    """(experiment, key) of each attribute that the rules name."""
    out: str


def score_rule(text: str, where: str) -> expression.Rule:
    """The rule that reads what the expression `text` reads; its left side is that expression."""
    return expression.compile(f"{text} >= 0", where)


def write_texts(config: NearTexts, context: Context) -> Report:
    """Reads the documents once more where some of them have a link; details: how many have each value asked for.

    Memory: 8 bytes for each token of these documents, three times.
    """
    nodes, components = read_labels(read_list(config.labels), config.space, config.first, config.documents)
    schema = schema_of(config.keep)
    table = schema.empty_table()
    if len(nodes):
        table = pa.Table.from_batches(_Reader(config, nodes, components).batches(), schema)
    order = np.argsort(table.column("component").to_numpy(), kind="stable")
    batch = _one_batch(table).take(pa.array(order))
    ordered = batch.column("component").to_numpy()
    bounds = ordinal_bounds(ordered, config.space.documents, config.space.partitions)
    written = write_parts(config.out, divided(batch, bounds), schema, header(config.space))
    values = {name: len(batch) - batch.column(name).null_count for name in value_columns(config.keep)}
    return Report(outputs=[written], details={"texts": len(batch), "values": values})


class _Reader:
    """Reads a shard and gives a batch of columns for those of its documents that have a link."""

    def __init__(self, config: NearTexts, nodes: Ordinals, components: Ordinals) -> None:
        self._config = config
        self._nodes, self._components = nodes, components
        self._rules: dict[int, expression.Rule] = {}
        for i, rule in enumerate(config.keep):
            if not isinstance(rule, str) and rule.score is not None:
                self._rules[i] = score_rule(rule.score, f"keep[{i}].score")
        named = {str(i): rule for i, rule in self._rules.items()}
        self._fields = {f for rule in self._rules.values() for f in rule.fields}
        needs = expression.needs_of(named)
        self._beside = AttributeFiles(config.read, config.names, whole=False, needs=needs) if named else None
        self._any_id = takes_any_id(config.read.columns, config.read.path)

    def batches(self) -> list[pa.RecordBatch]:
        config = self._config
        read = config.read
        newest = any(not isinstance(rule, str) and rule.newest is not None for rule in config.keep)
        stream = read_documents(
            read.path,
            columns=read.columns,
            keep_raw=newest or needs_lines(self._fields),
            max_line_bytes=longest_line(read.quarantine),
            piece=read.piece,
        )
        found, row = [], 0
        for documents in stream:
            # Those lines were set aside when the keys were made.
            stream.take_bad()
            columns = self._columns(documents)
            first = config.first + row
            begin, end = np.searchsorted(self._nodes, np.array([first, first + len(documents)], np.uint64))
            if end > begin:
                rows = self._nodes[begin:end] - np.uint64(first)
                found.append(self._batch(documents, columns, rows, slice(begin, end)))
            row += len(documents)
        if row != config.documents:
            raise DataError(
                f"{read.path}: expected the {config.documents} documents that were read before, found {row}; the file "
                f"has changed since: run again"
            )
        if self._beside is not None and read.piece is None and stream.damage is None:
            self._beside.finish()
        return found

    def _columns(self, documents: Documents) -> Mapping[str, pa.Array]:
        """What the scores are computed from."""
        if self._beside is None:
            return {}
        return rule_columns(documents, self._beside.next(documents).named, self._fields)

    def _batch(
        self, documents: Documents, columns: Mapping[str, pa.Array], rows: Ordinals, part: slice
    ) -> pa.RecordBatch:
        config, taken = self._config, pa.array(rows)
        texts, ids = documents.text.take(taken), documents.id.take(taken)
        if self._any_id:
            ids = pa.array([shown_id(each) for each in ids.to_pylist()], pa.large_string())
        arrays: dict[str, Any] = {
            "component": self._components[part],
            "ordinal": self._nodes[part],
            "id": ids,
            "source": pa.array([config.read.source] * len(rows), pa.large_string()),
            "priority": np.full(len(rows), config.priority, np.int64),
            "chars": _native.char_lengths(texts),
            "hash": _native.content_ids(texts).cast(pa.large_string()),
            "tokens": _native.minhash_tokens(texts, unit=config.unit).cast(TOKENS),
        }
        for i, rule in enumerate(config.keep):
            if i in self._rules:
                tree = self._rules[i].tree
                assert isinstance(tree, Comparison)
                values = expression.numbers(tree.left, columns, len(documents))[rows.astype(np.intp)]
                arrays[value_of(i)] = pa.array(values, mask=np.isnan(values))
            elif not isinstance(rule, str) and rule.newest is not None:
                arrays[value_of(i)] = documents.field(rule.newest).take(taken)
        return pa.RecordBatch.from_pydict(arrays, schema_of(config.keep))


def _one_batch(table: pa.Table) -> pa.RecordBatch:
    batches = table.combine_chunks().to_batches()
    return batches[0] if batches else pa.RecordBatch.from_pylist([], table.schema)
