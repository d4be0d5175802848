"""Paragraphs, sentences and words of a text; names; modules by name or path."""

from __future__ import annotations

import re
from collections.abc import Sequence

import pyarrow as pa

from dolma_pipeline import _native
from dolma_pipeline.taggers.data_types import TextSlice
from dolma_pipeline.taggers.registry import describe


def split_paragraphs(text: str, remove_empty: bool = True) -> list[TextSlice]:
    """Returns the lines of `text` with their line breaks; `remove_empty` leaves out those of white space."""
    slices = []
    start = 0
    for line in text.split("\n"):
        end = min(start + len(line) + 1, len(text))
        if start < end and (line.strip() or not remove_empty):
            slices.append(TextSlice(text, start, end))
        start = end
    return slices


def split_sentences(text: str, remove_empty: bool = True) -> list[TextSlice]:
    """Returns the sentences of `text` by Unicode's rules (UAX 29), without the white space around them.

    Dolma takes them from BlingFire, whose model differs after abbreviations. Raises NotImplementedError, as Dolma
    does, if `remove_empty` is false.
    """
    if not remove_empty:
        raise NotImplementedError("expected remove_empty=True: a sentence without text has no place")
    return _pieces(text, "sentence")


def split_words(text: str, remove_empty: bool = True) -> list[TextSlice]:
    """Returns words and punctuation marks by Unicode's rules (UAX 29); without `remove_empty` white space too."""
    return _pieces(text, "word" if remove_empty else "segment")


def _pieces(text: str, unit: str) -> list[TextSlice]:
    found = _native.text_pieces(pa.array([text], pa.large_string()), unit)
    places = zip(found.column("start").to_pylist(), found.column("end").to_pylist(), strict=True)
    return [TextSlice(text, start, end) for start, end in places]


def make_variable_name(name: str, remove_multiple_underscores: bool = False) -> str:
    """Returns `name` with `_` for anything but letters, digits and `_`; raises ValueError if it begins with a digit."""
    name = re.sub(r"[^a-zA-Z0-9_]", "_", name)
    if remove_multiple_underscores:
        name = re.sub(r"__+", "_", name)
    if name[:1].isdigit():
        raise ValueError(f"expected a name that does not begin with a digit, found `{name}`")
    return name


def import_modules(modules_path: Sequence[str] | None) -> None:
    """Imports modules by dotted name, by the path of a `.py` file, or by the directory of a package."""
    describe(modules_path or [])


__all__ = ["import_modules", "make_variable_name", "split_paragraphs", "split_sentences", "split_words"]
