"""Finds the documents that have an id, in the files that a run read and in what it set aside."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from dolma_pipeline.engine.corpus import Shard
from dolma_pipeline.explanation.story import Place
from dolma_pipeline.formats.columns import MARK
from dolma_pipeline.formats.documents import Documents, read_documents
from dolma_pipeline.formats.quarantine import QuarantineRow
from dolma_pipeline.io import fs


class Found(NamedTuple):
    """A document, and the shard that it stands in."""

    shard: Shard
    place: Place
    document: Documents
    """This document alone, with its line."""

    @property
    def text(self) -> str:
        return str(self.document.text[0].as_py())


def documents_of(shards: Iterable[Shard], identifier: str, *, keep_raw: bool = True) -> Iterator[Found]:
    """Yields the documents with this id in order. An id that is no string is given as its JSON."""
    wanted = pa.array([identifier, MARK + identifier], pa.large_string())
    for shard in shards:
        before = 0
        for documents in read_documents(shard.path, columns=shard.columns, keep_raw=keep_raw):
            for row in pc.indices_nonzero(pc.is_in(documents.id, wanted)).to_pylist():
                place = Place(file=shard.path, line=documents.line[row].as_py(), row=before + row)
                yield Found(shard, place, documents.slice(row, 1))
            before += len(documents)


def set_aside(directory: Path, identifier: str) -> Iterator[QuarantineRow]:
    """Yields the lines in the quarantine of a run in which the id stands as a JSON string."""
    quoted = msgspec.json.encode(identifier)
    for path in fs.find(directory, "**/*.jsonl") if fs.is_directory(directory) else []:
        with fs.open_input(path) as handle:
            for line in handle:
                row = msgspec.json.decode(line, type=QuarantineRow)
                raw = (row.raw or "").encode() or base64.b64decode(row.raw_base64 or "")
                if quoted in raw:
                    yield row
