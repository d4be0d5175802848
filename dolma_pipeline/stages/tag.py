"""tag: taggers measure, attribute files come out, nothing is dropped."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec
import pyarrow as pa

from dolma_pipeline.config.recipe import CustomTagger, Tag
from dolma_pipeline.engine.corpus import Shard, stem
from dolma_pipeline.engine.pieces import Join, join_phases, part_of, pieces_phase
from dolma_pipeline.engine.shared_reading import FUSED_RUN
from dolma_pipeline.engine.stage import Builder, Op, Report, ShardInput, ShardRead, StageInfo, State
from dolma_pipeline.engine.task import Context, Task, make_task
from dolma_pipeline.errors import ConfigError, StageError
from dolma_pipeline.formats.attributes import DOCUMENT, AttributeWriter
from dolma_pipeline.formats.columns import takes_any_id
from dolma_pipeline.formats.documents import BadLine, Documents
from dolma_pipeline.formats.kinds import Kind
from dolma_pipeline.formats.quarantine import Quarantine, room
from dolma_pipeline.mixers.computed import ComputedTags
from dolma_pipeline.mixers.keys import ANY
from dolma_pipeline.taggers.base import TaggerFailure
from dolma_pipeline.taggers.registry import attribute_key, load_taggers
from dolma_pipeline.taggers.tagger_set import TaggerSet, describe_failure

VERSION = 5
JOIN_VERSION = 1
"""Version of the task that joins pieces."""
FAILED = ("quarantine", "failed")
"""Tagger and attribute by which an attribute file marks the documents that were set aside."""


class TagShard(ShardInput, frozen=True, kw_only=True):
    """Taggers to run, and the attribute file each experiment's keys go to."""

    taggers: list[str | CustomTagger]
    modules: list[str]
    experiments: list[tuple[str, str, list[str]]]
    """(experiment, file, its taggers). Experiments with the same file share it."""
    failures: str | None = None
    """Where documents go on which a tagger fails; None: the run ends."""
    seed: int | None = None
    """Seed of the random numbers that a tagger draws, if it does."""
    name: str = ""
    """Path of the file below its source, without extensions: random numbers depend on it."""


