"""dedupe: keys per shard, verdicts per partition of the key space, attributes per shard. Nothing is dropped here.

The partitions, and the order of the keys in each, depend on the recipe and the input alone; so do the verdicts.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
from msgspec import UNSET, Struct
from msgspec.structs import replace

from dolma_pipeline import _native
from dolma_pipeline.config.recipe import Dedupe
from dolma_pipeline.dedupe.filter_keys import differences, keys_of, mismatch, read_filter
from dolma_pipeline.dedupe.filters import MergeFilters, filter_to_load, part_of
from dolma_pipeline.dedupe.keys import KeyOp
from dolma_pipeline.dedupe.reduce import ReducePartition
from dolma_pipeline.dedupe.reduce_warnings import reduce_warnings
from dolma_pipeline.dedupe.verdicts import VerdictColumns
from dolma_pipeline.engine import pieces as of_pieces
from dolma_pipeline.engine.corpus import Shard
from dolma_pipeline.engine.file_list import FileList, read_list
from dolma_pipeline.engine.pieces import ROWS, Join, join_phases, pieces_phase
from dolma_pipeline.engine.shared_reading import FUSED_RUN
from dolma_pipeline.engine.stage import Builder, Op, Phase, ShardInput, ShardRead, StageInfo, State
from dolma_pipeline.engine.task import Context, Counts, Report, Task, make_task
from dolma_pipeline.errors import ConfigError, StageError
from dolma_pipeline.formats.attributes import AttributeWriter
from dolma_pipeline.formats.columns import takes_any_id
from dolma_pipeline.formats.documents import Documents
from dolma_pipeline.formats.other_texts import recorded
from dolma_pipeline.formats.parquet_errors import named
from dolma_pipeline.formats.piece import Piece
from dolma_pipeline.io import fs
from dolma_pipeline.io.arrow import open_parquet
from dolma_pipeline.io.url import local
from dolma_pipeline.report.units import counted
from dolma_pipeline.stages.near import plan_near

VERSION = 5
VERDICTS_VERSION = 6
"""Version of the attribute files alone."""
JOIN_VERSION = 1
"""Version of the tasks that join pieces."""


class KeyShard(ShardInput, frozen=True, kw_only=True):
    """Write the keys of a shard, and beside them which document each row is."""

    dedupe: Dedupe
    keys: str
    rows: str


class ExtractKeysStep(Op):
    def __init__(self, config: KeyShard, context: Context) -> None:
        self.config = config
        documents = config.dedupe.documents
        # An id that is no string is no key, and only the line says which ones are.
        there = ("text", "source") if takes_any_id(config.columns, config.path) else ("id", "text", "source")
        self.keep_raw = documents is not None and documents.key.removeprefix("$.") not in there
        self._of_texts = documents is None or documents.key.removeprefix("$.") == "text"
        self._keys = KeyOp(config.dedupe, config.keys)
        self._rows = AttributeWriter(config.rows)
        self._rows.of_piece = config.piece is not None

    def add(self, documents: Documents) -> None:
        self._keys.add(documents)
        columns = {"chars": _native.char_lengths(documents.text), "source": documents.source}
        # Keys of another field stay what they are when the text is edited.
        texts = documents.text if self._of_texts else None
        self._rows.write_rows(documents.id, columns, texts=texts)

    def finish(self, read: ShardRead) -> Report:
        written, details = self._keys.finish()
        return Report(outputs=[written, self._rows.finish()], details=details)

    def abort(self) -> None:
        self._keys.abort()
        self._rows.abort()


class VerdictShard(Struct, frozen=True, kw_only=True):
    """Turn the verdicts on a shard's keys into its attribute file."""

    dedupe: Dedupe
    source: str
    keys: str
    rows: str
    verdicts: str
    """The list of the verdict files of all partitions, in order."""
    shard_index: int
    """Place of the shard's key file in the order in which the partitions were reduced."""
    path: str
    any_id: bool = False
    """Whether ids may be any values."""
    piece: Piece | None = None
    """Which piece of a large shard it is; the file is then to be joined with those of the others."""
    warnings: list[str] = []
    """What is to be said of the whole stage, by the first of its shards."""


def write_verdicts(config: VerdictShard, context: Context) -> Report:
    # Dolma's rows say of a document that took no part, and of a text without duplicates, that there are none.
    lines = not config.path.endswith(".parquet")
    skipped = math.nan if lines else None
    verdicts = VerdictColumns(
        config.dedupe, config.keys, read_list(config.verdicts), config.shard_index, skipped=skipped
    )
    mode = config.dedupe.documents or config.dedupe.paragraphs
    key = mode.attribute if mode is not None else "duplicate"
    marked = 0
    writer = AttributeWriter(config.path, with_source=False, empty=lines, any_id=config.any_id)
    writer.record = recorded(config.rows)
    writer.of_piece = config.piece is not None
    count = 0
    try:
        for rows in _rows(config.rows):
            count += rows.num_rows
            column = verdicts.next_rows(rows.num_rows)
            marked += _marked(column)
            writer.write_rows(rows.column("id"), {key: column}, lengths=rows.column("chars"))
        if verdicts.rows_left:
            raise StageError(
                f"{config.rows}: expected a row for each document of {config.keys}, found {verdicts.rows_left} rows "
                f"less; remove both and run again"
            )
        written = writer.finish()
    except BaseException:
        writer.abort()
        raise
    details = {ROWS: count} if config.piece is not None else {}
    counts = {config.source: Counts(edited={key: marked})}
    return Report(outputs=[written], counts=counts, details=details, warnings=config.warnings)


