"""One partition of the key space: the keys of all shards against a Bloom filter or an exact set."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from dolma_pipeline import _native
from dolma_pipeline.config.recipe import Bloom, Dedupe
from dolma_pipeline.dedupe.filter_keys import FilterKeys, encode, joined, keys_of, left_out, mismatch, read_filter
from dolma_pipeline.dedupe.filters import filter_to_load, part_of
from dolma_pipeline.engine.file_list import read_list
from dolma_pipeline.engine.task import Context, Output, Report
from dolma_pipeline.errors import StageError


class ReducePartition(Struct, frozen=True, kw_only=True):
    """Which keys of `partition` were there before, in the order of `keys`."""

    dedupe: Dedupe
    keys: str
    """The list of the key files of all shards, in the order in which the first of two duplicates stays."""
    partition: int
    verdicts: str
    """The file to write; a filter that is kept leaves its partition beside it (see filters.part_of)."""
    before: str
    """Where a filter that is kept is found as it was before the run (see filters.filter_to_load)."""


def reduce_partition(config: ReducePartition, context: Context) -> Report:
    """Writes the verdicts; details: keys, duplicates and, of a filter, its size, fill and false-positive rate.

    Memory: 17 to 34 bytes per distinct key of the partition in an exact set; a filter's bytes as `filters.filter_bytes`
    tells them; and an eighth of a byte per key.
    """
    bloom = config.dedupe.bloom
    report = Report()
    options = _filter_options(config, bloom, report) if bloom is not None else {}
    stats = _native.reduce_keys(read_list(config.keys), config.partition, config.verdicts, **options)
    size, digest = stats.pop("verdicts")
    report.outputs.append(Output(path=config.verdicts, bytes=size, blake3=digest))
    report.details = stats
    saved = stats.pop("saved", None)
    if saved is not None:
        report.outputs.append(Output(path=options["save"], bytes=saved[0], blake3=saved[1]))
    return report


def _filter_options(config: ReducePartition, bloom: Bloom, report: Report) -> dict[str, Any]:
    load = filter_to_load(bloom, config.before)
    if bloom.read_only and load is None:
        raise StageError(
            f"dedupe `{config.dedupe.name}`: expected a filter to compare with at {bloom.file or '`bloom.file`'}, "
            "found none; a run over the texts to look for, without `read_only`, writes it"
        )
    keys = keys_of(config.dedupe)
    if load is not None:
        found = read_filter(load)
        problem = mismatch(config.dedupe, found)
        if problem is not None:
            raise StageError(f"dedupe `{config.dedupe.name}`: {bloom.file}: {problem}")
        report.warnings.extend(_of_the_filter(config.dedupe, bloom, keys, found.keys))
        keys = joined(keys, found.keys)
    return {
        "false_positive_rate": bloom.false_positive_rate,
        "size_in_bytes": bloom.size_in_bytes,
        "estimated_keys": bloom.estimated_keys,
        "load": load,
        "save": part_of(config.verdicts) if bloom.file is not None and not bloom.read_only else None,
        "keys": encode(keys),
        "read_only": bloom.read_only,
    }


def _of_the_filter(dedupe: Dedupe, bloom: Bloom, mine: FilterKeys, loaded: FilterKeys) -> list[str]:
    """Returns warnings about settings that differ from those of the filter that was loaded, and change no key."""
    where = f"dedupe `{dedupe.name}`: the filter {bloom.file}"
    warnings = []
    lacks = left_out(mine, loaded)
    if lacks:
        warnings.append(
            f"{where} was made with {', '.join(lacks)}: it lacks the items that this left out, and none of them is "
            f"marked because of it"
        )
    if mine.false_positive_rate < loaded.false_positive_rate:
        warnings.append(
            f"{where} was planned for a false-positive rate of {loaded.false_positive_rate:g}: the "
            f"{mine.false_positive_rate:g} of this run has no effect on a filter that is loaded"
        )
    return warnings
