"""What the parts of a recipe have in common: they are immutable and strict, and some share types of values."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from msgspec import Meta, Struct

AttributeFormat: TypeAlias = Literal["parquet", "jsonl.zst", "jsonl.gz", "jsonl"]
DocumentFormat: TypeAlias = Literal["jsonl.zst", "jsonl.gz", "jsonl", "parquet"]
PositiveInt: TypeAlias = Annotated[int, Meta(ge=1)]
Fraction: TypeAlias = Annotated[float, Meta(ge=0.0, le=1.0)]


class Base(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """Every part of a recipe: immutable, and strict about its keys."""
