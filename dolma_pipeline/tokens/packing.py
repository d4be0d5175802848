"""Packing: the documents of a file cut into pieces, and each piece given its place in a training instance.

best_fit: best-fit-decreasing (arXiv 2404.10830), as OLMo-core's NumpyPackedFSLDataset packs; no document that fits is
cut. concatenate: one after the other, cut where an instance ends. bucket: pieces of power-of-two lengths,
each in files of its own (arXiv 2405.13226), as OLMo-core's NumpyVSLDataset cuts documents.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from dolma_pipeline import _native
from dolma_pipeline.config.recipe import Pack
from dolma_pipeline.tokens.shard import Order

Integers = NDArray[np.int64]


@dataclass(frozen=True)
class Pieces:
    """Parts of documents, in the order of these: whose they are, their first token there, and how many they have."""

    documents: Integers
    starts: Integers
    lengths: Integers

    def __len__(self) -> int:
        return len(self.documents)

    def select(self, chosen: NDArray[np.bool_]) -> Pieces:
        return Pieces(self.documents[chosen], self.starts[chosen], self.lengths[chosen])


@dataclass(frozen=True)
class Layout:
    """A file of instances of one length: instance i is its tokens i * length ... (i + 1) * length - 1."""

    length: int
    instances: int
    pieces: Pieces
    places: Integers
    """Where each piece begins in the file, in tokens; those of an instance follow one another from its beginning."""

    @property
    def tokens(self) -> int:
        """Tokens of the file, padding included."""
        return self.instances * self.length

    @property
    def padding(self) -> int:
        return self.tokens - int(self.pieces.lengths.sum())

    def fill(self) -> Integers:
        """Tokens of documents in each instance; padding comes after them."""
        # Exact: a sum of lengths is far below 2^53.
        found = np.bincount(self.places // self.length, weights=self.pieces.lengths, minlength=self.instances)
        return found.astype(np.int64)


def lay_out(lengths: Integers, keys: NDArray[np.uint64], pack: Pack, order: Order) -> list[Layout]:
    """The files of documents of these lengths, by length of instance; empty ones are left out.

    `keys`: the place of each document in a shuffle. Its instances are shuffled anew, by a hash of the key of their
    longest piece: by their first document, those of many short documents would come first, by their longest those of
    few (of equally long ones the first are filled first), and those of a long document would stand in a row.
    """
    if pack.by == "concatenate":
        layouts = [_concatenate(lengths, pack.length)]
    elif pack.by == "bucket":
        layouts = _buckets(lengths, keys, pack, order)
    else:
        layouts = [_best_fit(_whole(lengths, pack), keys, pack.length, order)]
    return [layout for layout in layouts if layout.instances]


def kept_tokens(lengths: Integers, pack: Pack) -> Integers:
    """Tokens of each document that have a place in an instance."""
    if pack.by == "best_fit" and pack.long_documents == "truncate":
        return np.minimum(lengths, pack.length)
    if pack.by == "bucket" and pack.rest == "drop":
        return lengths // pack.min_length * pack.min_length
    return lengths


def packed_tokens(lengths: Integers, pack: Pack) -> int:
    """Tokens of the files of documents of these lengths, padding included."""
    if pack.by == "best_fit":
        return len(_pack(_whole(lengths, pack).lengths, pack.length)[2]) * pack.length
    if pack.by == "concatenate":
        return -(-int(lengths.sum()) // pack.length) * pack.length
    kept = kept_tokens(lengths, pack)
    return int((-(-kept // pack.min_length) * pack.min_length).sum())


def _whole(lengths: Integers, pack: Pack) -> Pieces:
    """Documents that fit as they are; longer ones in pieces of `length` and a rest, or their heads."""
    if pack.long_documents == "truncate":
        documents = np.arange(len(lengths), dtype=np.int64)
        return Pieces(documents, np.zeros_like(lengths), np.minimum(lengths, pack.length))
    count = -(-lengths // pack.length)
    documents = np.repeat(np.arange(len(lengths), dtype=np.int64), count)
    starts = (np.arange(len(documents), dtype=np.int64) - np.repeat(np.cumsum(count) - count, count)) * pack.length
    return Pieces(documents, starts, np.minimum(pack.length, lengths[documents] - starts))


def _pack(lengths: Integers, capacity: int) -> tuple[Integers, Integers, Integers]:
    instances, offsets, openers = _native.pack_best_fit(pa.array(lengths), capacity)
    return instances.to_numpy(), offsets.to_numpy(), openers.to_numpy()


def _best_fit(pieces: Pieces, keys: NDArray[np.uint64], length: int, order: Order) -> Layout:
    instances, offsets, openers = _pack(pieces.lengths, length)
    rank = _ranks(pieces, openers, keys, order)
    return Layout(length, len(openers), pieces, rank[instances] * length + offsets)


def _concatenate(lengths: Integers, length: int) -> Layout:
    ends = np.cumsum(lengths)
    total = int(ends[-1]) if len(ends) else 0
    # Sorted and each once: a tenth of the time of union1d, which hashes.
    places = np.sort(np.concatenate([ends - lengths, np.arange(0, total, length, dtype=np.int64)]))
    places = places[np.diff(places, prepend=-1) > 0]
    documents = np.searchsorted(ends, places, side="right").astype(np.int64)
    pieces = Pieces(documents, places - (ends - lengths)[documents], np.diff(places, append=total))
    return Layout(length, -(-total // length), pieces, places)


def _buckets(lengths: Integers, keys: NDArray[np.uint64], pack: Pack, order: Order) -> list[Layout]:
    sizes = [pack.length]
    while sizes[-1] > pack.min_length:
        sizes.append(sizes[-1] // 2)
    # How many pieces of each size a document (a row) has, and in the last column the rest.
    count = np.zeros((len(lengths), len(sizes) + 1), dtype=np.int32)
    count[:, 0] = lengths // pack.length
    for i, size in enumerate(sizes[1:], 1):
        count[:, i] = lengths // size % 2
    rest = lengths % pack.min_length
    if pack.rest == "pad":
        count[:, -1] = rest > 0
    documents, columns = np.nonzero(count)
    times = count[documents, columns]
    documents, columns = np.repeat(documents, times), np.repeat(columns, times)
    tokens = np.array([*sizes, 0])[columns]
    last = columns == len(sizes)
    tokens[last] = rest[documents[last]]
    kept = kept_tokens(lengths, pack)
    pieces = Pieces(documents, np.cumsum(tokens) - tokens - (np.cumsum(kept) - kept)[documents], tokens)
    columns[last] = len(sizes) - 1
    layouts = []
    for i, size in enumerate(sizes):
        mine = pieces.select(columns == i)
        rank = _ranks(mine, np.arange(len(mine), dtype=np.int64), keys, order)
        layouts.append(Layout(size, len(mine), mine, rank * size))
    return layouts[::-1]


def _ranks(pieces: Pieces, openers: Integers, keys: NDArray[np.uint64], order: Order) -> Integers:
    """The place of each instance among the instances, by the piece that opened it."""
    if order == "input":
        sequence = np.argsort(openers, kind="stable")
    else:
        # Equal keys by place, so that the order is total.
        sequence = np.lexsort((openers, _piece_keys(pieces, keys)[openers]))
    rank = np.empty(len(openers), dtype=np.int64)
    rank[sequence] = np.arange(len(openers), dtype=np.int64)
    return rank


def _piece_keys(pieces: Pieces, keys: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The key of the document, mixed with the place of the piece in it (splitmix64)."""
    mixed: NDArray[np.uint64] = keys[pieces.documents] + pieces.starts.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        mixed = (mixed ^ (mixed >> np.uint64(shift))) * np.uint64(factor)
    mixed ^= mixed >> np.uint64(31)
    return mixed
