"""Edits of texts: which spans go, and what takes their place.

Spans that overlap are one: their union is replaced, once, by what the earliest of the edits says. So no piece of a span
that was to go is left behind, whatever the order in which spans were found.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from dolma_pipeline import _native
from dolma_pipeline.config.recipe import Edit
from dolma_pipeline.errors import ConfigError
from dolma_pipeline.formats.kinds import SPANS
from dolma_pipeline.mixers import attributes
from dolma_pipeline.mixers.attributes import Integers
from dolma_pipeline.mixers.rule_kinds import NUMBERS, Need

ORIGINAL = "{}"
"""Stands for the original text in the replacement of a `span`."""
PROGRAM = "$"
"""A replacement that begins with it is a jq program, as in Dolma."""
_NUMBER = re.compile(r"\s*-?\.?\d[\d.]*\s*$")
SPAN = pa.struct(
    [
        pa.field("start", pa.int64(), nullable=False),
        pa.field("end", pa.int64(), nullable=False),
        pa.field("replacement", pa.int32(), nullable=False),
    ]
)


class EditPlan(NamedTuple):
    """What `_native.apply_edits` takes, and its account."""

    spans: pa.ListArray
    """Per document a list of SPAN in code points, in order, within the text and apart."""
    replacements: list[str]
    counts: dict[str, int]
    """Spans found, by edit."""
    overlapping: int
    """Documents whose text would be another in Dolma, which changes only the first of spans that overlap."""


class Applied(NamedTuple):
    """Texts after edits, and the same account."""

    texts: pa.LargeStringArray | None
    """Null where nothing changed. None: nowhere."""
    counts: dict[str, int]
    overlapping: int


class _Found(NamedTuple):
    """Spans by document, sorted; texts lie `step` apart on one line, so that no span reaches into the next text."""

    start: Integers
    end: Integers


def check(edit: Edit, where: str) -> None:
    """ConfigError where `edit` cannot be meant."""
    kinds = [k for k in ("replace", "cut", "span") if getattr(edit, k) is not None]
    if len(kinds) != 1:
        found = " and ".join(f"`{k}`" for k in kinds) or "none"
        raise ConfigError(f"{where}: expected exactly one of `replace`, `cut` and `span`, found {found}")
    if edit.with_ and kinds != ["replace"]:
        raise ConfigError(f"{where}: `with` goes with `replace`, found it with `{kinds[0]}`")
    if edit.replacement and kinds != ["span"]:
        raise ConfigError(f"{where}: `replacement` goes with `span`, found it with `{kinds[0]}`; write `with`")
    text = program(edit)
    if text is not None and (not text.strip() or _NUMBER.match(text)):
        found = f"the number {text.strip()}" if text.strip() else "no program"
        raise ConfigError(
            f"{where}.replacement: expected a jq program that gives a string after `$`, found {found}; "
            f'for the text `{edit.replacement}` write `$"{edit.replacement}"`'
        )
    if edit.min_score is not None and edit.max_score is not None and edit.min_score >= edit.max_score:
        raise ConfigError(
            f"{where}: expected min_score below max_score, found {edit.min_score} and {edit.max_score}: no score fits"
        )


def attribute(edit: Edit) -> str | None:
    """The `tagger.attribute` whose spans it changes; None of Dolma's form, which selects them by an expression."""
    name = edit.replace if edit.replace is not None else edit.cut
    return None if name is None else name.replace("`", "")


def needs(edits: Sequence[Edit], where: str) -> list[Need]:
    """Returns what `edits`, below the path `where`, want of attributes: a text or a flag has no place to change."""
    found = []
    for i, edit in enumerate(edits):
        name = attribute(edit)
        if name is not None:
            kind = "replace" if edit.replace is not None else "cut"
            found.append(Need(name, NUMBERS, "spans", f"{where}[{i}].{kind}", name, 1))
    return found


def program(edit: Edit) -> str | None:
    """The jq program of its replacement; None if the replacement is a plain text."""
    return edit.replacement.removeprefix(PROGRAM) if edit.replacement.startswith(PROGRAM) else None


def label(edit: Edit) -> str:
    """What its spans are counted under."""
    kind = "replace" if edit.replace is not None else "cut" if edit.cut is not None else "span"
    return f"{kind} {getattr(edit, kind)}"


Values: TypeAlias = Callable[[int, list[int]], list[str | None]]
"""The strings that the program of an edit, at this position, gives for these documents; None leaves the spans alone."""


def apply(
    edits: Sequence[Edit], columns: Sequence[pa.Array], texts: pa.LargeStringArray, rows: Integers
) -> Applied | None:
    """Makes edits of spans that columns hold, in one native call; None where one of them has another form.

    `columns`: the attribute of each edit; `rows`: the text that each row of these tells of, -1 where it stays as it is.
    """
    if any(edit.span is not None for edit in edits) or any(column.type != SPANS for column in columns):
        return None
    bounds = [(edit.min_score, edit.max_score) for edit in edits]
    strings = [edit.with_ for edit in edits]
    changed, found, overlapping = _native.edit_spans(texts, pa.array(rows, pa.int64()), columns, bounds, strings)
    counts: dict[str, int] = {}
    for edit, count in zip(edits, found, strict=True):
        counts[label(edit)] = counts.get(label(edit), 0) + count
    return Applied(changed, counts, overlapping)


