"""dedupe with `minhash`: keys per shard, links per partition, components in rounds, comparison, attributes per shard.

    ID-keys        per shard, in the shared reading: band keys           -> SHARD.keys, SHARD.rows.parquet
    ID-links       per partition of the keys: who shares a key           -> partition-N.links
    ID-large-N     per partition of the documents: half a round          -> partition-N.links
    ID-small-N     the other half; no tasks once nothing changes
    ID-components  per partition: the component of each document         -> partition-N.labels
    ID-texts       per shard, read again: tokens of documents with links -> SHARD.texts
    ID-verify      per partition of the components: what is a duplicate  -> partition-N.verdicts
    ID-account     once: what was found
    ID             per shard: attributes

A document is known by its place in the corpus: the number of documents before it in canonical order.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from dolma_pipeline.config.recipe import Dedupe
from dolma_pipeline.config.recipe_minhash import MinHash
from dolma_pipeline.dedupe.near_columns import KINDS, NearColumns, write_columns
from dolma_pipeline.dedupe.near_edges import LinkPartition, link_partition
from dolma_pipeline.dedupe.near_keys import NearKeysOp, NearKeysShard
from dolma_pipeline.dedupe.near_scheme import scheme_of
from dolma_pipeline.dedupe.near_texts import NearTexts, write_texts
from dolma_pipeline.dedupe.near_verify import VerifyPartition, verify_partition
from dolma_pipeline.engine import pieces as of_pieces
from dolma_pipeline.engine.corpus import Shard
from dolma_pipeline.engine.pieces import Join, join_phases, pieces_phase
from dolma_pipeline.engine.shared_reading import FUSED_RUN
from dolma_pipeline.engine.stage import Builder, Phase, StageInfo, State
from dolma_pipeline.engine.task import Task, make_task
from dolma_pipeline.errors import ConfigError
from dolma_pipeline.formats.columns import takes_any_id
from dolma_pipeline.mixers.attribute_files import MixInput
from dolma_pipeline.report.units import counted
from dolma_pipeline.stages.near_account import Account, details_of, tell, warnings_of
from dolma_pipeline.stages.near_rounds import build_components, halves, last, link_list, round_phases
from dolma_pipeline.stages.near_units import VERSION, Near

JOIN_VERSION = 1
"""Version of the tasks that join pieces."""


def build_keys(near: Near, state: State) -> Iterator[Task]:
    return (
        make_task(
            phase=near.phase_of(near.keys, u),
            name=u.shard.id,
            run=NearKeysOp,
            config=NearKeysShard(
                source=u.shard.source,
                path=u.shard.path,
                columns=u.shard.columns,
                quarantine=near.places.quarantine(u.shard) if near.raw else None,
                piece=u.shard.piece,
                hashing=near.hashing,
                partitions=near.partitions,
                min_length=near.config.min_length,
                keys=near.file(near.keys, u, ".keys"),
                ids=near.file(near.keys, u, ".rows.parquet"),
            ),
            inputs=(u.shard.path,),
            version=VERSION,
            fuse=u.shard.id,
            fused_run=FUSED_RUN,
        )
        for u in near.units
    )


def build_links(near: Near, state: State) -> list[Task]:
    space, header = near.space(state), near.hashing.header() | {"partitions": near.partitions}

    def config(partition: int) -> LinkPartition:
        out = near.part(near.links, partition, "links")
        return LinkPartition(keys=near.key_files.path, header=header, space=space, partition=partition, links=out)

    return near.each(near.links, link_partition, config, near.key_files.path)


def build_texts(near: Near, state: State) -> Iterator[Task]:
    space = near.space(state)
    starts: dict[str, int] = {}
    for unit, place in near.located(state):
        s = unit.shard
        before = starts.setdefault(unit.whole.id, place.first)
        attributes = near.scores.files(unit.whole)
        read = MixInput(
            source=s.source,
            path=s.path,
            label=s.label,
            attributes=attributes,
            columns=s.columns,
            quarantine=near.places.quarantine(s) if near.raw else None,
            piece=s.piece,
            first_row=place.first - before,
        )
        config = NearTexts(
            read=read,
            labels=near.label_files.path,
            space=space,
            first=place.first,
            documents=place.documents,
            priority=near.builder.recipe.sources[s.source].priority,
            unit=near.minhash.unit,
            keep=near.keep,
            names=near.scores.names,
            out=near.file(near.texts, unit, ".texts"),
        )
        inputs = (s.path, near.label_files.path, *attributes.values())
        yield near.task(near.texts, s.id, write_texts, config, *inputs)


def build_verify(near: Near, state: State) -> list[Task]:
    space = near.space(state)

    def config(partition: int) -> VerifyPartition:
        return VerifyPartition(
            texts=near.text_files.path,
            space=space,
            partition=partition,
            verify=near.minhash.verify,
            keep=near.keep,
            large=near.minhash.large_cluster,
            out=near.part(near.verify, partition, "verdicts"),
        )

    return near.each(near.verify, verify_partition, config, near.text_files.path)


def build_columns(near: Near, state: State) -> Iterator[Task]:
    space = near.space(state)
    for unit, place in near.located(state):
        s, path = unit.shard, near.files[unit.whole.id]
        ids = near.file(near.keys, unit, ".rows.parquet")
        config = NearColumns(
            source=s.source,
            ids=ids,
            verdicts=near.verdict_files.path,
            space=space,
            first=place.first,
            documents=place.documents,
            path=path if s.piece is None else of_pieces.part_of(near.places, near.id, s, 0, path),
            any_id=takes_any_id(s.columns, s.path),
            piece=s.piece,
        )
        yield near.task(near.phase_of(near.id, unit), s.id, write_columns, config, ids, near.verdict_files.path)


def build_account(near: Near, state: State) -> list[Task]:
    documents: dict[str, int] = {}
    without = 0
    for unit in near.units:
        found = near.report(near.keys, unit, state).details
        documents[unit.whole.source] = documents.get(unit.whole.source, 0) + found["documents"]
        without += found["without_text"]
    verified, name = near.reported(near.verify, state), near.config.name
    details = details_of(
        name,
        near.scheme,
        documents=documents,
        without_text=without,
        links=near.reported(near.links, state),
        rounds=sum(bool(state.reports.get(phase)) for phase, star, _ in halves(near) if star == "small"),
        verified=verified,
    )
    texts = near.reported(near.texts, state)
    warnings = warnings_of(name, near.keep, documents=documents, without_text=without, verified=verified, texts=texts)
    return [near.task(near.account, "account", tell, Account(details=details, warnings=warnings))]


def plan_near(builder: Builder, number: int, config: Dedupe, minhash: MinHash) -> None:
    scheme = scheme_of(minhash)
    where = f"$.stages[{number - 1}].dedupe"
    if scheme is None:
        raise ConfigError(f"{where}.minhash: expected bands and rows, found none")
    near = Near(builder, number, config, minhash, scheme)
    for s in near.shards:
        builder.claim_attributes(s, near.files[s.id], f"{where}.name", "another `name`")
    builder.corpus.attributes[config.name] = near.files
    builder.corpus.keys[config.name] = list(KINDS)
    builder.corpus.kinds[config.name] = dict(KINDS)
    _add(near)


def _add(near: Near) -> None:
    """Adds the phases of a stage."""
    builder, places, raw = near.builder, near.places, near.raw
    large = [s for s in near.shards if s.id in near.divided]

    def join_keys(shard: Shard) -> Join:
        pieces = near.divided[shard.id]
        aside = {places.quarantine(p): places.quarantine(shard) for p in pieces} if raw else {}
        return Join(phase=near.keys, shard=shard, pieces=pieces, outputs=[], aside=aside, version=JOIN_VERSION)

    def join_columns(shard: Shard) -> Join:
        pieces, path = near.divided[shard.id], near.files[shard.id]
        return Join(phase=near.id, shard=shard, pieces=pieces, outputs=[path], aside={}, version=JOIN_VERSION)

    of_keys, keys_joined = join_phases(builder, near.keys, large, join_keys)
    of_columns, columns_joined = join_phases(builder, near.id, large, join_columns)
    if near.divided:
        builder.corpus.read_in_pieces = builder.corpus.read_in_pieces or pieces_phase(near.keys)
    partitions, read = counted(near.partitions, "partition"), counted(len(near.shards), "shard")
    read_again = [near.keys, *of_keys[:1]]
    rounds = [phase for phase, _, _ in halves(near)]
    scheme = near.scheme
    later = [
        *keys_joined,
        Phase(
            id=near.links,
            what=f"link what shares one of {scheme}, in {partitions}; found by similarity: {scheme.curve()}",
            build=partial(build_links, near),
            after=read_again,
            lists=[near.key_files],
        ),
        *round_phases(near),
        Phase(
            id=near.components,
            what=f"join links in one task, or in rounds over {partitions} if they take more than `memory`",
            build=partial(build_components, near),
            after=[*rounds, *read_again, near.links],
            later_lists=lambda state: [link_list(near, near.components, last(near, state))],
        ),
        Phase(
            id=near.texts,
            what=f"read the linked documents of {read} again",
            build=partial(build_texts, near),
            after=read_again,
            lists=[near.label_files],
        ),
        Phase(
            id=near.verify,
            what=f"compare linked documents, in {partitions}",
            build=partial(build_verify, near),
            after=read_again,
            lists=[near.text_files],
        ),
        Phase(
            id=near.account,
            what="add up what was found",
            build=partial(build_account, near),
            after=[*read_again, near.links, *rounds, near.texts, near.verify],
        ),
        Phase(
            id=near.id,
            what=f"mark near-duplicates in {read}",
            build=partial(build_columns, near),
            after=[near.texts, near.verify],
            lists=[near.verdict_files],
            parts=[near.id, pieces_phase(near.id)],
        ),
        *columns_joined,
    ]
    in_pieces = any(unit.shard.piece is not None for unit in near.units)
    builder.add_op(near.keys, partial(build_keys, near), later, pieces=pieces_phase(near.keys) if in_pieces else None)
    own = (near.keys, near.links, *rounds, near.components, near.texts, near.verify, near.id, near.account)
    phases = (*of_keys, *of_columns, *own)
    builder.stages.append(StageInfo(id=near.id, kind="dedupe", counted=(near.keys, near.id), phases=phases))
