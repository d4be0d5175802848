"""What a run says aloud of its filter and its keys, once all partitions are reduced."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from dolma_pipeline import _native
from dolma_pipeline.config.recipe import Bloom, Dedupe

NEARLY_ALL = 0.9
"""Share of the input's keys that are marked, from which a filter that was loaded is doubted."""
NEARLY_FULL = 0.9
"""Share of the keys planned for, from which a filter that grows from run to run is reported."""
OVERFULL = 1.25
"""Times the rate asked for: less is the spread of hashes over partitions."""


def reduce_warnings(dedupe: Dedupe, partitions: Iterable[Mapping[str, Any]], files: int) -> list[str]:
    """Returns the warnings of a stage whose partitions were reduced with these `details`; `files`: number of shards."""
    details = list(partitions)
    if not details:
        return []
    if not sum(d["keys"] for d in details):
        return [_nothing_to_compare(dedupe, files)]
    if dedupe.bloom is None:
        return []
    return [*_nearly_all_marked(dedupe, dedupe.bloom, details), *_too_full(dedupe, dedupe.bloom, details)]


def _nothing_to_compare(dedupe: Dedupe, files: int) -> str:
    what = f"string at `{dedupe.documents.key}`" if dedupe.documents is not None else "paragraph"
    return (
        f"dedupe `{dedupe.name}`: nothing was compared: no document of {files} files has a {what} of "
        f"at least {dedupe.min_length} code points and {dedupe.min_words} words"
    )


def _nearly_all_marked(dedupe: Dedupe, bloom: Bloom, details: list[Mapping[str, Any]]) -> list[str]:
    loaded = sum(d["loaded"] for d in details)
    keys, marked = sum(d["keys"] for d in details), sum(d["duplicates"] for d in details)
    if not loaded or marked < NEARLY_ALL * keys:
        return []
    items = "documents" if dedupe.documents is not None else "paragraphs"
    if dedupe.paragraphs is not None and dedupe.paragraphs.ngrams is not None:
        items = "n-grams"
    return [
        f"dedupe `{dedupe.name}`: {marked:,d} of {keys:,d} {items} ({marked / keys:.1%}) are marked as seen before, "
        f"and the filter {bloom.file} held {loaded:,d} keys when it was loaded: if it was made of these same texts, "
        f"they are marked as duplicates of themselves; name another file, or remove this one, to mark only what repeats"
    ]


def _too_full(dedupe: Dedupe, bloom: Bloom, details: list[Mapping[str, Any]]) -> list[str]:
    held, capacity, loaded = (sum(d[name] for d in details) for name in ("held", "capacity", "loaded"))
    rate = sum(d["false_positive_rate"] * d["filter_bytes"] for d in details) / sum(d["filter_bytes"] for d in details)
    where = f"dedupe `{dedupe.name}`: the filter holds {held:,d} keys"
    planned = f"it was planned for {capacity:,d} at {bloom.false_positive_rate:g}"
    if held > capacity and rate > OVERFULL * bloom.false_positive_rate:
        needed = _native.bloom_plan(bloom.false_positive_rate)[1]
        size = int(held / needed * 64) + 64 * dedupe.partitions
        return [
            f"{where}, {planned}: a share of {rate:.2g} of new keys is taken for duplicates; "
            f"build it anew with `estimated_keys: {held}` or `size_in_bytes: {size}` at least"
        ]
    # A filter that is made in one run, to be read by others, may be as full as it was planned. One that was loaded and
    # added to grows.
    if loaded and bloom.file is not None and not bloom.read_only and held > NEARLY_FULL * capacity:
        return [f"{where}, {planned}: another run will overfill it; `estimated_keys` is to count the keys of all runs"]
    return []
