"""Verification: linked documents are compared by their texts, in the order in which they are to stay.

In a component, a document goes only if its text is a duplicate of one that stays. A cluster is a document that stays
and those that go because of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from msgspec import Struct

from dolma_pipeline import _native
from dolma_pipeline.config.recipe_minhash import KeepRule, Verification
from dolma_pipeline.dedupe.near_edges import Space
from dolma_pipeline.dedupe.near_files import Parts, divided, ordinal_bounds, write_parts
from dolma_pipeline.dedupe.near_texts import header, schema_of, value_of
from dolma_pipeline.engine.file_list import read_list
from dolma_pipeline.engine.task import Context, Report

DEFAULT_KEEP: tuple[KeepRule, ...] = ("priority", "longest")
TOKENS_AT_ONCE = 16 << 20
"""Tokens of components that are compared in one call; a component of more is compared alone."""
SCHEMA = pa.schema(
    [
        ("ordinal", pa.uint64()),
        ("cluster_id", pa.int64()),
        ("cluster_size", pa.int64()),
        ("cluster_rank", pa.int64()),
        ("duplicate_of", pa.large_string()),
        ("similarity", pa.float64()),
        ("containment", pa.float64()),
        ("rule", pa.large_string()),
    ]
)
Rows = npt.NDArray[np.int64]


class VerifyPartition(Struct, frozen=True, kw_only=True):
    """Compare the documents of the components of a partition."""

    texts: str
    """The list of the texts of all shards."""
    space: Space
    partition: int
    verify: Verification
    keep: list[KeepRule]
    large: int
    out: str


def verify_partition(config: VerifyPartition, context: Context) -> Report:
    """Writes a row for each document of a cluster; details: what was found, and the duplicates of each source.

    Memory: 8 bytes for each token of TOKENS_AT_ONCE, or of the largest component.
    """
    paths = read_list(config.texts)
    files = (Parts(path, header(config.space), files=len(paths)) for path in paths)
    batches = (file.batch(config.partition) for file in files)
    table = pa.Table.from_batches([batch for batch in batches if len(batch)], schema_of(config.keep))
    found = [SCHEMA.empty_table()]
    details: dict[str, Any] = {
        "components": 0, "largest_component": 0, "clusters": 0, "largest_cluster": 0, "duplicates": 0, "compared": 0,
    }  # fmt: skip
    by_source: dict[str, int] = {}
    for members in _slices(table):
        members = members.take(pa.array(_order(members, config.keep)))
        groups = members.column("component").to_numpy().astype(np.int64)
        sizes = np.unique(groups, return_counts=True)[1]
        resolved, compared = _native.minhash_resolve(
            members.column("tokens"),
            pa.array(groups),
            rule=config.verify.rule,
            ngram=config.verify.ngrams,
            threshold=config.verify.threshold,
            large=config.large,
        )
        verdicts, kept = _verdicts(members, resolved, config.verify.rule)
        found.append(pa.Table.from_batches([verdicts], SCHEMA))
        gone = verdicts.column("cluster_rank").to_numpy() > 0
        details["components"] += len(sizes)
        details["largest_component"] = max(details["largest_component"], int(sizes.max()))
        details["clusters"] += int((~gone).sum())
        details["largest_cluster"] = max(
            details["largest_cluster"], int(pc.max(verdicts.column("cluster_size")).as_py() or 0)
        )
        details["duplicates"] += int(gone.sum())
        details["compared"] += compared
        went = members.column("source").filter(pa.array(kept != np.arange(len(kept))))
        for pair in pc.value_counts(went).to_pylist():
            by_source[pair["values"]] = by_source.get(pair["values"], 0) + pair["counts"]
    all_rows = pa.concat_tables(found).combine_chunks()
    all_rows = all_rows.take(pa.array(np.argsort(all_rows.column("ordinal").to_numpy())))
    batch = (all_rows.combine_chunks().to_batches() or [pa.RecordBatch.from_pylist([], SCHEMA)])[0]
    bounds = ordinal_bounds(batch.column("ordinal").to_numpy(), config.space.documents, config.space.partitions)
    written = write_parts(config.out, divided(batch, bounds), SCHEMA, verdicts_header(config.space))
    details["by_source"] = dict(sorted(by_source.items()))
    return Report(outputs=[written], details=details)


def verdicts_header(space: Space) -> dict[str, Any]:
    """What a file of verdicts says of itself."""
    return space.header() | {"scheme": "verdicts"}


def _slices(table: pa.Table) -> Iterator[pa.RecordBatch]:
    """The rows of whole components, as many as have TOKENS_AT_ONCE."""
    if not len(table):
        return
    components = table.column("component").to_numpy()
    order = np.argsort(components, kind="stable")
    lengths = np.concatenate([_lengths(chunk) for chunk in table.column("tokens").chunks])[order]
    ordered = components[order]
    ends = np.append(np.flatnonzero(ordered[1:] != ordered[:-1]) + 1, len(ordered))
    tokens = np.concatenate([[0], np.cumsum(lengths)])
    begin = 0
    for n, end in enumerate(ends):
        following = ends[n + 1] if n + 1 < len(ends) else None
        if following is None or tokens[following] - tokens[begin] > TOKENS_AT_ONCE:
            yield _gathered(table, order[begin:end])
            begin = int(end)


def _lengths(chunk: Any) -> Rows:
    found: Rows = np.asarray(chunk.value_lengths().to_numpy(zero_copy_only=False), np.int64)
    return found


def _gathered(table: pa.Table, rows: npt.NDArray[np.intp]) -> pa.RecordBatch:
    """Some rows in order, without joining the columns of the whole table, which lie in files."""
    batches = table.to_batches()
    firsts = np.concatenate([[0], np.cumsum([len(b) for b in batches])])
    of = np.searchsorted(firsts, rows, side="right") - 1
    pieces = [batches[n].take(pa.array(rows[of == n] - firsts[n])) for n in np.unique(of)]
    back = np.empty(len(rows), np.int64)
    back[np.argsort(of, kind="stable")] = np.arange(len(rows))
    joined = pa.Table.from_batches(pieces, table.schema).combine_chunks().to_batches()[0]
    return joined.take(pa.array(back))


def _order(members: pa.RecordBatch, keep: list[KeepRule]) -> Rows:
    """The rows by component, and in each the best to keep first."""
    keys = [_rank(members.column("hash"), "ascending"), members.column("ordinal").to_numpy().astype(np.int64)]
    for i, rule in reversed(list(enumerate(keep))):
        if rule == "priority":
            keys.insert(0, -members.column("priority").to_numpy())
        elif rule == "longest":
            keys.insert(0, -members.column("chars").to_numpy())
        else:
            keys.insert(0, _rank(members.column(value_of(i)), "descending"))
    keys.insert(0, members.column("component").to_numpy().astype(np.int64))
    order: Rows = np.lexsort(keys[::-1])
    return order


def _rank(column: pa.Array, order: Literal["ascending", "descending"]) -> Rows:
    """The place of each value, equal ones at the same place; a row without a value comes last."""
    encoded = column.dictionary_encode()
    places = np.empty(len(encoded.dictionary), np.int64)
    places[pc.array_sort_indices(encoded.dictionary, order=order).to_numpy()] = np.arange(len(places))
    found: Rows = np.append(places, len(places))[pc.fill_null(encoded.indices, len(places)).to_numpy()]
    return found


def _verdicts(members: pa.RecordBatch, resolved: pa.RecordBatch, rule: str) -> tuple[pa.RecordBatch, Rows]:
    """The rows of the documents that are in a cluster; and for each member the row of the one that stays for it."""
    kept: Rows = resolved.column("kept").to_numpy().astype(np.int64)
    numbers = np.arange(len(kept))
    sizes = np.bincount(kept, minlength=len(kept))
    by_cluster = np.argsort(kept, kind="stable")
    starts = np.concatenate([[0], np.cumsum(sizes)])[:-1]
    ranks = np.empty(len(kept), np.int64)
    ranks[by_cluster] = numbers - starts[kept[by_cluster]]
    gone, ordinals = kept != numbers, members.column("ordinal").to_numpy()
    stays = pa.array(~gone)
    duplicate_of = pc.if_else(stays, pa.scalar(None, pa.large_string()), members.column("id").take(pa.array(kept)))
    columns = {
        "ordinal": pa.array(ordinals),
        "cluster_id": pa.array(ordinals[kept].astype(np.int64)),
        "cluster_size": pa.array(sizes[kept].astype(np.int64)),
        "cluster_rank": pa.array(ranks),
        "duplicate_of": duplicate_of,
        "similarity": resolved.column("similarity"),
        "containment": resolved.column("containment"),
        "rule": pc.if_else(stays, pa.scalar(None, pa.large_string()), pa.scalar(rule, pa.large_string())),
    }
    batch = pa.RecordBatch.from_pydict(columns, SCHEMA)
    return batch.filter(pa.array(sizes[kept] > 1)), kept
