"""Token files against the text they were made of: documents are encoded again and compared, token by token."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TypeAlias

import numpy as np
import pyarrow as pa
from msgspec import Struct
from numpy.typing import NDArray

from dolma_pipeline.engine.task import BadInput
from dolma_pipeline.errors import ConfigError, DataError
from dolma_pipeline.formats.columns import Columns, with_fields
from dolma_pipeline.formats.documents import read_documents
from dolma_pipeline.formats.quarantine import PassedOver
from dolma_pipeline.tokens.encode import document_ids
from dolma_pipeline.tokens.engine import Engine, load_engine
from dolma_pipeline.tokens.keys import chosen, sample_keys
from dolma_pipeline.tokens.source import TokenSource, open_tokens, read_rows
from dolma_pipeline.tokens.vocabulary import SpecialIds, special_ids

UNSEEN, DIFFERENT, EQUAL = 0, 1, 2
MOST_SHOWN = 100
"""Mismatches that are described; all are counted."""
MANY = 64
"""Documents of one id from which on their tokens are looked up, not compared: where no document has an id of its own,
comparing each with each would never end."""
SEED = 0
Difference: TypeAlias = tuple[int, str]
"""How many tokens agree, and what is different then; of several texts of one id the nearest is told."""


class Mismatch(Struct, frozen=True, kw_only=True):
    """A document of the token files whose tokens are not those of the text of its id."""

    id: str
    file: str
    start: int
    end: int
    src: str
    loc: int
    problem: str


class Comparison(Struct, frozen=True, kw_only=True):
    sampled: int
    """Documents of the token files that were looked for among the texts."""
    equal: int
    different: int
    missing: int
    """No text has their id."""
    texts: int
    """That were encoded."""
    mismatches: list[Mismatch]
    """The first of those that differ, then of those that are missing."""
    bad: list[BadInput] = []
    """The files of which something could not be read."""

    @property
    def good(self) -> bool:
        return self.equal == self.sampled


class Settings(Struct, frozen=True, kw_only=True):
    """How the texts were tokenized."""

    columns: Columns | None = None
    text_field: str = "text"
    id_field: str | None = "id"
    encode_special_tokens: bool = False
    segment: bool = False


def compare(
    source: TokenSource,
    paths: Sequence[Path],
    *,
    sample: float = 1.0,
    settings: Settings = Settings(),  # noqa: B008
) -> Comparison:
    """Compares documents of `source` with those of their id in `paths`, `sample` of them, drawn by hash of id.

    Of two texts with one id either will do: which was which, the index may not say. Texts that are in no token file
    are no mistake (they may be held out, or sampled away). Of packed files each piece must be a run of tokens of its
    text. Memory: 29 bytes for each document of the sample.
    """
    if source.tokenizer is None:
        raise ConfigError(f"{source.path}: expected a manifest, or the tokenizer of the files, to encode with")
    engine = load_engine(
        source.tokenizer.path or "", encode_special_tokens=settings.encode_special_tokens, segment=settings.segment
    )
    special = special_ids(engine, source.tokenizer)
    places = _Places(source, sample)
    texts = 0
    bad: list[BadInput] = []
    first: dict[int, Difference] = {}
    columns = with_fields(settings.columns, settings.text_field, settings.id_field)
    for path in paths:
        stream = read_documents(str(path), columns=columns)
        passed_over = PassedOver(stream)
        for documents in stream:
            passed_over.take()
            ids = document_ids(documents, "id" if settings.id_field is not None else None, str(path))
            hashes = sample_keys(ids, SEED)
            mine = np.flatnonzero(places.has(hashes))
            if not len(mine):
                continue
            texts += len(mine)
            found = _encoded(engine, special, documents.text.take(pa.array(mine)))
            for key, tokens in zip(hashes[mine], found, strict=True):
                of_key = places.of(key)
                if len(of_key) >= MANY and not source.packed:
                    places.look_up(of_key, tokens)
                    continue
                # Once for all pieces of a document, of which a long one has thousands.
                whole = _bytes(tokens) if source.packed else b""
                for place in of_key:
                    if places.state[place] == EQUAL:
                        continue
                    there = places.tokens(place)
                    difference = None if source.packed and _within(_bytes(there), whole) else _difference(tokens, there)
                    places.state[place] = EQUAL if difference is None else DIFFERENT
                    if difference is None:
                        first.pop(place, None)
                    elif place in first or len(first) < MOST_SHOWN:
                        first[place] = max(first.get(place, difference), difference, key=lambda d: d[0])
        bad += passed_over.found()
    state = places.state
    return Comparison(
        sampled=len(state),
        equal=int((state == EQUAL).sum()),
        different=int((state == DIFFERENT).sum()),
        missing=int((state == UNSEEN).sum()),
        texts=texts,
        mismatches=places.describe(first),
        bad=bad,
    )


def _encoded(engine: Engine, special: SpecialIds, texts: pa.LargeStringArray) -> Iterator[NDArray[np.uint32]]:
    encoded = engine.encode(texts, bos=special.bos, eos=special.eos)
    ends = np.cumsum(encoded.lengths)
    for start, end in zip(ends - encoded.lengths, ends, strict=True):
        yield encoded.ids[start:end]


def _difference(expected: NDArray[np.uint32], found: NDArray[np.unsignedinteger]) -> Difference | None:
    if len(expected) == len(found) and np.array_equal(expected, found):
        return None
    size = min(len(expected), len(found))
    unequal = expected[:size] != found[:size]
    if unequal.any():
        i = int(np.argmax(unequal))
        return i, f"token {i} of {len(found)}: the text has {expected[i]}, the file {found[i]}"
    return size, f"the text has {len(expected)} tokens, the file {len(found)}"


def _within(piece: bytes, tokens: bytes) -> bool:
    """Whether the tokens of `piece` are a run of `tokens`, four bytes each."""
    found = tokens.find(piece)
    while found >= 0 and found % 4:
        found = tokens.find(piece, found + 1)
    return found >= 0


def _bytes(tokens: NDArray[np.unsignedinteger]) -> bytes:
    return tokens.astype("<u4").tobytes()


def _digest(tokens: NDArray[np.unsignedinteger]) -> bytes:
    return hashlib.blake2b(_bytes(tokens), digest_size=16).digest()


class _Places:
    """Where the documents of the sample are, by hash of id."""

    def __init__(self, source: TokenSource, sample: float) -> None:
        self._source = source
        keys, files, starts, lengths, rows_of = [], [], [], [], []
        for number, file in enumerate(source.files):
            row = 0
            for rows in read_rows(file):
                hashes = sample_keys(rows.ids, SEED)
                mine = np.flatnonzero(chosen(hashes, sample))
                keys.append(hashes[mine])
                files.append(np.full(len(mine), number, dtype=np.int32))
                starts.append(rows.starts[mine])
                lengths.append(rows.lengths[mine])
                rows_of.append(row + mine)
                row += len(rows)
        empty = np.zeros(0, dtype=np.int64)
        key = np.concatenate([empty.astype(np.uint64), *keys])
        order = np.argsort(key, kind="stable")
        self.keys = key[order]
        self._files = np.concatenate([empty.astype(np.int32), *files])[order]
        self._starts = np.concatenate([empty, *starts])[order]
        self._lengths = np.concatenate([empty, *lengths])[order]
        self._rows = np.concatenate([empty, *rows_of])[order]
        self.state = np.zeros(len(key), dtype=np.uint8)
        self._open = [open_tokens(f) for f in source.files]
        self._by_tokens: dict[int, dict[bytes, list[int]]] = {}

    def has(self, hashes: NDArray[np.uint64]) -> NDArray[np.bool_]:
        if not len(self.keys):
            return np.zeros(len(hashes), dtype=np.bool_)
        found = np.minimum(np.searchsorted(self.keys, hashes), len(self.keys) - 1)
        there: NDArray[np.bool_] = self.keys[found] == hashes
        return there

    def of(self, key: np.uint64) -> range:
        return range(int(np.searchsorted(self.keys, key)), int(np.searchsorted(self.keys, key, side="right")))

    def tokens(self, place: int) -> NDArray[np.unsignedinteger]:
        start = int(self._starts[place])
        return self._open[int(self._files[place])][start : start + int(self._lengths[place])]

    def look_up(self, of_key: range, tokens: NDArray[np.uint32]) -> None:
        """Those of these documents that have `tokens` are equal, the others at least have a text of their id."""
        if of_key.start not in self._by_tokens:
            self.state[of_key.start : of_key.stop] = DIFFERENT
            found: dict[bytes, list[int]] = {}
            for place in of_key:
                found.setdefault(_digest(self.tokens(place)), []).append(place)
            self._by_tokens[of_key.start] = found
        self.state[self._by_tokens[of_key.start].pop(_digest(tokens), [])] = EQUAL

    def describe(self, first: dict[int, Difference]) -> list[Mismatch]:
        """Reads the indexes again for the ids of what is shown."""
        shown = {place: first[place][1] for place in sorted(first, key=self._order)}
        looked_up = [p for p in np.flatnonzero(self.state == DIFFERENT).tolist() if p not in first]
        for place in sorted(looked_up, key=self._order)[: MOST_SHOWN - len(shown)]:
            shown[place] = "none of the texts of its id has these tokens"
        missing = sorted(np.flatnonzero(self.state == UNSEEN).tolist(), key=self._order)[: MOST_SHOWN - len(shown)]
        shown |= dict.fromkeys(missing, "no document has its id")
        wanted: dict[int, dict[int, int]] = {}
        for place in shown:
            wanted.setdefault(int(self._files[place]), {})[int(self._rows[place])] = place
        found: dict[int, Mismatch] = {}
        for number, rows_wanted in wanted.items():
            file = self._source.files[number]
            row = 0
            for rows in read_rows(file):
                for wanted_row, place in rows_wanted.items():
                    i = wanted_row - row
                    if 0 <= i < len(rows):
                        found[place] = Mismatch(
                            id=rows.ids[i].as_py(),
                            file=file.tokens,
                            start=int(rows.starts[i]),
                            end=int(rows.starts[i] + rows.lengths[i]),
                            src=rows.sources[i].as_py(),
                            loc=rows.lines[i].as_py(),
                            problem=shown[place],
                        )
                row += len(rows)
        if len(found) != len(shown):
            raise DataError(f"{self._source.path}: the files have changed while they were read")
        return [found[place] for place in shown]

    def _order(self, place: int) -> tuple[int, int]:
        return int(self._files[place]), int(self._rows[place])


def render(found: Comparison) -> str:
    """For people."""
    lines = [
        f"{m.file}: tokens {m.start} to {m.end}, document `{m.id}` (line {m.loc} of {m.src}): {m.problem}"
        for m in found.mismatches
    ]
    rest = found.different + found.missing - len(found.mismatches)
    if rest:
        lines.append(f"and {rest:,} more")
    lines.append(
        f"{found.equal:,} of {found.sampled:,} documents have the tokens of their text, {found.different:,} have "
        f"others, of {found.missing:,} there is no text"
    )
    return "\n".join(lines)
