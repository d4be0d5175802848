"""Which kinds of attributes a rule can read: checked in the plan where they are known, else when files are read."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from dolma_pipeline.errors import ConfigError, DataError
from dolma_pipeline.formats.kinds import KINDS, Kind, kind_of, shown
from dolma_pipeline.mixers import attributes
from dolma_pipeline.mixers.nodes import (
    Arithmetic,
    Attribute,
    Call,
    Comparison,
    Flag,
    Logic,
    Node,
    Not,
    Number,
    Text,
    Value,
)

NUMBERS: tuple[Kind, ...] = ("float64", "int64", "spans")
_HINTS: Mapping[Kind, str] = {
    "float64": "compare `{name}` with a number",
    "int64": "compare `{name}` with a number",
    "spans": "compare `{name}` with a number",
    "string": '`{name} == "..."` and `{name} in ["...", "..."]` compare texts',
    "bool": "write `{name}` or `not {name}`",
}


class Need(NamedTuple):
    """What a rule or an edit wants of an attribute."""

    name: str
    kinds: tuple[Kind, ...]
    what: str
    """The kinds in words."""
    where: str
    """The path of the rule."""
    text: str
    column: int
    """Where the text names it, from 1."""
    like: str | None = None
    """Another attribute, which it is compared with: both are numbers, both texts, or both flags."""


def needs(tree: Node, text: str, where: str) -> list[Need]:
    """Returns what a rule wants of each attribute, wherever it names one."""
    found: list[Need] = []

    def add(node: Node, kinds: tuple[Kind, ...], what: str, like: str | None = None) -> None:
        if isinstance(node, Attribute):
            found.append(Need(node.name, kinds, what, where, text, node.column, like))

    def visit(node: Node) -> None:
        if isinstance(node, Logic):
            for part in node.parts:
                visit(part)
        elif isinstance(node, Not):
            visit(node.inner)
        elif isinstance(node, Comparison):
            compare(node)
        elif isinstance(node, Arithmetic):
            for part in (node.first, *(n for _, n in node.rest)):
                add(part, NUMBERS, "a number")
                visit(part)
        elif isinstance(node, Call) and node.function not in ("any", "count"):
            add(node.attribute, NUMBERS, "a number")

    def compare(node: Comparison) -> None:
        for side, other in ((node.left, node.right), (node.right, node.left)):
            if isinstance(other, Text) or (isinstance(other, Value) and other.form == "text"):
                add(side, ("string",), "a text")
            elif isinstance(other, Flag):
                add(side, ("bool",), "true or false")
            elif isinstance(other, Attribute) and node.sign in ("==", "!="):
                add(side, KINDS, "", other.name)
            elif isinstance(other, Number) and other.rounded:
                add(side, ("int64",), f"a whole number (int64), which alone is exactly {other.exact}")
            elif isinstance(other, Value):
                add(side, NUMBERS, f"a number beside `{other.path}`, which is a text only beside a quoted one,")
            else:
                add(side, NUMBERS, "a number")
            if not isinstance(side, Attribute):
                visit(side)

    visit(tree)
    return found


def check_planned(wanted: Iterable[Need], kinds: Mapping[str, Kind | None]) -> None:
    """Raises ConfigError, with a caret, for the first attribute whose kind does not do; `kinds` by name."""
    for need in wanted:
        problem = _problem(need, kinds)
        if problem is not None:
            expected, found = problem
            line = " ".join(need.text.split("\n"))
            raise ConfigError(
                f"{need.where}: expected {expected} at column {need.column}, found {found}\n    {line}\n    "
                f"{' ' * (need.column - 1)}^"
            )


def check_read(wanted: Iterable[Need], columns: Mapping[str, pa.Array], place: Callable[[str, int], str]) -> None:
    """Raises DataError for the first attribute of a batch whose values do not do.

    `place(name, row)` says where the value of a row stands.
    """
    kinds: dict[str, Kind | None] = {}
    for need in wanted:
        for name in (need.name, need.like):
            if name is not None and name not in kinds:
                kinds[name] = kind_of(columns[name].type) if attributes.count(columns[name]).any() else None
        problem = _problem(need, kinds)
        if problem is not None:
            row = int(np.flatnonzero(attributes.count(columns[need.name]))[0])
            expected, found = problem
            raise DataError(f"{place(need.name, row)}: {need.where}: `{need.text}`: expected {expected}, found {found}")


def _problem(need: Need, kinds: Mapping[str, Kind | None]) -> tuple[str, str] | None:
    """What is expected and what is found, where that is something else."""
    kind = kinds.get(need.name)
    if kind is None:
        return None
    hint = _HINTS[kind].format(name=need.name)
    if kind not in need.kinds:
        return f"{need.what} as `{need.name}`", f"{shown(kind)}; {hint}"
    other = kinds.get(need.like) if need.like is not None else None
    if other is not None and _sort(other) != _sort(kind):
        return f"attributes of one kind, as `{need.like}` is {shown(other)}", f"`{need.name}`, {shown(kind)}; {hint}"
    return None


def _sort(kind: Kind) -> str:
    return "number" if kind in NUMBERS else kind