def _rows(path: str) -> Iterator[pa.RecordBatch]:
    with named(path):
        file = open_parquet(path)
        if "chars" in file.schema_arrow.names:
            yield from file.iter_batches(batch_size=65_536)


def _marked(column: pa.Array) -> int:
    """Documents, or spans, that were seen before."""
    if pa.types.is_list(column.type):
        return len(column.flatten())
    return int(pc.sum(pc.equal(column, 1.0)).as_py() or 0)


def plan(builder: Builder, number: int, config: Dedupe) -> None:
    if config.minhash is not None:
        plan_near(builder, number, config, config.minhash)
        return
    if config.bloom is not None and config.bloom.file is not None:
        file = local(config.bloom.file)
        if fs.is_directory(file):
            where = f"$.stages[{number - 1}].dedupe.bloom.file"
            raise ConfigError(f"{where}: expected the file of a filter, found the directory `{file}`")
        config = replace(config, bloom=replace(config.bloom, file=str(file)))
    prefix = f"{number:02d}-{config.name}"
    keys, reduce, final = f"{prefix}-keys", f"{prefix}-reduce", prefix
    places, recipe = builder.places, builder.recipe
    # The first of two duplicates stays: a source of higher priority comes first.
    shards = sorted(builder.corpus.shards, key=lambda s: -recipe.sources[s.source].priority)
    files = {s.id: places.attributes(s, config.name, config.format) for s in shards}
    divided = {s.id: pieces for s in shards if (pieces := builder.pieces(s))}
    units = [(s, each) for s in shards for each in divided.get(s.id, [s])]
    """Each shard with its pieces, or with itself, in the order in which the first of two duplicates stays."""
    raw = builder.corpus.raw
    mode = config.documents or config.paragraphs
    for s in shards:
        builder.claim_attributes(s, files[s.id], f"$.stages[{number - 1}].dedupe.name", "another `name`")
    builder.corpus.attributes[config.name] = files
    builder.corpus.keys[config.name] = [mode.attribute if mode is not None else "duplicate"]

    def key_file(shard: Shard) -> str:
        return places.scratch(keys, shard, ".keys")

    def row_file(shard: Shard) -> str:
        return places.scratch(keys, shard, ".rows.parquet")

    def verdict_file(partition: int) -> str:
        return places.scratch_file(reduce, f"partition-{partition:05d}.verdicts")

    def file_list(name: str, files: Iterable[str]) -> FileList:
        return FileList(path=places.scratch_file(reduce, f"{name}.list"), files=tuple(files))

    before = f"{places.work_dir}/filters/{reduce}/before.filter"
    key_files = file_list("keys", (key_file(each) for _, each in units))
    verdict_files = file_list("verdicts", map(verdict_file, range(config.partitions)))
    filter_parts = file_list("filters", map(part_of, verdict_files.files))

    if config.bloom is not None and config.bloom.file is not None:
        _check_filter(builder, number, config, before)

    def build_keys(state: State) -> Iterator[Task]:
        return (
            make_task(
                phase=keys if s.piece is None else pieces_phase(keys),
                name=s.id,
                run=f"{__name__}:ExtractKeysStep",
                config=KeyShard(
                    source=s.source,
                    path=s.path,
                    columns=s.columns,
                    quarantine=places.quarantine(s) if raw else None,
                    piece=s.piece,
                    dedupe=config,
                    keys=key_file(s),
                    rows=row_file(s),
                ),
                inputs=(s.path,),
                version=VERSION,
                fuse=s.id,
                fused_run=FUSED_RUN,
            )
            for _, s in units
        )

    def build_reduce(state: State) -> list[Task]:
        bloom = config.bloom
        filter_file = bloom.file if bloom is not None else None
        loaded = (filter_file,) if filter_file is not None and fs.is_file(filter_file) else ()
        return [
            make_task(
                phase=reduce,
                name=f"partition-{p:05d}",
                run="dolma_pipeline.dedupe.reduce:reduce_partition",
                config=ReducePartition(
                    dedupe=config,
                    keys=key_files.path,
                    partition=p,
                    verdicts=verdict_file(p),
                    before=before,
                ),
                inputs=(key_files.path, *(loaded if bloom is not None and bloom.read_only else ())),
                version=VERSION,
            )
            for p in range(config.partitions)
        ]

    def build_verdicts(state: State) -> Iterator[Task]:
        reports = state.reports.get(reduce, {})
        warnings = reduce_warnings(config, [reports[name].details for name in sorted(reports)], len(shards))
        return (
            make_task(
                phase=final if s.piece is None else pieces_phase(final),
                name=s.id,
                run=f"{__name__}:write_verdicts",
                config=VerdictShard(
                    dedupe=config,
                    source=s.source,
                    keys=key_file(s),
                    rows=row_file(s),
                    verdicts=verdict_files.path,
                    shard_index=i,
                    path=files[whole.id]
                    if s.piece is None
                    else of_pieces.part_of(places, final, s, 0, files[whole.id]),
                    piece=s.piece,
                    any_id=takes_any_id(s.columns, s.path),
                    warnings=warnings if i == 0 else [],
                ),
                inputs=(key_file(s), row_file(s), verdict_files.path),
                version=VERDICTS_VERSION,
            )
            for i, (whole, s) in enumerate(units)
        )

    def build_filter(state: State) -> list[Task]:
        task = MergeFilters(dedupe=config, parts=filter_parts.path, before=before)
        return [
            make_task(
                phase=f"{prefix}-filter",
                name="filter",
                run="dolma_pipeline.dedupe.filters:merge_filters",
                config=task,
                inputs=(filter_parts.path,),
                version=VERSION,
            )
        ]

    large = [s for s in shards if s.id in divided]

    def join_keys(shard: Shard) -> Join:
        pieces = divided[shard.id]
        aside = {places.quarantine(p): places.quarantine(shard) for p in pieces} if raw else {}
        return Join(phase=keys, shard=shard, pieces=pieces, outputs=[], aside=aside, version=JOIN_VERSION)

    def join_verdicts(shard: Shard) -> Join:
        pieces, path = divided[shard.id], files[shard.id]
        return Join(phase=final, shard=shard, pieces=pieces, outputs=[path], aside={}, version=JOIN_VERSION)

    of_keys, keys_joined = join_phases(builder, keys, large, join_keys)
    of_verdicts, verdicts_joined = join_phases(builder, final, large, join_verdicts)
    if divided:
        builder.corpus.read_in_pieces = builder.corpus.read_in_pieces or pieces_phase(keys)
    kind = "a Bloom filter" if config.bloom is not None else "an exact set"
    partitions, read = counted(config.partitions, "partition"), counted(len(shards), "shard")
    after = [keys, *of_keys[:1]]
    later = [
        *keys_joined,
        Phase(id=reduce, what=f"{partitions} against {kind}", build=build_reduce, after=after, lists=[key_files]),
        Phase(
            id=final,
            what=f"mark duplicates in {read}",
            build=build_verdicts,
            after=[reduce],
            lists=[verdict_files],
            parts=[final, pieces_phase(final)],
        ),
        *verdicts_joined,
    ]
    joined_filter = []
    if config.bloom is not None and config.bloom.file is not None and not config.bloom.read_only:
        what = f"join the filters into {config.bloom.file}"
        joined_filter.append(f"{prefix}-filter")
        later.append(Phase(id=f"{prefix}-filter", what=what, build=build_filter, after=[reduce], lists=[filter_parts]))
    in_pieces = any(each.piece is not None for _, each in units)
    builder.add_op(keys, build_keys, later, pieces=pieces_phase(keys) if in_pieces else None)
    # Scratch files stay until the last of a stage's phases is done, which is that of the filter where there is one.
    phases = (*of_keys, *of_verdicts, keys, final, *joined_filter, reduce)
    builder.stages.append(StageInfo(id=prefix, kind="dedupe", counted=(keys, final), phases=phases))


def _check_filter(builder: Builder, number: int, config: Dedupe, before: str) -> None:
    """Raises ConfigError if the filter that the stage will load is known now, and holds other keys."""
    bloom = config.bloom
    if bloom is None or bloom.file is None:
        return
    where = f"$.stages[{number - 1}].dedupe.bloom.file: {bloom.file}"
    for earlier, stage in enumerate(builder.recipe.stages[: number - 1]):
        other = stage.dedupe
        if other is UNSET or other.bloom is None or other.bloom.file is None or other.bloom.read_only:
            continue
        if local(other.bloom.file) == Path(bloom.file):
            # The file is what that stage will make of it, whatever there is now.
            different = differences(keys_of(config), keys_of(other))
            if different:
                raise ConfigError(
                    f"{where}: `$.stages[{earlier}]` writes other keys into this filter than this stage makes: "
                    f"{'; '.join(different)}; name another file"
                )
            return
    load = filter_to_load(bloom, before)
    problem = mismatch(config, read_filter(load)) if load is not None else None
    if problem is not None:
        raise ConfigError(f"{where}: {problem}")
