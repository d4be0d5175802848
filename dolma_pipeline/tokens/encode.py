"""Encoding a shard: every document once, into the split and the place that hashes of its id choose."""

from __future__ import annotations

import hashlib

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from msgspec import Struct
from numpy.typing import NDArray

from dolma_pipeline.config.recipe import Tokenizer
from dolma_pipeline.engine.reading import ShardInput
from dolma_pipeline.engine.shared_reading import Op, ShardRead
from dolma_pipeline.engine.task import Context, Output, Report
from dolma_pipeline.errors import DataError
from dolma_pipeline.formats.documents import Documents
from dolma_pipeline.tokens.amount import Amount
from dolma_pipeline.tokens.engine import Engine, loaded_engine
from dolma_pipeline.tokens.keys import chosen, holdout_hashes, order_keys
from dolma_pipeline.tokens.reference import CannotEncodeError
from dolma_pipeline.tokens.shard import Order, ShardFiles, ShardWriter
from dolma_pipeline.tokens.vocabulary import special_ids, token_dtype

TRAIN = "train"
VALIDATION = "validation"
SAMPLE_DOCUMENTS = 64
SAMPLE_CHARACTERS = 1 << 14
"""So much of each shard is encoded by the reference too, which costs about 10 ms."""


class EncodedSplit(Struct, frozen=True, kw_only=True):
    """What a shard gives to one split."""

    files: ShardFiles
    sources: dict[str, Amount]


