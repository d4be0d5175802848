"""Connected components of links: each document gets the first document that it is linked to over any number of others.

In rounds over partitions, by alternating large-star and small-star (Kiveris et al. 2014, "Connected Components in
MapReduce and Beyond"): a task sees all links of a document at once and never those of more than a partition. A round
hangs the larger neighbours of each document on its smallest one, then the smaller ones; when a round changes nothing,
each component is a star around its first document. Where all links fit into memory, one task finds the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from msgspec import Struct

from dolma_pipeline.dedupe.near_edges import Space, partitions_of, read_links, unique, write_links
from dolma_pipeline.dedupe.near_files import Ordinals, Parts, divided, ordinal_bounds, write_parts
from dolma_pipeline.engine.file_list import read_list
from dolma_pipeline.engine.task import Context, Output, Report

SCHEMA = pa.schema([pa.field("node", pa.uint64(), nullable=False), pa.field("component", pa.uint64(), nullable=False)])
LINK_BYTES = 160
"""Memory that a link takes where one task joins all of them."""


class StarPartition(Struct, frozen=True, kw_only=True):
    """One half of a round on the documents of `partition`."""

    star: Literal["large", "small"]
    links: str
    """The list of what the half before has written."""
    space: Space
    partition: int
    out: str


class Joined(NamedTuple):
    """The links after a half of a round."""

    nodes: Ordinals
    others: Ordinals
    changed: int
    """Number of documents whose links are others than before."""


def star_partition(config: StarPartition, context: Context) -> Report:
    """Writes the links of the partition anew; details: their number, and how many documents have `changed` ones.

    Memory: 120 bytes for each link of the partition.
    """
    nodes, others = read_links(read_list(config.links), config.space.header(), config.partition)
    found = (large_star if config.star == "large" else small_star)(nodes, others)
    nodes, others = found.nodes, found.others
    if config.star == "small":
        # The next large star needs each link at both of its ends.
        nodes, others = np.concatenate([nodes, others]), np.concatenate([others, nodes])
    written = write_links(config.out, nodes, others, config.space)
    return Report(outputs=[written], details={"links": len(found.nodes), "changed": found.changed})


def large_star(nodes: Ordinals, others: Ordinals) -> Joined:
    """Hangs each larger neighbour of a document on the smallest one; of a new link the larger end is first.

    `nodes` and `others` are in order and have each link at both ends.
    """
    starts, smallest = _groups(nodes, others)
    sizes = np.diff(np.append(starts, len(nodes)))
    least = np.repeat(np.minimum(smallest, nodes[starts]), sizes)
    larger = others > nodes
    changed = int(np.logical_or.reduceat(larger & (least < nodes), starts).sum()) if len(nodes) else 0
    return Joined(others[larger], least[larger], changed)


def small_star(nodes: Ordinals, others: Ordinals) -> Joined:
    """Hangs a document and its smaller neighbours on the smallest one; the larger end of each link is first.

    `nodes` and `others` are in order, the larger end of each link first.
    """
    starts, smallest = _groups(nodes, others)
    sizes = np.diff(np.append(starts, len(nodes)))
    rest = np.ones(len(nodes), np.bool_)
    rest[starts] = False
    least = np.repeat(smallest, sizes)
    own, hung = nodes[starts], others[rest]
    return Joined(np.concatenate([own, hung]), np.concatenate([smallest, least[rest]]), int((sizes > 1).sum()))


def _groups(nodes: Ordinals, others: Ordinals) -> tuple[npt.NDArray[np.intp], Ordinals]:
    """Where each document begins in sorted links, and the smallest of its neighbours."""
    if not len(nodes):
        return np.empty(0, np.intp), others
    starts = np.flatnonzero(np.concatenate([[True], nodes[1:] != nodes[:-1]]))
    return starts, others[starts]


class LabelPartition(Struct, frozen=True, kw_only=True):
    """Label the documents of `partition`, whose links are stars."""

    links: str
    space: Space
    partition: int
    labels: str


def label_partition(config: LabelPartition, context: Context) -> Report:
    nodes, others = read_links(read_list(config.links), config.space.header(), config.partition)
    starts, smallest = _groups(nodes, others)
    own = nodes[starts]
    return Report(outputs=[_write_labels(config.labels, own, np.minimum(own, smallest), config.space)])


class JoinLinks(Struct, frozen=True, kw_only=True):
    """Join all links in one task, and write the labels of every partition."""

    links: str
    space: Space
    labels: str
    """The directory of the files to write: see `labels_file`."""
    warnings: list[str] = []


def join_links(config: JoinLinks, context: Context) -> Report:
    """Memory: LINK_BYTES for each link."""
    space = config.space
    nodes, components = components_of(*read_links(read_list(config.links), space.header(), None))
    bounds = ordinal_bounds(nodes, space.documents, space.partitions)
    outputs = []
    for partition, (begin, end) in enumerate(pairwise(bounds)):
        path = labels_file(config.labels, partition)
        outputs.append(_write_labels(path, nodes[begin:end], components[begin:end], space))
    return Report(outputs=outputs, warnings=config.warnings)


def labels_file(directory: str, partition: int) -> str:
    """The file with the components of the documents of a partition."""
    return f"{directory}/partition-{partition:05d}.labels"


def read_labels(paths: Sequence[str], space: Space, first: int, count: int) -> tuple[Ordinals, Ordinals]:
    """Those of `count` documents from `first` on that have a link, in order, and their components.

    `paths`: the files of all partitions, in order.
    """
    nodes, components = [np.empty(0, np.uint64)], [np.empty(0, np.uint64)]
    for partition in partitions_of(space, first, count):
        batch = Parts(paths[partition], space.header() | {"scheme": "components"}).batch(0)
        ordinals = batch.column("node").to_numpy()
        begin, end = np.searchsorted(ordinals, np.array([first, first + count], np.uint64))
        nodes.append(ordinals[begin:end])
        components.append(batch.column("component").to_numpy()[begin:end])
    return np.concatenate(nodes), np.concatenate(components)


def components_of(nodes: Ordinals, others: Ordinals) -> tuple[Ordinals, Ordinals]:
    """Each document that has a link, in order, and the first document of its component."""
    above = nodes > others
    nodes, others = nodes[above], others[above]
    known = unique(np.concatenate([nodes, others]))
    one, two = np.searchsorted(known, nodes), np.searchsorted(known, others)
    root = np.arange(len(known))
    while len(one):
        # Each root takes the smallest root that it is linked to; then every path is made short.
        a, b = root[one], root[two]
        apart = a != b
        one, two, a, b = one[apart], two[apart], a[apart], b[apart]
        np.minimum.at(root, np.maximum(a, b), np.minimum(a, b))
        while True:
            shorter = root[root]
            if np.array_equal(shorter, root):
                break
            root = shorter
    return known, known[root]


def _write_labels(path: str, nodes: Ordinals, components: Ordinals, space: Space) -> Output:
    batch = pa.record_batch([pa.array(nodes), pa.array(components)], schema=SCHEMA)
    return write_parts(path, divided(batch, [0, len(nodes)]), SCHEMA, space.header() | {"scheme": "components"})
