"""A `drop` rule: compiled once, evaluated on the columns of a batch.

Truth has three values. A comparison with what is absent is unknown, `not` of unknown is unknown, and a document is
dropped only where the rule is true. An attribute that stands alone is never unknown: it is there or not.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from dolma_pipeline.errors import ConfigError
from dolma_pipeline.mixers import attributes, keys
from dolma_pipeline.mixers.attributes import Floats
from dolma_pipeline.mixers.fields import DIGITS
from dolma_pipeline.mixers.nodes import (
    EXACT,
    Arithmetic,
    Attribute,
    Call,
    Comparison,
    Field,
    Flag,
    Logic,
    Node,
    Not,
    Number,
    Text,
    Value,
    walk,
)
from dolma_pipeline.mixers.rule_kinds import Need, needs
from dolma_pipeline.mixers.syntax import parse

Truth = npt.NDArray[np.int8]
"""1 true, 0 unknown, -1 false: `and` is the minimum, `or` the maximum, `not` the negative."""

_COMPARE: dict[str, Any] = {
    "<": np.less,
    "<=": np.less_equal,
    ">": np.greater,
    ">=": np.greater_equal,
    "==": np.equal,
    "!=": np.not_equal,
}
_COMPARE_EXACTLY: dict[str, Callable[[Decimal, Decimal], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
}


@dataclass(frozen=True)
class Rule:
    """A condition on documents."""

    text: str
    where: str
    names: tuple[str, ...]
    """The attributes it reads, as the text calls them, in order of appearance."""
    fields: tuple[str, ...]
    """What else it reads, of `length`, `bytes` (int64), `source` and `id` (strings), and keys of fields of documents
    (see fields.py)."""
    tree: Node

    def resolve(self, available: Mapping[str, Sequence[str]]) -> dict[str, tuple[str, str]]:
        """The (experiment, key) of each name; ConfigError at the first that is unknown or ambiguous."""
        found = {}
        for node in walk(self.tree):
            if isinstance(node, Attribute) and node.name not in found:
                found[node.name] = keys.resolve(node.name, available, f"{self.where}: column {node.column}")
        return found

    def evaluate(self, columns: Mapping[str, pa.Array], n: int) -> npt.NDArray[np.bool_]:
        """Whether the rule is true of each of `n` documents.

        `columns`: an array for each of `fields`, and for each of `names`, in the type of its kind.
        """
        for name in (*self.names, *self.fields):
            if name not in columns:
                raise KeyError(f"{self.where}: no column for `{name}`, only {sorted(columns)}")
            if len(columns[name]) != n:
                raise ValueError(f"{self.where}: `{name}`: expected {n} rows, found {len(columns[name])}")
        with np.errstate(all="ignore"):
            return np.broadcast_to(_truth(self.tree, columns) > 0, n).copy()


def compile(text: str, where: str) -> Rule:
    """Reads `text`; raises ConfigError for a mistake, with `where`, its column and a caret below it."""
    return rule_of(parse(text, where), text, where)


def rule_of(tree: Node, text: str, where: str) -> Rule:
    """The rule of a condition that is read already."""
    found: dict[str, None] = {}
    fields: set[str] = set()
    for node in walk(tree):
        if isinstance(node, Attribute):
            found[node.name] = None
        elif isinstance(node, Field):
            fields.add(node.name)
        elif isinstance(node, Value):
            fields.add(node.key)
        elif isinstance(node, Text) and node.field:
            fields.add(node.value)
        elif isinstance(node, Call) and node.function == "fraction":
            fields.add("length")
    return Rule(text=text, where=where, names=tuple(found), fields=tuple(sorted(fields)), tree=tree)


def compile_all(rules: Mapping[str, str], where: str) -> dict[str, Rule]:
    """The rules of a `drop` section by name; `where` is the path of the section."""
    return {name: compile(text, f"{where}.{name}") for name, text in rules.items()}


def needs_of(rules: Mapping[str, Rule]) -> list[Need]:
    """Returns what all of `rules` want of attributes."""
    return [need for rule in rules.values() for need in needs(rule.tree, rule.text, rule.where)]


def resolve_all(rules: Mapping[str, Rule], available: Mapping[str, Sequence[str]]) -> dict[str, tuple[str, str]]:
    """The (experiment, key) of every name in `rules`."""
    found: dict[str, tuple[str, str]] = {}
    for rule in rules.values():
        found |= rule.resolve(available)
    return found


def numbers(node: Node, columns: Mapping[str, pa.Array], n: int) -> Floats:
    """The value of a numeric node for each of `n` documents, NaN where it is unknown."""
    with np.errstate(all="ignore"):
        return np.broadcast_to(_number(node, columns), n).copy()


def _truth(node: Node, columns: Mapping[str, pa.Array]) -> Truth:
    if isinstance(node, Logic):
        join = np.minimum if node.kind == "and" else np.maximum
        result = _truth(node.parts[0], columns)
        for part in node.parts[1:]:
            result = join(result, _truth(part, columns))
        return result
    if isinstance(node, Not):
        negated: Truth = np.negative(_truth(node.inner, columns))
        return negated
    if isinstance(node, Comparison):
        if _are_plain(node, columns):
            return _same(node, columns)
        return _compared(node, columns)
    if isinstance(node, Value):
        column = attributes.one_array(columns[node.key])
        known = np.asarray(column.is_valid().to_numpy(zero_copy_only=False))
        there = np.asarray(column.fill_null(False).to_numpy(zero_copy_only=False))
        return _signed(there, known)
    if isinstance(node, Attribute | Call):
        name = node.name if isinstance(node, Attribute) else node.attribute.name
        found = attributes.present(columns[name])
        return _signed(found, np.ones_like(found))
    raise ConfigError(f"expected a condition, found {node}")


def _compared(node: Comparison, columns: Mapping[str, pa.Array]) -> Truth:
    """The comparison of two numbers: as doubles, and where both are the same large one by their digits.

    Rounding never turns the order of two numbers around, so this is exact for whole numbers of any size.
    """
    whole = [_whole(side, columns) for side in (node.left, node.right)]
    if whole[0] is not None and whole[1] is not None:
        (left_integers, left_known), (right_integers, right_known) = whole[0], whole[1]
        return _signed(np.asarray(_COMPARE[node.sign](left_integers, right_integers)), left_known & right_known)
    left, right = _number(node.left, columns), _number(node.right, columns)
    found = np.asarray(_COMPARE[node.sign](left, right))
    same = np.asarray((left == right) & (np.abs(left) >= EXACT) & np.isfinite(left))
    if same.any():
        found, values = found.copy(), np.broadcast_to(left, same.shape)
        for row in np.argwhere(same):
            at, value = tuple(row), float(values[tuple(row)])
            sides = (_exactly(side, columns, int(row[0]) if len(row) else 0, value) for side in (node.left, node.right))
            found[at] = _COMPARE_EXACTLY[node.sign](*sides)
    return _signed(found, ~(np.isnan(left) | np.isnan(right)))


def _whole(node: Node, columns: Mapping[str, pa.Array]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]] | None:
    """The whole number of each document, and whether it has one; None for what may be another number."""
    if isinstance(node, Attribute) and pa.types.is_int64(columns[node.name].type):
        column = attributes.one_array(columns[node.name])
        return attributes.to_integers(pc.fill_null(column, 0)), attributes.there(column)
    if isinstance(node, Number) and node.exact is not None and node.exact == node.exact.to_integral_value():
        exact = int(node.exact)
        if -(2**63) <= exact < 2**63:
            return np.asarray(exact, np.int64), np.asarray(True)
    return None


def _exactly(node: Node, columns: Mapping[str, pa.Array], row: int, value: float) -> Decimal:
    """The number of a document to its last digit, where that is known; `value`: the double that it is."""
    if isinstance(node, Number) and node.exact is not None:
        return node.exact
    if isinstance(node, Value) and (digits := columns.get(f"{DIGITS}:{node.path}")) is not None:
        return Decimal(digits[row].as_py())
    name = node.name if isinstance(node, Attribute) else ""
    if isinstance(node, Call) and node.function in ("max", "sum"):
        name = node.attribute.name
    if name and pa.types.is_integer(columns[name].type):
        return Decimal(columns[name][row].as_py())
    return Decimal(value)


def _signed(value: npt.NDArray[np.bool_], known: npt.NDArray[np.bool_]) -> Truth:
    return np.where(known, np.where(value, 1, -1), 0).astype(np.int8)


def _are_plain(node: Comparison, columns: Mapping[str, pa.Array]) -> bool:
    """Whether texts or flags are compared, which two attributes tell only by their columns."""
    sides = (node.left, node.right)
    if any(isinstance(side, Text | Flag) or (isinstance(side, Value) and side.form == "text") for side in sides):
        return True
    return all(isinstance(side, Attribute) for side in sides) and any(
        isinstance(side, Attribute) and attributes.is_plain(columns[side.name]) for side in sides
    )


def _same(node: Comparison, columns: Mapping[str, pa.Array]) -> Truth:
    left, right = (_plain(side, columns) for side in (node.left, node.right))
    if _is_nothing(left) or _is_nothing(right):
        return np.zeros(1, np.int8)
    same = pc.equal(left, right)
    if isinstance(same, pa.Scalar):
        return _signed(np.asarray(same.as_py() == (node.sign == "==")), np.asarray(True))
    same = attributes.one_array(same)
    known = np.asarray(same.is_valid().to_numpy(zero_copy_only=False))
    equal = np.asarray(pc.fill_null(same, False).to_numpy(zero_copy_only=False))
    return _signed(equal == (node.sign == "=="), known)


def _plain(node: Node, columns: Mapping[str, pa.Array]) -> pa.Array | pa.Scalar:
    """A column of texts or flags, or one of them for all documents."""
    if isinstance(node, Flag):
        return pa.scalar(node.value)
    if isinstance(node, Text):
        return columns[node.value] if node.field else pa.scalar(node.value, pa.large_string())
    return columns[node.key if isinstance(node, Value) else node.name] if isinstance(node, Value | Attribute) else None


def _is_nothing(side: pa.Array | pa.Scalar) -> bool:
    """Whether no document has a value: such a column may be of any type."""
    if isinstance(side, pa.Scalar) or attributes.is_plain(side):
        return False
    if attributes.count(side).any():
        raise TypeError(f"expected texts or flags, found {side.type}")
    return True


def _number(node: Node, columns: Mapping[str, pa.Array]) -> Floats:
    """float64, NaN where it is unknown; a constant has no dimension."""
    if isinstance(node, Number):
        return np.asarray(node.value, np.float64)
    if isinstance(node, Field):
        return attributes.to_floats(columns[node.name])
    if isinstance(node, Value):
        return attributes.to_floats(columns[node.key])
    if isinstance(node, Attribute):
        return attributes.first(columns[node.name])
    if isinstance(node, Call):
        column = columns[node.attribute.name]
        if node.function == "fraction":
            return attributes.covered(column, attributes.to_integers(columns["length"]))
        measure = {"count": attributes.count, "max": attributes.maximum, "sum": attributes.total}[node.function]
        return measure(column)
    if isinstance(node, Arithmetic):
        result = _number(node.first, columns)
        for sign, part in node.rest:
            result = _calculate(result, sign, _number(part, columns))
        return result
    raise ConfigError(f"expected a number, found {node}")


def _calculate(left: Floats, sign: str, right: Floats) -> Floats:
    """Anything over zero is unknown."""
    if sign == "/":
        return np.asarray(np.where(right == 0, np.nan, np.divide(left, right)))
    operation = {"+": np.add, "-": np.subtract, "*": np.multiply}[sign]
    return np.asarray(operation(left, right))
