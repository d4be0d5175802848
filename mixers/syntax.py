"""The language of `drop` rules, read into a tree.

    or, and, not, comparison (< <= > >= == !=), + -, * /, unary -, and parentheses, from loosest to tightest;
    numbers, "strings", `source`, `id`, `length` (code points), `bytes`, doc.field and metadata.field of the document,
    tagger.attribute, count(x) max(x) sum(x) fraction(x) any(x) of an attribute x.

Reading takes time linear in the text, and nests at most MAX_DEPTH deep.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal, NoReturn, TypeAlias

from dolma_pipeline.errors import ConfigError, suggest

MAX_DEPTH = 64
NUMBERS = ("count", "max", "sum", "fraction")
FUNCTIONS = (*NUMBERS, "any")
FIELDS = ("length", "bytes")
TEXTS = ("source", "id")
DOCUMENT = "doc."
DOCUMENTS = (DOCUMENT, "metadata.")
"""How the names of fields of documents begin; in backquotes they are names of experiments or taggers."""
COMPARISONS = ("<", "<=", ">", ">=", "==", "!=")
SIGNS = ("+", "-", "*", "/")
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
    """A number where one is wanted (the first span's score), else whether it is there."""

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


Node: TypeAlias = "Number | Text | Field | Value | Attribute | Call | Arithmetic | Comparison | Logic | Not"


def is_condition(node: Node) -> bool:
    return isinstance(node, Comparison | Logic | Not | Attribute | Value) or (
        isinstance(node, Call) and node.function == "any"
    )


def is_number(node: Node) -> bool:
    return isinstance(node, Number | Field | Value | Attribute | Arithmetic) or (
        isinstance(node, Call) and node.function in NUMBERS
    )


def _read_as(node: Node, form: Literal["number", "text"]) -> Node:
    return Value(node.path, form) if isinstance(node, Value) else node


def parse(text: str, where: str) -> Node:
    """The condition that `text` is; ConfigError, which begins with `where`, with a caret below what is wrong."""
    return _Parser(text, where).parse()


_TOKEN = re.compile(
    r"""
    (?P<number> (?: \d[\d_]* (?: \.\d[\d_]* )? | \.\d[\d_]* ) (?: [eE][+-]?\d+ )? )
  | (?P<name> (?: [^\W\d]\w* | `[^`]+` ) (?: \. (?: \w+ | `[^`]+` ) )* )
  | (?P<string> "[^"]*" | '[^']*' )
  | (?P<sign> <= | >= | == | != | [<>+\-*/()] )
    """,
    re.VERBOSE,
)


class _Token:
    def __init__(self, kind: str, text: str, at: int) -> None:
        self.kind = kind
        self.text = text
        self.at = at


class _Parser:
    def __init__(self, text: str, where: str) -> None:
        self.text = text
        self.where = where
        self.tokens: list[_Token] = []
        self.next = 0
        self.depth = 0
        at = 0
        while at < len(text):
            if text[at].isspace():
                at += 1
            elif match := _TOKEN.match(text, at):
                self.tokens.append(_Token(str(match.lastgroup), match.group(), at))
                at = match.end()
            else:
                self.unreadable(at)
        self.end = _Token("end", "the end", len(text.rstrip()))

    def unreadable(self, at: int) -> NoReturn:
        found = self.text[at]
        if found in "\"'`":
            self.fail(at, f"expected a closing {found}", " for this one")
        hint = {"&": "; write `and`", "|": "; write `or`", "!": "; write `not`", "=": "; write `==`"}.get(found, "")
        self.fail(at, "expected a name, a number or a sign", f", found `{found}`{hint}")

    def fail(self, at: int, what: str, more: str = "") -> NoReturn:
        """The message, the text on one line, and a caret below the place."""
        line = re.sub(r"\s", " ", self.text)
        raise ConfigError(f"{self.where}: {what} at column {at + 1}{more}\n    {line}\n    {' ' * at}^")

    def peek(self) -> _Token:
        return self.tokens[self.next] if self.next < len(self.tokens) else self.end

    def take(self, *texts: str) -> _Token | None:
        token = self.peek()
        if token.kind in ("sign", "name") and token.text in texts:
            self.next += 1
            return token
        return None

    def expected(self, what: str, after: str | None = None) -> NoReturn:
        """Fails at the next token; `after`: what to say is before it, "" for nothing."""
        token = self.peek()
        if after is None:
            after = self.tokens[self.next - 1].text if self.next else ""
        place = f" after `{after}`" if after else ""
        found = token.text if token.kind == "end" else f"`{token.text}`"
        self.fail(token.at, f"expected {what}{place}", f", found {found}")

    def parse(self) -> Node:
        if not self.tokens:
            self.fail(0, "expected a condition such as `tagger.attribute < 0.5`", ", found nothing")
        tree = self.condition_at(self.any)
        if self.peek() is not self.end:
            if self.peek().text in COMPARISONS:
                self.fail(self.peek().at, "expected one comparison", "; join two of them with `and`")
            self.expected("`and`, `or` or the end")
        return tree

    def nested(self, at: int) -> None:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            self.fail(at, f"expected at most {MAX_DEPTH} levels of parentheses")

    def condition_at(self, read: Callable[[], Node]) -> Node:
        at = self.peek().at
        node = read()
        if not is_condition(node):
            what = "text" if isinstance(node, Text) else "a number"
            self.fail(at, "expected a condition", f", found {what}; compare it with something")
        return node

    def any(self) -> Node:
        return self.logic("or", self.all)

    def all(self) -> Node:
        return self.logic("and", self.negation)

    def logic(self, word: Literal["and", "or"], read: Callable[[], Node]) -> Node:
        at = self.peek().at
        first = read()
        if self.peek().text != word or self.peek().kind != "name":
            return first
        if not is_condition(first):
            self.fail(at, f"expected a condition before `{word}`", "; compare this with something")
        parts = [first]
        while self.take(word):
            parts.append(self.condition_at(read))
        return Logic(word, tuple(parts))

    def negation(self) -> Node:
        if not (token := self.take("not")):
            return self.comparison()
        self.nested(token.at)
        inner = self.condition_at(self.negation)
        self.depth -= 1
        return Not(inner)

    def comparison(self) -> Node:
        at = start = self.peek().at
        left = self.sum()
        if not (sign := self.take(*COMPARISONS)):
            return left
        if isinstance(left, Value) and sign.text in ("==", "!=") and self._text_follows():
            left = Value(left.path, "text")
        if isinstance(left, Text) or (isinstance(left, Value) and left.form == "text"):
            if sign.text not in ("==", "!="):
                self.fail(sign.at, "expected `==` or `!=` between texts")
            right = self.primary("text")
            if not isinstance(right, Text | Value):
                self.next -= 1
                self.expected("a quoted text", sign.text)
            return Comparison(sign.text, left, _read_as(right, "text"))
        if not is_number(left):
            self.fail(at, f"expected a number before `{sign.text}`", ", found a condition")
        at = self.peek().at
        right = self.operand(sign.text, self.sum)
        if isinstance(left, Value) and isinstance(right, Value) and sign.text in ("==", "!="):
            self.fail(at, f"expected a number or a quoted text after `{sign.text}`", ", found another field")
        if not isinstance(right, Number | Value | Field):
            self.held(left, start)
        if not isinstance(left, Number | Value | Field):
            self.held(right, at)
        return Comparison(sign.text, _read_as(left, "number"), right)

    def held(self, node: Node, at: int) -> None:
        """Fails if `node` is a number that no double holds: only fields of documents are compared to the last digit."""
        if isinstance(node, Number) and node.rounded:
            self.fail(
                at,
                "expected a number that a double holds",
                f", found {node.exact}, for which it would hold {Decimal(node.value):f}; attributes and results of "
                "arithmetic are doubles, only fields of documents are compared to the last digit",
            )

    def _text_follows(self) -> bool:
        token = self.peek()
        return token.kind == "string" or (token.kind == "name" and token.text in TEXTS)

    def operand(self, after: str, read: Callable[[], Node]) -> Node:
        at = self.peek().at
        node = read()
        if not is_number(node):
            what = "a text" if isinstance(node, Text) else "a condition"
            self.fail(at, f"expected a number after `{after}`", f", found {what}")
        return _read_as(node, "number")

    def sum(self) -> Node:
        return self.arithmetic(("+", "-"), self.product)

    def product(self) -> Node:
        return self.arithmetic(("*", "/"), self.unary)

    def arithmetic(self, signs: tuple[str, ...], read: Callable[[], Node]) -> Node:
        at = self.peek().at
        first = read()
        if self.peek().text not in signs:
            return first
        if not is_number(first):
            self.fail(at, f"expected a number before `{self.peek().text}`")
        self.held(first, at)
        rest = []
        while sign := self.take(*signs):
            at = self.peek().at
            rest.append((sign.text, self.operand(sign.text, read)))
            self.held(rest[-1][1], at)
        return Arithmetic(_read_as(first, "number"), tuple(rest))

    def unary(self) -> Node:
        if not (sign := self.take("-")):
            return self.primary("a number")
        self.nested(sign.at)
        inner = self.operand("-", self.unary)
        self.depth -= 1
        if isinstance(inner, Number):
            return Number(-inner.value, None if inner.exact is None else inner.exact.copy_negate())
        return Arithmetic(Number(0.0), (("-", inner),))

    def primary(self, wanted: str) -> Node:
        token = self.peek()
        if token.kind == "number":
            self.next += 1
            text = token.text.replace("_", "")
            return Number(float(text), Decimal(text))
        if token.kind == "string":
            self.next += 1
            return Text(token.text[1:-1])
        if self.take("("):
            self.nested(token.at)
            inner = self.any()
            if not self.take(")"):
                self.expected(f"`)` for the `(` at column {token.at + 1}", "")
            self.depth -= 1
            return inner
        if token.kind != "name" or token.text in ("and", "or", "not"):
            before = self.tokens[self.next - 1].text if self.next else "not"
            self.expected("a condition" if before in ("and", "or", "not", "(") else wanted)
        self.next += 1
        if token.text in FUNCTIONS and self.peek().text == "(":
            return self.call(token)
        if token.text in FIELDS:
            return Field(token.text)
        if token.text in TEXTS:
            return Text(token.text, field=True)
        if token.text.startswith(DOCUMENTS):
            return Value(token.text.replace("`", ""))
        return self.attribute(token)

    def call(self, function: _Token) -> Node:
        self.next += 1
        argument = self.peek()
        if argument.kind != "name":
            self.expected("an attribute", f"{function.text}(")
        self.next += 1
        call = Call(function.text, self.attribute(argument))
        if not self.take(")"):
            self.expected("`)`")
        return call

    def attribute(self, token: _Token) -> Attribute:
        if "." not in token.text:
            known = (*FUNCTIONS, *FIELDS, *TEXTS)
            hint = suggest(token.text, known) or "; a name with a hyphen goes in backquotes"
            self.fail(token.at, "expected `tagger.attribute`", f", found `{token.text}`{hint}")
        return Attribute(token.text.replace("`", ""), token.at + 1)
