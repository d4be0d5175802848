"""How much of something there is, counted the same way from a shard to the manifest."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct


class Amount(Struct, kw_only=True):
    """Documents with tokens, their tokens (BOS and EOS included), and the UTF-8 bytes of their stripped texts."""

    documents: int = 0
    tokens: int = 0
    text_bytes: int = 0

    def add(self, other: Amount) -> None:
        self.documents += other.documents
        self.tokens += other.tokens
        self.text_bytes += other.text_bytes


def total(amounts: Iterable[Amount]) -> Amount:
    """Their sum."""
    summed = Amount()
    for amount in amounts:
        summed.add(amount)
    return summed
