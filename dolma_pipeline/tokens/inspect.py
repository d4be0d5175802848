"""Looking into token files: the documents they hold, found by id or by number, and any range, as tokens and as text."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.compute as pc
from numpy.typing import NDArray

from dolma_pipeline.errors import DataError
from dolma_pipeline.tokens.engine import Engine, load_engine
from dolma_pipeline.tokens.rows import Rows
from dolma_pipeline.tokens.source import SUFFIXES, SourceFile, TokenSource, open_source, open_tokens, read_rows


@dataclass(frozen=True)
class Place:
    """Where a document is: tokens start ... end - 1 of `file`, from line `loc` of `src`."""

    file: str
    start: int
    end: int
    id: str
    src: str
    loc: int


@dataclass(frozen=True)
class TokenDocument:
    """A document as it stands in a token file, BOS and EOS included in both forms; no text without a tokenizer."""

    place: Place
    tokens: NDArray[np.unsignedinteger]
    text: str | None


def read_places(tokens: str | Path | TokenSource) -> Iterator[Place]:
    """Every document in the order of the files."""
    for file in _source(tokens).files:
        for rows in read_rows(file):
            for i in range(len(rows)):
                yield _place(file, rows, i)


def read_tokens(
    tokens: str | Path | TokenSource, file: str, start: int = 0, end: int | None = None
) -> NDArray[np.unsignedinteger]:
    """Tokens start ... end - 1 of one file; raises DataError for a range that is not in it."""
    found = _file(_source(tokens), file)
    last = found.size if end is None else end
    if not 0 <= start <= last <= found.size:
        raise DataError(f"{found.tokens}: expected a range within its {found.size} tokens, found {start} to {last}")
    return np.array(open_tokens(found)[start:last])


def decode_range(tokens: str | Path | TokenSource, file: str, start: int, end: int) -> str | None:
    """The text of tokens start ... end - 1 of one file; None without a tokenizer."""
    source = _source(tokens)
    found = read_tokens(source, file, start, end)
    engine = engine_of(source)
    return engine.decode(found.tolist()) if engine is not None else None


def read_document(tokens: str | Path | TokenSource, id: str) -> list[TokenDocument]:
    """The documents of that id in the order of the files; raises DataError if there is none.

    There is more than one where a mix repeats it, and of a document that packing cut one for each piece.
    """
    source = _source(tokens)
    places = []
    for file in source.files:
        for rows in read_rows(file):
            for i in np.flatnonzero(pc.equal(rows.ids, id).to_numpy(zero_copy_only=False)).tolist():
                places.append((file, _place(file, rows, i)))
    if not places:
        raise DataError(f"{source.path}: expected a document `{id}`, found none of that id")
    return _documents(source, places)


def read_numbered(tokens: str | Path | TokenSource, number: int) -> TokenDocument:
    """Document `number`, from 0 in the order of the files; raises DataError for one that is not there."""
    source = _source(tokens)
    first = 0
    for file in source.files:
        for rows in read_rows(file):
            if number < first + len(rows):
                return _documents(source, [(file, _place(file, rows, number - first))])[0]
            first += len(rows)
    raise DataError(f"{source.path}: expected a document from 0 to {first - 1}, found {number}")


def engine_of(source: TokenSource) -> Engine | None:
    """What decodes its tokens, where it is known."""
    if source.tokenizer is None:
        return None
    return load_engine(source.tokenizer.path or "", choice="reference")


def file_name(file: SourceFile) -> str:
    """As it is called in its directory."""
    return f"{file.name}{SUFFIXES[file.form]}"


def _documents(source: TokenSource, places: list[tuple[SourceFile, Place]]) -> list[TokenDocument]:
    engine = engine_of(source)
    found = []
    for file, place in places:
        tokens = np.array(open_tokens(file)[place.start : place.end])
        text = engine.decode(tokens.tolist()) if engine is not None else None
        found.append(TokenDocument(place=place, tokens=tokens, text=text))
    return found


def _place(file: SourceFile, rows: Rows, i: int) -> Place:
    start = int(rows.starts[i])
    return Place(
        file=file_name(file),
        start=start,
        end=start + int(rows.lengths[i]),
        id=rows.ids[i].as_py(),
        src=rows.sources[i].as_py(),
        loc=rows.lines[i].as_py(),
    )


def _source(tokens: str | Path | TokenSource) -> TokenSource:
    return tokens if isinstance(tokens, TokenSource) else open_source(str(tokens))


def _file(source: TokenSource, name: str) -> SourceFile:
    file = next((f for f in source.files if name in (file_name(f), f.name)), None)
    if file is None:
        of = " of its manifest" if source.form == "dolma" and source.manifest is not None else ""
        raise DataError(f"{source.path}: expected one of the {len(source.files)} token files{of}, found `{name}`")
    return file
