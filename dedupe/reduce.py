"""One partition of the key space: the keys of all shards against a Bloom filter or an exact set."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from dolma_pipeline import _native
from dolma_pipeline.dedupe.filters import filter_to_load, part_of
from dolma_pipeline.errors import StageError
from dolma_pipeline.recipe import Bloom, Dedupe
from dolma_pipeline.task import Context, Output, Report

NEARLY_FULL = 0.9
"""Share of the keys planned for, from which a filter that is kept is reported."""
OVERFULL = 1.25
"""Times the rate asked for: less is the spread of hashes over partitions."""


class ReducePartition(Struct, frozen=True, kw_only=True):
    """Which keys of `partition` were there before, in the order of `keys`."""

    dedupe: Dedupe
    keys: list[str]
    """Key files of all shards, in the order in which the first of two duplicates stays."""
    partition: int
    verdicts: str
    """The file to write; a filter that is kept leaves its partition beside it (see filters.part_of)."""
    total_keys: int
    """Of all shards and partitions. A filter is sized by the exact count of this partition's."""


def reduce_partition(config: ReducePartition, context: Context) -> Report:
    """Writes the verdicts; details: keys, duplicates and, of a filter, its size, fill and false-positive rate.

    Memory: 17 to 34 bytes per distinct key of the partition in an exact set; a filter's bytes as `filters.filter_bytes`
    tells them; and an eighth of a byte per key.
    """
    bloom = config.dedupe.bloom
    options = _filter_options(config, bloom) if bloom is not None else {}
    stats = _native.reduce_keys(config.keys, config.partition, config.verdicts, **options)
    size, digest = stats.pop("verdicts")
    report = Report(outputs=[Output(path=config.verdicts, bytes=size, blake3=digest)], details=stats)
    saved = stats.pop("saved", None)
    if saved is not None:
        report.outputs.append(Output(path=options["save"], bytes=saved[0], blake3=saved[1]))
    # By the hash all partitions are alike: one of them speaks.
    if config.partition == 0:
        report.warnings.extend(_nothing_to_compare(config))
        if bloom is not None:
            report.warnings.extend(_too_full(config, bloom, stats))
    return report


def _filter_options(config: ReducePartition, bloom: Bloom) -> dict[str, Any]:
    load = filter_to_load(bloom, config.verdicts)
    if bloom.read_only and load is None:
        raise StageError(
            f"dedupe `{config.dedupe.name}`: expected a filter to compare with at {bloom.file or '`bloom.file`'}, "
            "found none; a run over the texts to look for, without `read_only`, writes it"
        )
    return {
        "false_positive_rate": bloom.false_positive_rate,
        "size_in_bytes": bloom.size_in_bytes,
        "estimated_keys": bloom.estimated_keys,
        "load": load,
        "save": part_of(config.verdicts) if bloom.file is not None and not bloom.read_only else None,
        "read_only": bloom.read_only,
    }


def _nothing_to_compare(config: ReducePartition) -> list[str]:
    dedupe = config.dedupe
    if config.total_keys:
        return []
    what = f"string at `{dedupe.documents.key}`" if dedupe.documents is not None else "paragraph"
    return [
        f"dedupe `{dedupe.name}`: nothing was compared: no document of {len(config.keys)} files has a {what} of "
        f"at least {dedupe.min_length} code points and {dedupe.min_words} words"
    ]


def _too_full(config: ReducePartition, bloom: Bloom, stats: dict[str, Any]) -> list[str]:
    held, capacity, rate = stats["held"], stats["capacity"], stats["false_positive_rate"]
    partitions = config.dedupe.partitions
    where = f"dedupe `{config.dedupe.name}`: the filter holds {held * partitions:,d} keys"
    planned = f"it was planned for {capacity * partitions:,d} at {bloom.false_positive_rate:g}"
    if held > capacity and rate > OVERFULL * bloom.false_positive_rate:
        needed = _native.bloom_plan(bloom.false_positive_rate)[1]
        size = int(held * partitions / needed * 64) + 64 * partitions
        return [
            f"{where}, {planned}: a share of {rate:.2g} of new keys is taken for duplicates; "
            f"build it anew with `estimated_keys: {held * partitions}` or `size_in_bytes: {size}` at least"
        ]
    if bloom.file is not None and not bloom.read_only and held > NEARLY_FULL * capacity:
        return [f"{where}, {planned}: another run will overfill it; `estimated_keys` is to count the keys of all runs"]
    return []
