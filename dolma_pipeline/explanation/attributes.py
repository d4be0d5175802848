"""The attributes that a stage put beside one document."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from dolma_pipeline.config.recipe import Dedupe
from dolma_pipeline.engine.corpus import Shard
from dolma_pipeline.engine.plan import StageReads
from dolma_pipeline.explanation.find import Found
from dolma_pipeline.explanation.story import Place
from dolma_pipeline.formats.attributes import attribute_batches, attribute_keys
from dolma_pipeline.formats.columns import shown_id
from dolma_pipeline.formats.documents import read_documents
from dolma_pipeline.io import fs
from dolma_pipeline.mixers.keys import sanitize


def attributes_of(reads: StageReads, found: Found) -> dict[str, Any]:
    """Returns the attributes of a document by experiment and key, of the files that a stage wrote beside its shard."""
    values: dict[str, Any] = {}
    for experiment in reads.experiments:
        path = reads.corpus.attributes[experiment].get(found.shard.id)
        if path is None or not fs.is_file(path):
            continue
        for key, value in row_of(path, found.place.row).items():
            values[key if key.startswith(f"{experiment}__") else f"{experiment}__{key}"] = value
    return values


def row_of(path: str, row: int) -> dict[str, Any]:
    """Returns one row of an attribute file, without what is null or empty."""
    before = 0
    for batch in attribute_batches(path, attribute_keys(path)):
        if row < before + batch.num_rows:
            values = batch.slice(row - before, 1).to_pylist()[0]
            return {k: v for k, v in values.items() if k != "id" and v is not None and v != []}
        before += batch.num_rows
    return {}


def first_of(config: Dedupe, shards: list[Shard], found: Found) -> str | None:
    """Returns the place and id of the first document with the same key; None if it is this one, or there is no key.

    It reads the documents up to that one, in the order in which the first of two duplicates stays.
    """
    documents = config.documents
    if documents is None:
        return None
    key = found.document.field(documents.key)[0].as_py()
    if key is None:
        return None
    for place, identifier in _with_key(shards, documents.key, key):
        if place != found.place:
            return f"{place} (id {identifier})"
        return None
    return None


def _with_key(shards: list[Shard], field: str, key: str) -> Iterator[tuple[Place, str]]:
    for shard in shards:
        before = 0
        for documents in read_documents(shard.path, columns=shard.columns, keep_raw=True):
            for row, value in enumerate(documents.field(field).to_pylist()):
                if value == key:
                    place = Place(file=shard.path, line=documents.line[row].as_py(), row=before + row)
                    yield place, shown_id(documents.id[row].as_py())
            before += len(documents)


def duplicate_key(config: Dedupe) -> str:
    """Returns the attribute by which a dedupe stage marks documents."""
    return f"{sanitize(config.name)}__{config.documents.attribute if config.documents is not None else 'duplicate'}"
