"""Slow twins of packing: every instance is looked at for every piece, every token has its name."""

from __future__ import annotations

from collections.abc import Sequence

from dolma_pipeline.config.recipe import Pack

Piece = tuple[int, int, int]
"""A document, its first token in the piece, and the tokens of the piece."""


def best_fit(lengths: Sequence[int], capacity: int) -> list[int]:
    """The instance of each item: the longest first, into the fullest that has room, of these the one so for longest."""
    room: dict[int, tuple[int, int]] = {}
    found = [0] * len(lengths)
    opened = 0
    for turn, i in enumerate(sorted(range(len(lengths)), key=lambda i: -lengths[i])):
        fitting = [(r, since, n) for n, (r, since) in room.items() if r >= lengths[i]]
        left, _, instance = min(fitting, default=(capacity, 0, opened))
        opened += not fitting
        room[instance] = (left - lengths[i], turn)
        found[i] = instance
    return found


def piece_key(key: int, start: int) -> int:
    """splitmix64."""
    found = key + start * 0x9E3779B97F4A7C15 & 2**64 - 1
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        found = (found ^ found >> shift) * factor & 2**64 - 1
    return found ^ found >> 31


def pieces(length: int, pack: Pack) -> list[tuple[int, int]]:
    """(first token, tokens) of the pieces of a document; of `best_fit` and `bucket`."""
    found = []
    start = 0
    if pack.by == "best_fit" and pack.long_documents == "truncate":
        return [(0, min(length, pack.length))]
    while length - start >= pack.length:
        found.append((start, pack.length))
        start += pack.length
    if pack.by == "bucket":
        size = pack.length
        while size > pack.min_length:
            size //= 2
            if length - start >= size:
                found.append((start, size))
                start += size
        if pack.rest == "drop":
            return found
    return [*found, (start, length - start)] if length > start else found
