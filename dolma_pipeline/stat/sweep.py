"""A `drop` expression with a threshold left open, `gopher_v2.word_count < {t}`: decided once, then for any threshold.

A document's fate depends on the threshold through one comparison. So the rule is evaluated three times, with that
comparison true, false and unknown, and a threshold then costs one comparison of numbers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from dolma_pipeline.errors import ConfigError
from dolma_pipeline.mixers import expression
from dolma_pipeline.mixers.expression import Rule, rule_of
from dolma_pipeline.mixers.nodes import EXACT, Attribute, Comparison, Logic, Node, Not, Number
from dolma_pipeline.mixers.syntax import parse

OPEN = "{t}"
_NAME = "\u0167.\u0167"
"""What the parser reads in place of OPEN: as long, so that columns in messages stay right, and nobody's attribute."""
_SIGNS: dict[str, Any] = {
    "<": np.less,
    "<=": np.less_equal,
    ">": np.greater,
    ">=": np.greater_equal,
    "==": np.equal,
    "!=": np.not_equal,
}
_TURNED = {"<": ">", "<=": ">=", ">": "<", ">=": "<="}
_TRUE = Comparison("==", Number(0.0), Number(0.0))
_FALSE = Comparison("!=", Number(0.0), Number(0.0))
_UNKNOWN = Comparison("==", Number(float("nan")), Number(0.0))


@dataclass(frozen=True)
class Judged:
    """Documents of a batch and what they hang on."""

    columns: Mapping[str, pa.Array]
    value: npt.NDArray[np.float64]
    """What is compared with the threshold, perhaps rounded; NaN where it is unknown."""
    if_true: npt.NDArray[np.bool_]
    """Whether the document is dropped where the comparison is true."""
    if_false: npt.NDArray[np.bool_]
    if_unknown: npt.NDArray[np.bool_]

    @property
    def open(self) -> npt.NDArray[np.bool_]:
        """Documents whose fate is up to the threshold."""
        return np.asarray((self.if_true != self.if_false) & np.isfinite(self.value))


@dataclass(frozen=True)
class Compiled:
    """An expression with one open threshold."""

    text: str
    rule: Rule
    """The expression with a number for the threshold: what it reads, and of which kind that must be."""
    sign: str
    """As in `value sign threshold`."""
    value: Node
    outcomes: tuple[Rule, Rule, Rule]

    def judge(self, columns: Mapping[str, pa.Array], n: int) -> Judged:
        value = expression.numbers(self.value, columns, n)
        return Judged(columns, value, *(rule.evaluate(columns, n) for rule in self.outcomes))

    def dropped(self, judged: Judged, threshold: int | float) -> npt.NDArray[np.bool_]:
        """Whether each document is dropped at `threshold`."""
        if EXACT <= abs(threshold) < np.inf:
            # A rounded value may be equal to it where the value is not.
            large = Comparison(self.sign, self.value, _number(threshold))
            hit = rule_of(large, self.text, self.rule.where).evaluate(judged.columns, len(judged.value))
        else:
            with np.errstate(invalid="ignore"):
                hit = _SIGNS[self.sign](judged.value, threshold)
        known = ~np.isnan(judged.value)
        return np.asarray(np.where(known, np.where(hit, judged.if_true, judged.if_false), judged.if_unknown))


def compile_sweep(text: str, where: str, at: Sequence[int | float] = ()) -> Compiled:
    """Reads `text` for the thresholds `at`.

    Raises ConfigError, with `where`, unless `{t}` is one side of one comparison in it.
    """
    try:
        tree = parse(text.replace(OPEN, _NAME), where)
    except ConfigError as error:
        raise ConfigError(str(error).replace(_NAME, OPEN)) from None
    found = [node for node in _comparisons(tree) if _is_open(node.left) != _is_open(node.right)]
    if len(found) != 1 or text.count(OPEN) != 1:
        raise ConfigError(
            f"{where}: expected `{OPEN}` once, as one side of a comparison such as `gopher_v2.word_count < {OPEN}`, "
            f"found `{text}`"
        )
    node = found[0]
    if _is_open(node.right):
        value, sign = node.left, node.sign
    else:
        value, sign = node.right, _TURNED.get(node.sign, node.sign)
    # What a rounded one wants of an attribute holds for the others too.
    closed = Comparison(sign, value, next((n for n in map(_number, at) if n.rounded), Number(0.0)))

    def rule(instead: Node) -> Rule:
        return rule_of(_put(tree, node, instead), text, where)

    return Compiled(text, rule(closed), sign, value, (rule(_TRUE), rule(_FALSE), rule(_UNKNOWN)))


def _number(threshold: int | float) -> Number:
    return Number(float(threshold), Decimal(threshold))


def _is_open(node: Node) -> bool:
    return isinstance(node, Attribute) and node.name == _NAME


def _children(node: Node) -> tuple[Node, ...]:
    if isinstance(node, Logic):
        return node.parts
    if isinstance(node, Not):
        return (node.inner,)
    return ()


def _comparisons(tree: Node) -> list[Comparison]:
    own = [tree] if isinstance(tree, Comparison) else []
    return [*own, *(c for child in _children(tree) for c in _comparisons(child))]


def _put(tree: Node, old: Node, new: Node) -> Node:
    """`tree` with the very node `old` replaced."""
    if tree is old:
        return new
    if isinstance(tree, Logic):
        return replace(tree, parts=tuple(_put(part, old, new) for part in tree.parts))
    if isinstance(tree, Not):
        return Not(_put(tree.inner, old, new))
    return tree
