"""Links between documents that share a band key, and the files that hold them.

A link stands in a file with each of its ends as the first one, or with the larger one first, as its reader needs it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
from msgspec import Struct

from dolma_pipeline.dedupe.near_files import Ordinals, Parts, divided, ordinal_bounds, partition_of, write_parts
from dolma_pipeline.engine.file_list import read_list
from dolma_pipeline.engine.task import Context, Output, Report

SCHEMA = pa.schema([pa.field("node", pa.uint64(), nullable=False), pa.field("other", pa.uint64(), nullable=False)])
_HALF = np.uint64(32)
_SMALL = 1 << 32
"""Number of documents up to which a link is sorted as one number."""


class Space(Struct, frozen=True, kw_only=True):
    """The documents of the corpus, and into how many ranges they are divided."""

    documents: int
    partitions: int

    def header(self) -> dict[str, Any]:
        """What files with a batch for each range say of it."""
        return {"scheme": "links", "documents": self.documents, "partitions": self.partitions}


def partitions_of(space: Space, first: int, count: int) -> range:
    """The ranges that have some of `count` documents from `first` on."""
    if not count:
        return range(0)
    last = partition_of(first + count - 1, space.documents, space.partitions)
    return range(partition_of(first, space.documents, space.partitions), last + 1)


class LinkPartition(Struct, frozen=True, kw_only=True):
    """Link the documents that share a key of `partition`."""

    keys: str
    """The list of the key files of all shards, in canonical order."""
    header: dict[str, Any]
    """What each of them must say of itself."""
    space: Space
    partition: int
    links: str


def link_partition(config: LinkPartition, context: Context) -> Report:
    """Links the first of the documents that share a key with each of the others.

    Memory: 60 to 80 bytes for each key of the partition, the more of them are shared.
    """
    first, other = stars(*_read_keys(config))
    links = len(first)
    # A link is for both of its ends.
    written = write_links(config.links, np.concatenate([first, other]), np.concatenate([other, first]), config.space)
    return Report(outputs=[written], details={"links": links})


def _read_keys(config: LinkPartition) -> tuple[Ordinals, Ordinals]:
    """The keys of the partition, and the documents that have them."""
    keys, ordinals = [np.empty(0, np.uint64)], [np.empty(0, np.uint64)]
    offset = 0
    paths = read_list(config.keys)
    for path in paths:
        file = Parts(path, config.header, files=len(paths))
        batch = file.batch(config.partition)
        if len(batch):
            keys.append(batch.column("key").to_numpy())
            ordinals.append(batch.column("row").to_numpy().astype(np.uint64) + np.uint64(offset))
        offset += file.header["documents"]
    return np.concatenate(keys), np.concatenate(ordinals)


def stars(keys: Ordinals, ordinals: Ordinals) -> tuple[Ordinals, Ordinals]:
    """The first document of each key and another one that has it, each pair once."""
    if not len(keys):
        return ordinals, ordinals
    order = np.argsort(keys)
    keys, ordinals = keys[order], ordinals[order]
    # Most keys are those of one document alone.
    same = keys[1:] == keys[:-1]
    shared = np.concatenate([same, [False]]) | np.concatenate([[False], same])
    keys, ordinals = keys[shared], ordinals[shared]
    if not len(keys):
        return ordinals, ordinals
    starts = np.flatnonzero(np.concatenate([[True], keys[1:] != keys[:-1]]))
    sizes = np.diff(np.append(starts, len(keys)))
    firsts = np.repeat(np.minimum.reduceat(ordinals, starts), sizes)
    pairs = ordinals != firsts
    return distinct(firsts[pairs], ordinals[pairs])


def distinct(nodes: Ordinals, others: Ordinals) -> tuple[Ordinals, Ordinals]:
    """The pairs in order, each once."""
    if not len(nodes):
        return nodes, others
    if int(nodes.max()) < _SMALL and int(others.max()) < _SMALL:
        packed = unique(nodes << _HALF | others)
        return packed >> _HALF, packed & np.uint64(_SMALL - 1)
    order = np.lexsort((others, nodes))
    nodes, others = nodes[order], others[order]
    new = np.concatenate([[True], (nodes[1:] != nodes[:-1]) | (others[1:] != others[:-1])])
    return nodes[new], others[new]


def unique(numbers: Ordinals) -> Ordinals:
    """The distinct numbers in order; sorts `numbers` itself. NumPy's own hashes, a hundred times slower."""
    numbers.sort()
    return numbers[np.concatenate([[True], numbers[1:] != numbers[:-1]])] if len(numbers) else numbers


def write_links(path: str, nodes: Ordinals, others: Ordinals, space: Space) -> Output:
    """Writes pairs, each once, in a batch for the range that the first of them is in."""
    nodes, others = distinct(nodes, others)
    batch = pa.record_batch([pa.array(nodes), pa.array(others)], schema=SCHEMA)
    bounds = ordinal_bounds(nodes, space.documents, space.partitions)
    return write_parts(path, divided(batch, bounds), SCHEMA, space.header())


def read_links(paths: list[str], header: Mapping[str, Any], partition: int | None) -> tuple[Ordinals, Ordinals]:
    """The pairs of a partition in order, or with None of all, as the files have them."""
    nodes, others = [np.empty(0, np.uint64)], [np.empty(0, np.uint64)]
    for path in paths:
        file = Parts(path, header)
        for number in range(len(file)) if partition is None else [partition]:
            batch = file.batch(number)
            nodes.append(batch.column("node").to_numpy())
            others.append(batch.column("other").to_numpy())
    if partition is None:
        return np.concatenate(nodes), np.concatenate(others)
    return distinct(np.concatenate(nodes), np.concatenate(others))
