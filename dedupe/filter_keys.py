"""What the keys of a saved Bloom filter are, so that no filter is asked about keys of another kind.

A filter answers every question, also one about keys that it could never hold: paragraphs asked of a filter of
documents, or 8-grams of one of 13-grams, are simply never seen before. Each filter file therefore says what its keys
are, and a stage that loads one compares that with the keys it makes itself.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from dolma_pipeline import _native
from dolma_pipeline.config.recipe import Bloom, Dedupe
from dolma_pipeline.errors import DataError

SCHEME = 1
"""Version of how items are cut and hashed: raised when the same settings give other keys."""


class FilterKeys(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The description that a filter file carries."""

    items: Literal["documents", "paragraphs", "ngrams"]
    field: str
    """Dotted path of the field that was compared."""
    normalisation: str = "none"
    separator: str | None = None
    """The string between paragraphs."""
    ngram_length: int | None = None
    ngram_stride: int | None = None
    skip_short_paragraphs: bool | None = None
    """Whether a paragraph of fewer than two n-grams has no key as a whole."""
    hash: str = "xxh3_128"
    scheme: int = SCHEME
    skip_empty: bool = False
    """Together with `min_length` and `min_words`: the filter has every item of its texts that meets all three. They
    choose items and change no key, so another setting is allowed, and said where it matters."""
    min_length: int = 0
    min_words: int = 0
    false_positive_rate: float
    """The rate that the filter was planned for."""


CHOICE = ("skip_empty", "min_length", "min_words")
"""Fields that choose which items have a key."""
NAMES = {
    "items": "items",
    "field": "field",
    "normalisation": "normalisation",
    "separator": "paragraph separator",
    "ngram_length": "n-gram length",
    "ngram_stride": "n-gram stride",
    "skip_short_paragraphs": "skip_short_paragraphs",
    "hash": "hash",
    "scheme": "version of the keys",
}
"""Fields that decide which key an item has, as messages call them."""


class FilterFile(Struct, frozen=True, kw_only=True):
    """What is known of a filter file without reading its bits."""

    keys: FilterKeys
    partitions: int
    held: int
    """Number of keys in it."""


def keys_of(dedupe: Dedupe) -> FilterKeys:
    """Returns the description of the keys that `dedupe` makes."""
    bloom = dedupe.bloom if dedupe.bloom is not None else Bloom()
    common: dict[str, Any] = {name: getattr(dedupe, name) for name in CHOICE}
    common["false_positive_rate"] = bloom.false_positive_rate
    if dedupe.paragraphs is None:
        field = dedupe.documents.key.removeprefix("$.") if dedupe.documents is not None else "text"
        return FilterKeys(items="documents", field=field, **common)
    separator, ngrams = dedupe.paragraphs.separator, dedupe.paragraphs.ngrams
    if ngrams is None:
        return FilterKeys(items="paragraphs", field="text", separator=separator, **common)
    return FilterKeys(
        items="ngrams",
        field="text",
        separator=separator,
        ngram_length=ngrams.length,
        # A stride of 0 takes every n-gram, as 1 does.
        ngram_stride=max(1, ngrams.stride),
        skip_short_paragraphs=ngrams.skip_short_paragraphs,
        **common,
    )


def encode(keys: FilterKeys) -> str:
    return msgspec.json.encode(keys).decode()


def read_filter(path: str | Path) -> FilterFile:
    """Reads what a filter file says of itself. Raises DataError if it is no filter file of this version."""
    found = _native.describe_filter(str(path))
    try:
        keys = msgspec.json.decode(found["keys"], type=FilterKeys)
    except msgspec.DecodeError as error:
        raise DataError(
            f"{path}: expected a description of the filter's keys that this version knows: {error}"
        ) from None
    return FilterFile(keys=keys, partitions=found["partitions"], held=found["held"])


def mismatch(dedupe: Dedupe, found: FilterFile) -> str | None:
    """Returns what keeps `dedupe` from using a filter, as one sentence, or None if nothing does."""
    different = differences(keys_of(dedupe), found.keys)
    if different:
        return (
            f"the filter holds other keys than this stage makes: {'; '.join(different)}; name another file for these "
            f"keys, or use the settings that the filter was made with"
        )
    if found.partitions != dedupe.partitions:
        return (
            f"expected a filter of {dedupe.partitions} partitions, found one of {found.partitions}; set the number of "
            f"partitions to {found.partitions}, or name another file"
        )
    return None


def differences(expected: FilterKeys, found: FilterKeys) -> list[str]:
    """Returns `NAME: expected X, found Y` for each field that gives an item another key."""
    different = []
    for name, shown in NAMES.items():
        mine, theirs = getattr(expected, name), getattr(found, name)
        # Between paragraphs and documents a separator is no difference of its own.
        if mine != theirs and (expected.items == found.items or None not in (mine, theirs)):
            different.append(f"{shown}: expected {json.dumps(mine)}, found {json.dumps(theirs)}")
    return different


def joined(mine: FilterKeys, loaded: FilterKeys) -> FilterKeys:
    """Returns the description of a filter with the keys of both: it lacks the items that either left out."""
    return replace(
        mine,
        skip_empty=mine.skip_empty or loaded.skip_empty,
        min_length=max(mine.min_length, loaded.min_length),
        min_words=max(mine.min_words, loaded.min_words),
        false_positive_rate=loaded.false_positive_rate,
    )


def left_out(mine: FilterKeys, loaded: FilterKeys) -> list[str]:
    """Returns `NAME X (here Y)` for each rule by which the filter lacks items that `mine` looks for."""
    return [
        f"{name} {json.dumps(getattr(loaded, name))} (here {json.dumps(getattr(mine, name))})"
        for name in CHOICE
        if getattr(loaded, name) > getattr(mine, name)
    ]
