"""Encoding a shard: every document once, into the split and the place that hashes of its id choose."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import msgspec
import numpy as np
import pyarrow as pa
from msgspec import Struct
from numpy.typing import NDArray

from dolma_pipeline.errors import DataError
from dolma_pipeline.formats.documents import Documents, read_documents
from dolma_pipeline.formats.quarantine import Quarantine
from dolma_pipeline.recipe import Tokenizer
from dolma_pipeline.task import Context, Counts, Report
from dolma_pipeline.tokens.amount import Amount
from dolma_pipeline.tokens.engine import Engine, loaded_engine
from dolma_pipeline.tokens.keys import held_out, order_keys
from dolma_pipeline.tokens.shard import Order, ShardFiles, ShardWriter
from dolma_pipeline.tokens.vocabulary import SpecialIds, special_ids, token_dtype

TRAIN = "train"
VALIDATION = "validation"


class EncodedSplit(Struct, frozen=True, kw_only=True):
    """What a shard gives to one split."""

    files: ShardFiles
    sources: dict[str, Amount]


class EncodeShard(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Documents of `path` into `<output>.train.*` and, with a holdout, `<output>.validation.*`."""

    source: str
    """For the account, and for documents that name no source of their own."""
    path: str
    label: str
    """How the index calls the file; it must not depend on where the work directory is, for the order does on it."""
    output: str
    tokenizer_path: str
    tokenizer: Tokenizer
    seed: int
    order: Order = "shuffle"
    holdout: float = 0.0
    dtype: str | None = None
    text_field: str = "text"
    id_field: str | None = "id"
    """Without one a document is called `<sha256 of label>-<line>`, as Dolma does."""
    quarantine: str | None = None
    """Where bad lines go; None where an earlier stage has set them aside."""


def encode_shard(config: EncodeShard, context: Context) -> Report:
    """Writes the shard's tokens and index, for each split.

    A text is stripped, encoded, and given BOS and EOS unless it already begins or ends with them; one of which
    nothing remains is dropped as `empty`. `details`: {split: EncodedSplit}.
    """
    engine = loaded_engine(
        context,
        config.tokenizer_path,
        encode_special_tokens=config.tokenizer.encode_special_tokens,
        segment=config.tokenizer.segment_before_tokenization,
    )
    keep_raw = needs_raw(config.text_field, config.id_field)
    stream = read_documents(config.path, keep_raw=keep_raw)
    counts = Counts()
    quarantine = Quarantine(config.quarantine, config.path) if config.quarantine is not None else None
    encoder = ShardEncoder(config, engine)

    def set_aside() -> None:
        bad = stream.take_bad()
        counts.quarantined += len(bad)
        if quarantine is not None:
            quarantine.add(bad)

    try:
        for documents in stream:
            counts.bytes_in += documents.text_bytes
            encoder.add(documents)
            set_aside()
        set_aside()
        splits = encoder.finish()
        outputs = quarantine.finish() if quarantine is not None else []
    except BaseException:
        encoder.abort()
        if quarantine is not None:
            quarantine.abort()
        raise
    for split in splits.values():
        outputs += [split.files.index, split.files.tokens]
        for amount in split.sources.values():
            counts.documents_out += amount.documents
            counts.tokens += amount.tokens
            counts.bytes_out += amount.text_bytes
    counts.documents_in = counts.documents_out + encoder.empty + counts.quarantined
    if encoder.empty:
        counts.dropped["empty"] = encoder.empty
    warnings = [f"{config.path}: {stream.damage}"] if stream.damage is not None else []
    details = {name: msgspec.to_builtins(split) for name, split in splits.items()}
    return Report(counts={config.source: counts}, outputs=outputs, details=details, warnings=warnings)


