"""The band keys of a shard: the first phase of near-duplicates."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from msgspec import Struct

from dolma_pipeline import _native
from dolma_pipeline.dedupe.near_files import divided, key_bounds, write_parts
from dolma_pipeline.engine.reading import ShardInput
from dolma_pipeline.engine.shared_reading import Op, ShardRead
from dolma_pipeline.engine.task import Context, Report
from dolma_pipeline.formats.attributes import AttributeWriter
from dolma_pipeline.formats.documents import Documents

SCHEMA = pa.schema([pa.field("key", pa.uint64(), nullable=False), pa.field("row", pa.uint32(), nullable=False)])


class Hashing(Struct, frozen=True, kw_only=True):
    """All that a band key depends on, beside the text."""

    unit: str
    ngram: int
    bands: int
    rows: int
    seed: int

    def header(self) -> dict[str, Any]:
        """What a file of keys says of them; two files can be compared if they say the same."""
        return {
            "scheme": "minhash",
            "version": _native.MINHASH_VERSION,
            "unit": self.unit,
            "ngram": self.ngram,
            "bands": self.bands,
            "rows": self.rows,
            "seed": self.seed,
        }


class NearKeysShard(ShardInput, frozen=True, kw_only=True):
    """Write the band keys of a shard, and beside them which document each row is."""

    hashing: Hashing
    partitions: int
    min_length: int
    keys: str
    ids: str


class NearKeysOp(Op):
    """Keeps the keys of a shard, 12 bytes each, until its end: then they are sorted and divided into partitions."""

    def __init__(self, config: NearKeysShard, context: Context) -> None:
        self.config = config
        self._keys: list[np.ndarray[Any, Any]] = []
        self._rows: list[np.ndarray[Any, Any]] = []
        self._count = self._without = 0
        self._ids = AttributeWriter(config.ids)
        self._ids.of_piece = config.piece is not None

    def add(self, documents: Documents) -> None:
        hashing = self.config.hashing
        texts, lengths = documents.text, _native.char_lengths(documents.text)
        if self.config.min_length:
            texts = pc.if_else(pc.less(lengths, self.config.min_length), None, texts)
        bands = _native.minhash_bands(
            texts,
            unit=hashing.unit,
            ngram=hashing.ngram,
            bands=hashing.bands,
            rows=hashing.rows,
            seed=hashing.seed,
        )
        there = np.asarray(bands.is_valid().to_numpy(zero_copy_only=False))
        # Flattening leaves out the keys of rows without a text.
        self._keys.append(bands.flatten().to_numpy())
        numbers = np.flatnonzero(there).astype(np.uint32) + np.uint32(self._count)
        self._rows.append(np.repeat(numbers, hashing.bands))
        self._count += len(documents)
        self._without += len(documents) - int(there.sum())
        self._ids.write_rows(documents.id, {"chars": lengths, "source": documents.source}, texts=documents.text)

    def finish(self, read: ShardRead) -> Report:
        config = self.config
        keys = np.concatenate([np.empty(0, np.uint64), *self._keys])
        rows = np.concatenate([np.empty(0, np.uint32), *self._rows])
        self._keys, self._rows = [], []
        order = np.argsort(keys, kind="stable")
        keys, rows = keys[order], rows[order]
        batch = pa.record_batch([pa.array(keys), pa.array(rows)], schema=SCHEMA)
        header = config.hashing.header() | {"partitions": config.partitions, "documents": self._count}
        written = write_parts(config.keys, divided(batch, key_bounds(keys, config.partitions)), SCHEMA, header)
        details = {"documents": self._count, "without_text": self._without}
        return Report(outputs=[written, self._ids.finish()], details=details)

    def abort(self) -> None:
        self._ids.abort()
