"""The tree of a `drop` rule."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal, TypeAlias

NUMBERS = ("count", "max", "sum", "fraction")
"""Functions of an attribute that give a number."""
EXACT = 2.0**53
"""Below it a double holds every whole number."""


@dataclass(frozen=True)
class Number:
    value: float
    exact: Decimal | None = None
    """The number as it is written, where `value` may be rounded."""

    @property
    def rounded(self) -> bool:
        """Whether it is so large that `value` is another number."""
        return abs(self.value) >= EXACT and self.exact is not None and self.exact != Decimal(self.value)


@dataclass(frozen=True)
class Text:
    """A quoted string, or (`field`) the name of a column of strings."""

    value: str
    field: bool = False


@dataclass(frozen=True)
class Flag:
    """`true` or `false`."""

    value: bool


@dataclass(frozen=True)
class Field:
    """A column of numbers that every document has: its length, its bytes."""

    name: str


@dataclass(frozen=True)
class Value:
    """A field of the document: a number, a text, or (where a condition is wanted) whether it holds anything."""

    path: str
    form: Literal["number", "text", "truth"] = "truth"

    @property
    def key(self) -> str:
        """The column it is read from."""
        return f"{self.form}:{self.path}"


@dataclass(frozen=True)
class Attribute:
    """What its place wants: a number (the first span's score), a text, a flag, or whether it is there."""

    name: str
    column: int
    """Where the text names it, for messages."""


@dataclass(frozen=True)
class Call:
    function: str
    attribute: Attribute


@dataclass(frozen=True)
class Arithmetic:
    """`first`, then each operand in turn: `a - b + c`."""

    first: Node
    rest: tuple[tuple[str, Node], ...]


@dataclass(frozen=True)
class Comparison:
    sign: str
    left: Node
    right: Node


@dataclass(frozen=True)
class Logic:
    kind: Literal["and", "or"]
    parts: tuple[Node, ...]


@dataclass(frozen=True)
class Not:
    inner: Node


Node: TypeAlias = "Number | Text | Flag | Field | Value | Attribute | Call | Arithmetic | Comparison | Logic | Not"


def is_condition(node: Node) -> bool:
    return isinstance(node, Comparison | Logic | Not | Attribute | Value) or (
        isinstance(node, Call) and node.function == "any"
    )


def is_number(node: Node) -> bool:
    return isinstance(node, Number | Field | Value | Attribute | Arithmetic) or (
        isinstance(node, Call) and node.function in NUMBERS
    )


def read_as(node: Node, form: Literal["number", "text"]) -> Node:
    """A field of the document as what its place wants; any other node as it is."""
    return Value(node.path, form) if isinstance(node, Value) else node


def walk(tree: Node) -> Iterator[Node]:
    """Yields all nodes in the order of the text."""
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
        yield from walk(child)