class TagOp(Op):
    def __init__(self, config: TagShard, context: Context) -> None:
        self.config = config
        key = ("taggers", msgspec.json.encode(config.taggers), tuple(config.modules), config.seed)
        self._taggers = context.load(key, lambda: load_taggers(config.taggers, config.modules, seed=config.seed))
        failures, path = config.failures, config.path
        self._quarantine = Quarantine(failures, path, room(config.piece)) if failures is not None else None
        # A document that is set aside is so with its whole line.
        self.keep_raw = self._taggers.needs_raw or self._quarantine is not None
        self._failed = self._failed_bytes = 0
        loose = set(self._taggers.undeclared)
        in_file: dict[str, set[str]] = {}
        for _, path, names in config.experiments:
            in_file.setdefault(path, set()).update(names)
        any_id = takes_any_id(config.columns, config.path)
        self._writers = {
            path: AttributeWriter(path, declared=not loose & names, any_id=any_id) for path, names in in_file.items()
        }
        self._made = context.made
        self._made.update(dict.fromkeys(_columnar(in_file)))
        for writer in self._writers.values():
            writer.of_piece = config.piece is not None

    def add(self, documents: Documents) -> None:
        failed: dict[int, str] = {}
        documents = Documents(documents.records, self.config.name)
        if self._quarantine is None:
            try:
                columns = self._taggers.tag(documents)
            except TaggerFailure as failure:
                raise StageError(describe_failure(self._taggers, documents, failure, self.config.path)) from failure
        else:
            columns, failed = self._taggers.tag_some(documents)
            self._set_aside(documents, failed, self._quarantine)
        rows: dict[str, dict[str, pa.Array]] = {path: {} for path in self._writers}
        for experiment, path, names in self.config.experiments:
            mine = {attribute_key(experiment, t, a): c for (t, a), c in columns.items() if t in names}
            if self._quarantine is not None:
                marks = [1.0 if row in failed else None for row in range(len(documents))]
                mine[attribute_key(experiment, *FAILED)] = pa.array(marks, DOCUMENT)
            rows[path] |= mine
        for path, writer in self._writers.items():
            writer.write(documents, rows[path])
        self._made.update((path, rows[path]) for path in _columnar(rows))

    def _set_aside(self, documents: Documents, failed: dict[int, str], quarantine: Quarantine) -> None:
        if not failed:
            return
        rows = pa.array(sorted(failed), pa.int64())
        found = Documents(documents.records.take(rows))
        places = zip(found.line.to_pylist(), found.records.column("offset").to_pylist(), strict=True)
        raws = found.raw.to_pylist() if found.raw is not None else [b""] * len(rows)
        reasons = [failed[row] for row in sorted(failed)]
        quarantine.add([BadLine(*p, reason, raw) for p, reason, raw in zip(places, reasons, raws, strict=True)])
        self._failed += len(found)
        self._failed_bytes += found.text_bytes

    def finish(self, read: ShardRead) -> Report:
        outputs = [w.finish() for w in self._writers.values()]
        if self._quarantine is None:
            return Report(outputs=outputs)
        read.counts.quarantined += self._failed
        read.counts.documents_out -= self._failed
        read.counts.bytes_out -= self._failed_bytes
        outputs += self._quarantine.finish()
        return Report(outputs=outputs, bad=self._quarantine.found())

    def abort(self) -> None:
        for writer in self._writers.values():
            writer.abort()
        if self._quarantine is not None:
            self._quarantine.abort()


def _columnar(paths: Iterable[str]) -> list[str]:
    """Those of the attribute files `paths` that other tasks need not read while they are made.

    JSON lines keep a number as a span of the whole text, so that what is read of them differs from what was written.
    """
    return [path for path in paths if path.endswith(".parquet")]


