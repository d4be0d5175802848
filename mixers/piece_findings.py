"""What a mix finds in a piece of a file that means something only beside what it finds in the others."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from msgspec import Struct

from dolma_pipeline.formats.attributes import EndOfPiece, kinds_problem
from dolma_pipeline.formats.other_texts import joined_digest, other_texts, past_warnings

Many = tuple[int, str]
"""How many documents, and the first of them."""


class PieceFindings(Struct, frozen=True, kw_only=True):
    """What is told of a file once all of its pieces were read."""

    beside: dict[str, EndOfPiece] = {}
    """Attribute file -> what is known of it at the end of the piece; none where the file of documents is damaged."""
    damaged: bool = False
    unseen: list[str] = []
    """Names that filters ask for and no document of the piece has, in the order in which they are told."""
    failed: dict[str, Many] = {}
    """Expression -> the documents on which it failed."""


def unseen_warning(path: str, name: str) -> str:
    return f"{path}: no attribute `{name}` beside it, which a filter or span asks for"


def failed_warning(path: str, what: str, found: Many) -> str:
    return f"{path}: {what} failed on {found[0]} documents; the first: {found[1]}"


def together(path: str, pieces: Sequence[PieceFindings]) -> tuple[list[str], str]:
    """The warnings about the file `path`, and why its attributes cannot be its own; empty where they can."""
    if any(piece.damaged for piece in pieces):
        files: list[str] = []
    else:
        files = list(pieces[0].beside)
    warnings, problem = [], ""
    for file in files:
        ends = [piece.beside[file] for piece in pieces]
        recorded, seen = ends[0].recorded, [end.texts for end in ends]
        two = [key for key, kinds in _kinds([end.kinds for end in ends]).items() if len(kinds) > 1]
        if not problem and two:
            problem = kinds_problem(file, two, sys.maxsize)
        if not problem:
            problem = ends[-1].left
        if not problem and recorded is not None and joined_digest(seen) != recorded:
            problem = other_texts(file, path)
        warnings += past_warnings(file, _sums([end.past for end in ends]))
    warnings += [unseen_warning(path, n) for n in pieces[0].unseen if all(n in piece.unseen for piece in pieces)]
    failed = _sums([piece.failed for piece in pieces])
    return warnings + [failed_warning(path, what, found) for what, found in failed.items()], problem


def _kinds(pieces: Sequence[dict[str, str]]) -> dict[str, set[str]]:
    """The kinds of each attribute in all pieces."""
    found: dict[str, set[str]] = {}
    for piece in pieces:
        for key, kind in piece.items():
            found.setdefault(key, set()).add(kind)
    return found


def _sums(pieces: Sequence[dict[str, Many]]) -> dict[str, Many]:
    found: dict[str, Many] = {}
    for piece in pieces:
        for what, (count, first) in piece.items():
            before, earliest = found.get(what, (0, first))
            found[what] = (before + count, earliest)
    return found


def joined_use(pieces: Sequence[dict[str, Any]], rows: Sequence[int]) -> list[dict[str, Any]]:
    """What `Use.details` says of each piece of a file, to be added up: what says how many files counts once.

    `rows`: number of documents of each piece.
    """
    # A piece without documents says nothing about what they have.
    without = [piece.get("without", {}) for piece, count in zip(pieces, rows, strict=True) if count] or [{}]
    common = {name: files for name, files in without[0].items() if all(name in each for each in without)}
    joined = []
    for number, piece in enumerate(pieces):
        first = {"without": common, "lacking": piece.get("lacking", {})} if number == 0 else {}
        own = {key: value for key, value in piece.items() if key not in ("without", "lacking")}
        joined.append(own | {key: value for key, value in first.items() if value})
    return joined
