"""Looking into token files: the documents they hold, found by id or by place, as tokens and as text."""

from __future__ import annotations

import csv
import gzip
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dolma_pipeline.errors import DataError
from dolma_pipeline.tokens.engine import load_engine
from dolma_pipeline.tokens.manifest import Manifest, read_manifest


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
    """A document as it stands in a token file, BOS and EOS included in both forms."""

    place: Place
    tokens: NDArray[np.unsignedinteger]
    text: str


def read_places(directory: str | Path) -> Iterator[Place]:
    """Every document in the order of the files."""
    base = Path(directory)
    for file in read_manifest(base).files:
        with gzip.open(base / file.index, "rt", encoding="utf-8", newline="") as rows:
            for start, end, name, src, loc in csv.reader(rows):
                yield Place(file=file.path, start=int(start), end=int(end), id=name, src=src, loc=int(loc))


def read_tokens(
    directory: str | Path, file: str, start: int = 0, end: int | None = None
) -> NDArray[np.unsignedinteger]:
    """Tokens start ... end - 1 of one file; a range that is not in it is a DataError."""
    base = Path(directory)
    tokens = _open(base, read_manifest(base), file)
    last = len(tokens) if end is None else end
    if not 0 <= start <= last <= len(tokens):
        raise DataError(f"{base / file}: expected a range within its {len(tokens)} tokens, found {start} to {last}")
    return np.array(tokens[start:last])


def decode_range(directory: str | Path, file: str, start: int, end: int) -> str:
    """The text of tokens start ... end - 1 of one file."""
    tokens = read_tokens(directory, file, start, end)
    engine = load_engine(str(Path(directory) / read_manifest(directory).tokenizer.path), choice="reference")
    return engine.decode(tokens.tolist())


def read_document(directory: str | Path, id: str) -> list[TokenDocument]:
    """The documents of that id in the order of the files; none is a DataError.

    There is more than one where a mix repeats it, and of a document that packing cut one for each piece.
    """
    base = Path(directory)
    places = [p for p in read_places(base) if p.id == id]
    if not places:
        raise DataError(f"{base}: expected a document `{id}`, found none of that id")
    engine = load_engine(str(base / read_manifest(base).tokenizer.path), choice="reference")
    found = []
    for place in places:
        tokens = read_tokens(base, place.file, place.start, place.end)
        found.append(TokenDocument(place=place, tokens=tokens, text=engine.decode(tokens.tolist())))
    return found


def _open(base: Path, manifest: Manifest, name: str) -> NDArray[np.unsignedinteger]:
    file = next((f for f in manifest.files if f.path == name), None)
    if file is None:
        raise DataError(
            f"{base}: expected one of the {len(manifest.files)} token files of its manifest, found `{name}`"
        )
    size = (base / name).stat().st_size
    if size != file.bytes:
        raise DataError(f"{base / name}: expected {file.bytes} bytes, found {size}: the file is not the manifest's")
    return np.memmap(base / name, dtype=np.dtype(manifest.dtype).newbyteorder("<"), mode="r")
