"""The counts of one shard, a batch of documents at a time: memory does not grow with the shard."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from msgspec import Struct
from numpy.typing import NDArray

from dolma_pipeline.engine.reading import ShardInput
from dolma_pipeline.engine.shared_reading import Op, ShardRead
from dolma_pipeline.engine.task import Context, Report
from dolma_pipeline.engine.task import Counts as Account
from dolma_pipeline.errors import DataError, StageError
from dolma_pipeline.fertility.pieces import Integers, Measured, Pieces, words_of
from dolma_pipeline.fertility.result import NO_GROUP, Counts, ShardCounts, TokenCounts
from dolma_pipeline.formats.attributes import AttributeCursor, attribute_keys
from dolma_pipeline.formats.documents import Documents
from dolma_pipeline.formats.made_attributes import Made, MadeCursor
from dolma_pipeline.io import fs
from dolma_pipeline.io.atomic import read_msgpack, write_msgpack
from dolma_pipeline.mixers.attributes import maximum
from dolma_pipeline.tokens.encode import document_ids, needs_raw
from dolma_pipeline.tokens.keys import chosen, content_hashes
from dolma_pipeline.tokens.reference import CannotEncodeError

MOST_GROUPS = 1000
"""The most groups of a shard: a field with more values is no language."""
ALL_ROWS = 1 << 62


class GroupByTagger(Struct, frozen=True, kw_only=True):
    """An attribute file, and how the keys of a tagger begin in it: what follows in the one of the highest score is
    the document's group."""

    path: str
    prefix: str


class MeasureFertility(ShardInput, frozen=True, kw_only=True):
    """A shard, and the tokenizers to measure on it."""

    label: str
    tokenizers: list[str]
    by_field: str | None = None
    by_tagger: GroupByTagger | None = None
    sample: float = 1.0
    seed: int
    text_field: str = "text"
    id_field: str | None = "id"
    out: str


class FertilityOp(Op):
    """The counts of the shard's documents, those that the sample's hash chooses, by group."""

    def __init__(self, config: MeasureFertility, context: Context) -> None:
        self.config = config
        self.keep_raw = needs_raw(config.text_field, config.id_field, *filter(None, [config.by_field]))
        self._loaded = [_loaded(context, path) for path in config.tokenizers]
        self._best = _BestScore(config.by_tagger, context.made) if config.by_tagger is not None else None
        self._groups: dict[str, Counts] = {}
        self._account = Account()

    def add(self, documents: Documents) -> None:
        names = self._best.groups(documents) if self._best is not None else _values(self.config.by_field, documents)
        _add(self.config, self._loaded, documents, names, self._groups, self._account)

    def finish(self, read: ShardRead) -> Report:
        if self._best is not None and read.damage is None:
            self._best.finish()
        read.counts.documents_out, read.counts.bytes_out = self._account.documents_out, self._account.bytes_out
        read.counts.dropped = self._account.dropped
        counts = ShardCounts(source=self.config.source, groups=dict(sorted(self._groups.items())))
        warnings = [m.warning for m in self._loaded if m.warning is not None]
        return Report(outputs=[write_msgpack(self.config.out, counts)], warnings=warnings)


def read_counts(path: str | Path) -> ShardCounts:
    counts: ShardCounts = read_msgpack(path, ShardCounts)
    return counts


def _loaded(context: Context, path: str) -> Measured:
    return context.load(("fertility", path, *fs.stat(path)), lambda: Measured(Path(path)))


class _BestScore:
    """Reads which attribute of a tagger has the highest score, in step with the documents."""

    def __init__(self, by: GroupByTagger, made: Made) -> None:
        self._prefix = by.prefix
        self._cursor: AttributeCursor | MadeCursor
        if by.path in made:
            self._cursor = MadeCursor(by.path, None, made)
        else:
            # A JSONL file has only those that a document has: no row may be left out.
            keys = [key for key in attribute_keys(by.path, ALL_ROWS) if key.startswith(by.prefix)]
            self._cursor = AttributeCursor(by.path, keys)

    def groups(self, documents: Documents) -> list[str]:
        columns = self._cursor.next(documents)
        found = [NO_GROUP] * len(documents)
        best = np.full(len(documents), -np.inf)
        for key in sorted(key for key in columns if key.startswith(self._prefix)):
            score = np.nan_to_num(maximum(columns[key]), nan=-np.inf)
            for row in np.flatnonzero(score > best).tolist():
                found[row] = key.removeprefix(self._prefix)
            best = np.maximum(best, score)
        return found

    def finish(self) -> None:
        self._cursor.finish()