def plan(builder: Builder, number: int, config: Tag) -> None:
    phase = f"{number:02d}-tag"
    where = f"$.stages[{number - 1}].tag"
    taggers = load_taggers(config.taggers, config.tagger_modules, where=where, seed=builder.recipe.seed)
    builder.need(taggers.files())
    groups = {config.experiment: config.names} if config.experiment else {t: [t] for t in config.names}
    if not config.keep:
        _plan_computed(builder, phase, config, taggers, groups)
        return
    aside = config.on_error == "quarantine"
    shards = list(builder.corpus.shards)
    files: dict[str, dict[str, str]] = {}
    for experiment in groups:
        files[experiment] = {s.id: builder.places.attributes(s, experiment, config.format) for s in shards}
        builder.corpus.keys[experiment] = [
            attribute_key(experiment, t, a) for t, a in taggers.attribute_names() if t in groups[experiment]
        ] + [f"{attribute_key(experiment, t, '')}{ANY}" for t in taggers.undeclared if t in groups[experiment]]
        builder.corpus.kinds[experiment] = _kinds(taggers, experiment, groups[experiment])
        if aside:
            builder.corpus.keys[experiment].append(attribute_key(experiment, *FAILED))
    if aside:
        # Any one of them has the marks.
        builder.corpus.failures.append(next(iter(groups)))
    for shard in shards:
        for path in dict.fromkeys(files[experiment][shard.id] for experiment in groups):
            builder.claim_attributes(shard, path, f"{where}.experiment", "another `experiment`")
    builder.corpus.attributes |= files
    # Attributes that a tagger tells only with its documents may be others in each piece.
    divided = {} if taggers.undeclared else {s.id: pieces for s in shards if (pieces := builder.pieces(s))}
    raw = builder.corpus.raw

    def made(shard: Shard) -> tuple[str, ...]:
        return tuple(dict.fromkeys(_columnar(files[e][shard.id] for e in groups)))

    def outputs(shard: Shard) -> list[str]:
        return list(dict.fromkeys(of[shard.id] for of in files.values()))

    def task(whole: Shard, shard: Shard) -> Task:
        place = {path: path for path in outputs(whole)}
        if shard.piece is not None:
            place = {path: part_of(builder.places, phase, shard, n, path) for n, path in enumerate(place)}
        step = TagShard(
            source=shard.source,
            path=shard.path,
            columns=shard.columns,
            quarantine=builder.places.quarantine(shard) if raw else None,
            piece=shard.piece,
            taggers=config.taggers,
            modules=config.tagger_modules,
            experiments=[(e, place[files[e][whole.id]], names) for e, names in groups.items()],
            failures=builder.places.failures(phase, shard) if aside else None,
            seed=builder.recipe.seed if taggers.uses_seed else None,
            name=stem(shard.name) if taggers.uses_seed else "",
        )
        return make_task(
            phase=phase if shard.piece is None else pieces_phase(phase),
            name=shard.id,
            run=f"{__name__}:TagOp",
            config=step,
            inputs=(shard.path, *taggers.files()),
            version=VERSION,
            fuse=shard.id,
            fused_run=FUSED_RUN,
            makes=made(shard) if shard.piece is None else (),
        )

    def build(state: State) -> Iterator[Task]:
        return (task(s, each) for s in shards for each in divided.get(s.id, [s]))

    def join(shard: Shard) -> Join:
        pieces, places = divided[shard.id], builder.places
        aside_of = {places.quarantine(p): places.quarantine(shard) for p in pieces} if raw else {}
        if aside:
            aside_of |= {places.failures(phase, p): places.failures(phase, shard) for p in pieces}
        return Join(
            phase=phase, shard=shard, pieces=pieces, outputs=outputs(shard), aside=aside_of, version=JOIN_VERSION
        )

    if divided:
        builder.corpus.read_in_pieces = pieces_phase(phase)
    phases, later = join_phases(builder, phase, [s for s in shards if s.id in divided], join)
    makes = [path for s in shards if s.id not in divided for path in made(s)]
    builder.add_op(phase, build, later, makes=makes, pieces=pieces_phase(phase) if divided else None)
    builder.stages.append(StageInfo(id=phase, kind="tag", counted=(phase,), phases=(*phases, phase)))


def _kinds(taggers: TaggerSet, experiment: str, names: list[str]) -> dict[str, Kind]:
    """Returns the kinds of what the taggers `names` declare, by key."""
    return {attribute_key(experiment, t, a): kind for (t, a), kind in taggers.attribute_kinds().items() if t in names}


def _plan_computed(builder: Builder, phase: str, config: Tag, taggers: TaggerSet, groups: dict[str, list[str]]) -> None:
    """Hands the taggers to the mix behind this stage, which accounts for both."""
    where = f"$.stages[{int(phase.partition('-')[0]) - 1}].tag"
    if taggers.undeclared:
        raise ConfigError(
            f"{where}.keep: expected taggers whose attributes are known before they run, found "
            f"`{taggers.undeclared[0]}`, which tells them only with its documents; remove `keep: false`"
        )
    for experiment, names in groups.items():
        builder.corpus.keys[experiment] = [
            attribute_key(experiment, t, a) for t, a in taggers.attribute_names() if t in names
        ]
        builder.corpus.kinds[experiment] = _kinds(taggers, experiment, names)
    builder.corpus.computed.append(
        ComputedTags(
            stage=phase,
            taggers=config.taggers,
            modules=config.tagger_modules,
            experiments=list(groups.items()),
            seed=builder.recipe.seed if taggers.uses_seed else None,
            files=list(taggers.files()),
        )
    )
    builder.stages.append(StageInfo(id=phase, kind="tag", counted=(), reading=True))