def plan_edits(
    edits: Sequence[Edit],
    columns: Sequence[pa.Array],
    texts: pa.LargeStringArray,
    lengths: Integers,
    values: Values,
    wanted: npt.NDArray[np.bool_] | None = None,
) -> EditPlan:
    """The spans to change in `texts`.

    `columns`: the attribute of each edit; `lengths`: code points of each text; `wanted`: texts to look at.
    """
    step = int(lengths.max(initial=0)) + 1
    replacements: dict[str, int] = {}
    counts: dict[str, int] = {}
    apart: list[_Found] = []
    found: list[_Found] = []
    which: list[npt.NDArray[np.int32]] = []
    for i, (edit, column) in enumerate(zip(edits, columns, strict=True)):
        single = _spans(edit, column, lengths, step, wanted)
        made: dict[int, str] | None = None
        if program(edit) is not None:
            rows = np.unique(single.start // step).tolist()
            made = {row: s for row, s in zip(rows, values(i, rows), strict=True) if s is not None}
            there = np.isin(single.start // step, list(made))
            single = _Found(single.start[there], single.end[there])
        counts[label(edit)] = counts.get(label(edit), 0) + len(single.start)
        apart.append(single)
        spans, _ = _merge(single.start, single.end, np.zeros(len(single.start), np.int64))
        found.append(spans)
        strings = _strings(edit, spans, step, texts, made)
        index = np.asarray([replacements.setdefault(s, len(replacements)) for s in strings], np.int32)
        which.append(np.full(len(spans.start), index, np.int32) if len(index) == 1 else index)
    start, end, ranks = _joined(found)
    merged, winners = _merge(start, end, ranks)
    row = merged.start // step
    index = np.concatenate([*which, np.zeros(0, np.int32)])[winners]
    offsets = np.concatenate([[0], np.cumsum(np.bincount(row, minlength=len(lengths)))])
    items = pa.StructArray.from_arrays(
        [pa.array(merged.start - row * step), pa.array(merged.end - row * step), pa.array(index, pa.int32())],
        fields=list(SPAN),
    )
    spans_array = pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), items)
    return EditPlan(spans_array, list(replacements), counts, _overlapping(*_joined(apart), step))


def _joined(found: Sequence[_Found]) -> tuple[Integers, Integers, Integers]:
    """The spans of all edits, and the position of the edit of each."""
    empty = np.zeros(0, np.int64)
    ranks = np.repeat(np.arange(len(found)), [len(f.start) for f in found])
    return np.concatenate([*(f.start for f in found), empty]), np.concatenate([*(f.end for f in found), empty]), ranks


def _overlapping(start: Integers, end: Integers, rank: Integers, step: int) -> int:
    """Documents in which some spans overlap so that replacing their union is not replacing the first of them."""
    if _are_apart(start, end):
        return 0
    order = np.lexsort((rank, start))
    start, end, rank = start[order], end[order], rank[order]
    reached = np.maximum.accumulate(end)
    begins = np.concatenate([[True], start[1:] >= reached[:-1]])
    first = np.flatnonzero(begins)[np.cumsum(begins) - 1]
    return len(np.unique(start[(end > end[first]) | (rank < rank[first])] // step))


def _spans(edit: Edit, column: pa.Array, lengths: Integers, step: int, wanted: npt.NDArray[np.bool_] | None) -> _Found:
    """The spans of one edit as they are found."""
    found = attributes.spans(column, lengths)
    row = found.row
    fits = np.ones(len(row), np.bool_) if wanted is None else wanted[row]
    if edit.min_score is not None:
        fits &= found.score >= edit.min_score
    if edit.max_score is not None:
        fits &= found.score < edit.max_score
    start = np.clip(found.start, 0, lengths[row])
    end = np.clip(found.end, 0, lengths[row])
    fits &= start < end
    return _Found((start + row * step)[fits], (end + row * step)[fits])


def _are_apart(start: Integers, end: Integers) -> bool:
    """Whether spans, none of them empty, are in order and do not overlap: most taggers find them so."""
    return bool((start[1:] >= end[:-1]).all())


def _merge(start: Integers, end: Integers, rank: Integers) -> tuple[_Found, Integers]:
    """Unions of spans that overlap (not of those that touch), and the position of the span of lowest rank in each."""
    if _are_apart(start, end):
        return _Found(start, end), np.arange(len(start))
    order = np.lexsort((rank, start))
    start, end, rank = start[order], end[order], rank[order]
    reached = np.maximum.accumulate(end)
    begins = np.concatenate([[True], start[1:] >= reached[:-1]])
    group = np.cumsum(begins) - 1
    last = np.concatenate([np.flatnonzero(begins)[1:], [len(start)]]) - 1
    by_rank = np.lexsort((np.arange(len(start)), rank, group))
    winners = order[by_rank[np.flatnonzero(begins)]]
    return _Found(start[begins], reached[last]), winners


def _strings(
    edit: Edit,
    spans: _Found,
    step: int,
    texts: pa.LargeStringArray,
    made: dict[int, str] | None,
) -> list[str]:
    """What takes the place of each span, or one string for all. `made`: by document what the edit's program gives."""
    if len(spans.start) == 0:
        return []
    if edit.span is None:
        return [edit.with_]
    if made is None and ORIGINAL not in edit.replacement:
        return [edit.replacement]
    strings = []
    current, text = -1, ""
    for document, start, end in zip(
        (spans.start // step).tolist(), spans.start.tolist(), spans.end.tolist(), strict=True
    ):
        replacement = edit.replacement if made is None else made[document]
        if ORIGINAL in replacement:
            if document != current:
                current, text = document, texts[document].as_py()
            replacement = replacement.replace(ORIGINAL, text[start - document * step : end - document * step])
        strings.append(replacement)
    return strings