def _values(field: str | None, documents: Documents) -> list[str]:
    if field is None:
        return [""] * len(documents)
    return [value or NO_GROUP for value in documents.field(field).to_pylist()]


def _add(
    config: MeasureFertility,
    loaded: list[Measured],
    documents: Documents,
    names: list[str],
    groups: dict[str, Counts],
    account: Account,
) -> None:
    """Counts the documents of a batch into `groups`."""
    texts = [(t or "").strip() for t in documents.field(config.text_field).to_pylist()]
    taken = np.ones(len(texts), np.bool_)
    if config.sample < 1:
        ids = document_ids(documents, config.id_field, config.label)
        # By id and text: where ids repeat, not all documents of one id are taken together.
        taken = chosen(content_hashes(ids, documents.field(config.text_field), config.seed, "fertility"), config.sample)
    full = np.array([bool(t) for t in texts], np.bool_)
    _drop(account, "not sampled", int((~taken).sum()))
    _drop(account, "empty", int((taken & ~full).sum()))
    rows = np.flatnonzero(taken & full).tolist()
    account.documents_out += len(rows)
    if not rows:
        return
    texts = [texts[i] for i in rows]
    column = pa.array(texts, pa.large_string())
    code_of = {name: code for code, name in enumerate(dict.fromkeys(names[i] for i in rows))}
    codes = np.array([code_of[names[i]] for i in rows], np.int64)
    words = words_of(column)
    sizes = np.diff(np.frombuffer(column.buffers()[1], np.int64, len(column) + 1))
    account.bytes_out += int(sizes.sum())
    characters = np.array([len(t) for t in texts], np.int64)
    batch = {name: Counts(tokenizers=[]) for name in code_of}
    for name, code in code_of.items():
        mine = codes == code
        batch[name].documents = int(mine.sum())
        batch[name].bytes = int(sizes[mine].sum())
        batch[name].characters = int(characters[mine].sum())
        batch[name].words = int(words.counts[mine].sum())
    for tokenizer in loaded:
        try:
            found = tokenizer.pieces(texts, column, words)
        except CannotEncodeError as error:
            raise DataError(f"{config.path}:{documents.line[rows[error.row]].as_py()}: {error}") from None
        for name, each in zip(code_of, _token_counts(tokenizer, found, codes, len(code_of)), strict=True):
            batch[name].tokenizers.append(each)
    for name, counts in batch.items():
        groups.setdefault(name, Counts(tokenizers=[])).add(counts)
    if len(groups) > MOST_GROUPS:
        raise StageError(
            f"{config.path}: expected a field of few values to group documents by, such as a language, found more than "
            f"{MOST_GROUPS} of `{config.by_field}`"
        )


def _token_counts(tokenizer: Measured, found: Pieces, codes: Integers, groups: int) -> list[TokenCounts]:
    """Counts the tokens of each group of documents."""

    def by_group(of_documents: NDArray[Any]) -> list[int]:
        # Sums as floats are exact up to 2^53.
        return [int(n) for n in np.bincount(codes, weights=of_documents, minlength=groups)]

    tokens = by_group(found.lengths)
    byte_tokens = by_group(_sums(tokenizer.byte_tokens[found.ids], found.lengths))
    words = by_group(found.words)
    pieces = by_group(_sums(found.pieces, found.words))
    whole = by_group(_sums(found.pieces == 1, found.words))
    group_of_token = np.repeat(codes, found.lengths)
    used = np.zeros((groups, tokenizer.vocab_size), np.bool_)
    used[group_of_token, found.ids] = True
    return [
        TokenCounts(
            tokens=tokens[g],
            byte_tokens=byte_tokens[g],
            words=words[g],
            pieces=pieces[g],
            whole_words=whole[g],
            used=np.packbits(used[g]).tobytes(),
        )
        for g in range(groups)
    ]


def _sums(values: NDArray[Any], lengths: Integers) -> Integers:
    """The sums of consecutive stretches of `values`, which have these `lengths`."""
    ends = np.cumsum(lengths)
    reached = np.concatenate([np.zeros(1, np.int64), np.cumsum(values, dtype=np.int64)])
    sums: Integers = reached[ends] - reached[ends - lengths]
    return sums


def _drop(account: Account, rule: str, number: int) -> None:
    if number:
        account.dropped[rule] = account.dropped.get(rule, 0) + number