class ShardEncoder:
    """The documents of one shard on their way into its splits."""

    def __init__(self, config: EncodeShard, engine: Engine) -> None:
        self._config = config
        self._engine = engine
        self._special = special_ids(engine, config.tokenizer)
        self._dtype = token_dtype(engine.vocab_size, config.dtype)
        splits = (TRAIN, VALIDATION) if config.holdout > 0 else (TRAIN,)
        self._writers = {
            s: ShardWriter(f"{config.output}.{s}", label=config.label, dtype=self._dtype, order=config.order)
            for s in splits
        }
        self._sources: dict[str, dict[str, Amount]] = {s: {} for s in splits}
        self.empty = 0
        """Documents without a token, left out."""

    def add(self, documents: Documents) -> None:
        config = self._config
        texts = [(t or "").strip() for t in documents.field(config.text_field).to_pylist()]
        full = [i for i, t in enumerate(texts) if t]
        encoded = self._engine.encode_batch([texts[i] for i in full])
        rows = [i for i, ids in zip(full, encoded, strict=True) if len(ids)]
        self.empty += len(texts) - len(rows)
        if not rows:
            return
        chosen = pa.array(rows, pa.int64())
        lines = documents.line.take(chosen)
        ids = document_ids(documents, config.id_field, config.label).take(chosen)
        tokens = [with_boundaries(t, self._special) for t in encoded if len(t)]
        self._check(tokens, ids, lines)
        if config.order == "shuffle":
            keys = order_keys(ids, config.label, lines, config.seed)
        else:
            keys = lines.to_numpy().astype(np.uint64)
        aside = held_out(ids, config.holdout, config.seed)
        names = documents.source.take(chosen).to_pylist()
        for split, mine in ((TRAIN, np.flatnonzero(~aside)), (VALIDATION, np.flatnonzero(aside))):
            if not len(mine):
                continue
            picked = pa.array(mine)
            some = [tokens[i] for i in mine]
            self._writers[split].add(ids.take(picked), lines.to_numpy()[mine], keys[mine], some)
            account = self._sources[split]
            for i in mine:
                amount = account.setdefault(names[i] or config.source, Amount())
                size = len(texts[rows[i]].encode())
                amount.add(Amount(documents=1, tokens=len(tokens[i]), text_bytes=size))

    def _check(self, tokens: list[NDArray[np.uint32]], ids: pa.LargeStringArray, lines: pa.Int64Array) -> None:
        """The vocabulary was checked against the type; this is against an engine that does not keep to it."""
        largest = np.iinfo(self._dtype).max
        for i, document in enumerate(tokens):
            if int(document.max()) > largest:
                raise DataError(
                    f"{self._config.path}: line {lines[i].as_py()}: expected token ids up to {largest}, which is what "
                    f"`{self._dtype.name}` holds, found {int(document.max())} in document `{ids[i].as_py()}`"
                )

    def finish(self) -> dict[str, EncodedSplit]:
        return {s: EncodedSplit(files=w.finish(), sources=self._sources[s]) for s, w in self._writers.items()}

    def abort(self) -> None:
        for writer in self._writers.values():
            writer.abort()


def needs_raw(*fields: str | None) -> bool:
    """Whether documents must be read with their lines to find these fields."""
    return any(f not in (None, "text", "id", "source") for f in fields)


def document_ids(documents: Documents, id_field: str | None, label: str) -> pa.LargeStringArray:
    """What each document is called; without `id_field`, `<sha256 of label>-<line>`. A missing id is empty."""
    if id_field is not None:
        return documents.field(id_field).fill_null("")
    file = hashlib.sha256(label.encode()).hexdigest()
    return pa.array([f"{file}-{line}" for line in documents.line.to_pylist()], pa.large_string())


def with_boundaries(ids: NDArray[np.uint32], special: SpecialIds) -> NDArray[np.uint32]:
    """`ids` (at least one) between BOS and EOS, neither of which is put where it already stands."""
    parts: list[Sequence[int] | NDArray[np.uint32]] = [ids]
    if special.bos is not None and ids[0] != special.bos:
        parts.insert(0, [special.bos])
    if special.eos is not None and ids[-1] != special.eos:
        parts.append([special.eos])
    return ids if len(parts) == 1 else np.concatenate([np.asarray(p, dtype=np.uint32) for p in parts])