class EncodeShard(ShardInput, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Documents of `path` into `<output>.train.*` and, with a holdout, `<output>.validation.*`.

    `source` is for the account, and for documents that name no source of their own.
    """

    label: str
    """How the index calls the file; it must not depend on where the work directory is, for the order does on it."""
    output: str
    tokenizer_path: str
    tokenizer: Tokenizer
    seed: int
    order: Order = "shuffle"
    holdout: float = 0.0
    dtype: str | None = None
    min_tokens: int = 0
    """A document of fewer is dropped as `shorter_than_bucket`: packing would have no instance for any of it."""
    text_field: str = "text"
    """The field to encode; a document without it is empty. A field of the input is better named in `columns`."""
    id_field: str | None = "id"
    """Without one a document is called `<sha256 of label>-<line>`, as Dolma does."""


class EncodeOp(Op):
    """The shard's tokens and index, for each split.

    A text is stripped, encoded, and given BOS and EOS unless it already begins or ends with them; one of which
    nothing remains is dropped as `empty`. `details`: {split: EncodedSplit}, and the name of the engine.
    """

    def __init__(self, config: EncodeShard, context: Context) -> None:
        self.config = config
        self.keep_raw = needs_raw(config.text_field, config.id_field)
        engine = loaded_engine(
            context,
            config.tokenizer_path,
            encode_special_tokens=config.tokenizer.encode_special_tokens,
            segment=config.tokenizer.segment_before_tokenization,
            choice=config.tokenizer.engine,
        )
        self._encoder = ShardEncoder(config, engine)

    def add(self, documents: Documents) -> None:
        self._encoder.add(documents)

    def finish(self, read: ShardRead) -> Report:
        encoder, counts = self._encoder, read.counts
        splits = encoder.finish()
        outputs: list[Output] = []
        counts.documents_out = counts.bytes_out = 0
        for split in splits.values():
            outputs += [split.files.index, split.files.tokens]
            for amount in split.sources.values():
                counts.documents_out += amount.documents
                counts.tokens += amount.tokens
                counts.bytes_out += amount.text_bytes
        if encoder.empty:
            counts.dropped["empty"] = encoder.empty
        if encoder.short:
            counts.dropped["shorter_than_bucket"] = encoder.short
        if encoder.lacking:
            counts.lacking[encoder.engine.coverage.instead] = encoder.lacking
            counts.first_lacking = encoder.first_lacking
        warnings = [encoder.engine.warning] if encoder.engine.warning is not None else []
        details = {name: msgspec.to_builtins(split) for name, split in splits.items()} | {"engine": encoder.engine.name}
        if encoder.drawn is not None:
            details["drawn"] = encoder.drawn
        return Report(outputs=outputs, details=details, warnings=warnings)

    def abort(self) -> None:
        self._encoder.abort()


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
        self._tried = False
        self.empty = 0
        """Documents without a token, left out."""
        self.short = 0
        """Documents of fewer tokens than are asked for, left out."""
        self.lacking = 0
        """Documents of whose text the vocabulary lacks something."""
        self.first_lacking = ""
        """File and line of the first of them."""
        self.drawn: tuple[float, float] | None = None
        """The first and the last place of a document in the draw of the validation documents, from 0 to 1."""

    def add(self, documents: Documents) -> None:
        config = self._config
        texts = documents.field(config.text_field)
        if not self._tried:
            self._try(texts)
        try:
            encoded = self._engine.encode(texts, bos=self._special.bos, eos=self._special.eos)
        except CannotEncodeError as error:
            raise DataError(f"{config.path}:{documents.line[error.row].as_py()}: {error}") from None
        if encoded.lacking is not None and encoded.lacking.any():
            first = documents.line[int(encoded.lacking.argmax())]
            self.first_lacking = self.first_lacking or f"{config.path}:{first.as_py()}"
            self.lacking += int(encoded.lacking.sum())
        long_enough = encoded.lengths >= max(1, config.min_tokens)
        rows = np.flatnonzero(long_enough)
        empty = int((encoded.lengths == 0).sum())
        self.empty += empty
        self.short += len(texts) - len(rows) - empty
        if not len(rows):
            return
        some = pa.array(rows)
        lines = documents.line.take(some)
        ids = document_ids(documents, config.id_field, config.label).take(some)
        lengths = encoded.lengths[rows]
        kept = encoded.ids if config.min_tokens <= 1 else encoded.ids[np.repeat(long_enough, encoded.lengths)]
        self._check(kept, lengths, ids, lines)
        tokens = kept.astype(self._dtype)
        if config.order == "shuffle":
            keys = order_keys(ids, config.label, lines, config.seed)
        else:
            keys = lines.to_numpy().astype(np.uint64)
        names = source_names(documents.source.take(some), config.source)
        aside = self._aside(ids if config.id_field is not None else None, texts.take(some))
        for split, mine in ((TRAIN, ~aside), (VALIDATION, aside)):
            if not mine.any():
                continue
            self._writers[split].add(
                ids.filter(pa.array(mine)),
                lines.to_numpy()[mine],
                keys[mine],
                lengths[mine],
                tokens if mine.all() else tokens[np.repeat(mine, lengths)],
            )
            self._count(split, names.filter(pa.array(mine)), lengths[mine], encoded.text_bytes[rows][mine])

    def _aside(self, ids: pa.LargeStringArray | None, texts: pa.LargeStringArray) -> NDArray[np.bool_]:
        """Which documents are for validation."""
        if self._config.holdout == 0:
            return np.zeros(len(texts), np.bool_)
        hashes = holdout_hashes(ids, texts, self._config.seed)
        places = float(hashes.min()) / 2.0**64, float(hashes.max()) / 2.0**64
        first, last = self.drawn or places
        self.drawn = min(first, places[0]), max(last, places[1])
        return chosen(hashes, self._config.holdout)

    def _try(self, texts: pa.LargeStringArray) -> None:
        """Compares the engine with the reference on the first documents of the shard: they may be like no other."""
        self._tried = True
        sample, size = [], 0
        for text in texts[:SAMPLE_DOCUMENTS].to_pylist():
            sample.append((text or "").strip()[: SAMPLE_CHARACTERS - size])
            size += len(sample[-1])
            if size >= SAMPLE_CHARACTERS:
                break
        difference = self._engine.agrees(sample)
        if difference is None:
            return
        reason = f"{self._config.path}: the fast engine gives other ids than `tokenizers`, {difference}"
        if self._config.tokenizer.engine == "fast":
            raise DataError(f"{reason}; `engine: auto` or `reference` would do")
        self._engine = self._engine.reference(f"{reason}; the shard was encoded by `tokenizers`")

    def _count(
        self, split: str, names: pa.LargeStringArray, tokens: NDArray[np.int64], text_bytes: NDArray[np.int64]
    ) -> None:
        coded = names.dictionary_encode()
        codes = coded.indices.to_numpy()
        for code, name in enumerate(coded.dictionary.to_pylist()):
            mine = codes == code
            amount = Amount(
                documents=int(mine.sum()), tokens=int(tokens[mine].sum()), text_bytes=int(text_bytes[mine].sum())
            )
            self._sources[split].setdefault(name, Amount()).add(amount)

    def _check(
        self,
        tokens: NDArray[np.uint32],
        lengths: NDArray[np.int64],
        ids: pa.LargeStringArray,
        lines: pa.Int64Array,
    ) -> None:
        """The vocabulary was checked against the type; this is against an engine that does not keep to it."""
        largest = np.iinfo(self._dtype).max
        if int(tokens.max()) <= largest:
            return
        first = int(np.argmax(tokens > largest))
        i = int(np.searchsorted(np.cumsum(lengths), first, side="right"))
        raise DataError(
            f"{self._config.path}: line {lines[i].as_py()}: expected token ids up to {largest}, which is what "
            f"`{self._dtype.name}` holds, found {int(tokens[first])} in document `{ids[i].as_py()}`"
        )

    @property
    def engine(self) -> Engine:
        """The one that is at work, which a difference from the reference changes."""
        return self._engine

    def finish(self) -> dict[str, EncodedSplit]:
        return {s: EncodedSplit(files=w.finish(), sources=self._sources[s]) for s, w in self._writers.items()}

    def abort(self) -> None:
        for writer in self._writers.values():
            writer.abort()


def needs_raw(*fields: str | None) -> bool:
    """Whether documents must be read with their lines to find these fields."""
    return any(f not in (None, "text", "id", "source") for f in fields)


def source_names(sources: pa.LargeStringArray, default: str) -> pa.LargeStringArray:
    """`default` where a document names no source."""
    named = sources.fill_null(default)
    return pc.if_else(pc.equal(named, ""), pa.scalar(default, pa.large_string()), named)


def document_ids(documents: Documents, id_field: str | None, label: str) -> pa.LargeStringArray:
    """What each document is called; without `id_field`, `<sha256 of label>-<line>`. A missing id is empty."""
    if id_field is not None:
        return documents.field(id_field).fill_null("")
    file = hashlib.sha256(label.encode()).hexdigest()
    return pa.array([f"{file}-{line}" for line in documents.line.to_pylist()], pa.large_string())
