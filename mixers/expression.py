"""A `drop` rule: compiled once, evaluated on the columns of a batch.

Truth has three values. A comparison with what is absent is unknown, `not` of unknown is unknown, and a document is
dropped only where the rule is true. An attribute that stands alone is never unknown: it is there or not.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Mapping, Sequence
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
from dolma_pipeline.mixers.syntax import (
    EXACT,
    Arithmetic,
    Attribute,
    Call,
    Comparison,
    Field,
    Logic,
    Node,
    Not,
    Number,
    Text,
    Value,
    parse,
)

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
        for node in _walk(self.tree):
            if isinstance(node, Attribute) and node.name not in found:
                found[node.name] = keys.resolve(node.name, available, f"{self.where}: column {node.column}")
        return found

    def evaluate(self, columns: Mapping[str, pa.Array], n: int) -> npt.NDArray[np.bool_]:
        """Whether the rule is true of each of `n` documents.

        `columns`: an array for each of `fields`, and of `names`: nullable float64, or list<struct<start, end, score>>.
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
    for node in _walk(tree):
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


def _walk(tree: Node) -> Iterator[Node]:
    """All nodes in the order of the text."""
    yield tree
    children: tuple[Node, ...] = ()
    if isinstance(tree, Logic):
        children = tree.parts
    elif isinstance(tree, Not):
        children = (tree.inner,)
    elif isinstance(tree, Comparison):
        children = (tree.left, tree.right)
    elif isinstance(tree, Arithmetic):
        children = (tree.first, *(node for _, node in tree.rest))
    elif isinstance(tree, Call):
        children = (tree.attribute,)
    for child in children:
        yield from _walk(child)


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
        if isinstance(node.left, Text | Value) and isinstance(node.right, Text | Value) and _are_texts(node):
            return _same_text(node.left, node.right, columns, node.sign == "==")
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


def _exactly(node: Node, columns: Mapping[str, pa.Array], row: int, value: float) -> Decimal:
    """The number of a document to its last digit, where that is known; `value`: the double that it is."""
    if isinstance(node, Number) and node.exact is not None:
        return node.exact
    if isinstance(node, Value) and (digits := columns.get(f"{DIGITS}:{node.path}")) is not None:
        return Decimal(digits[row].as_py())
    if isinstance(node, Attribute) and pa.types.is_integer(columns[node.name].type):
        return Decimal(columns[node.name][row].as_py())
    return Decimal(value)


def _signed(value: npt.NDArray[np.bool_], known: npt.NDArray[np.bool_]) -> Truth:
    return np.where(known, np.where(value, 1, -1), 0).astype(np.int8)


def _are_texts(node: Comparison) -> bool:
    return all(
        isinstance(side, Text) or (isinstance(side, Value) and side.form == "text") for side in (node.left, node.right)
    )


def _same_text(left: Text | Value, right: Text | Value, columns: Mapping[str, pa.Array], wanted: bool) -> Truth:
    values = [_text(side, columns) for side in (left, right)]
    same = pc.equal(*values)
    if isinstance(same, pa.Scalar):
        return _signed(np.asarray(same.as_py() == wanted), np.asarray(True))
    same = attributes.one_array(same)
    known = np.asarray(same.is_valid().to_numpy(zero_copy_only=False))
    return _signed(np.asarray(pc.fill_null(same, False).to_numpy(zero_copy_only=False)) == wanted, known)


def _text(node: Text | Value, columns: Mapping[str, pa.Array]) -> pa.Array | pa.Scalar:
    if isinstance(node, Value):
        return columns[node.key]
    return columns[node.value] if node.field else pa.scalar(node.value)


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
