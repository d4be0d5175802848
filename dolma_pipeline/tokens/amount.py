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


class PackedAmount(Struct, frozen=True, kw_only=True):
    """What packing made of documents."""

    instances: int = 0
    padding: int = 0
    """Tokens of instances that are of no document."""
    fragmented: int = 0
    """Documents in more than one piece."""
    truncated: int = 0
    """Documents of which not all tokens were packed, and how many were not."""
    dropped_tokens: int = 0

    def __add__(self, other: PackedAmount) -> PackedAmount:
        return PackedAmount(**{f: getattr(self, f) + getattr(other, f) for f in PackedAmount.__struct_fields__})


def total(amounts: Iterable[Amount]) -> Amount:
    """Their sum."""
    summed = Amount()
    for amount in amounts:
        summed.add(amount)
    return summed
