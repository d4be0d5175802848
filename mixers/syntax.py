"""The language of `drop` rules, read into a tree.

    or, and, not, comparison (< <= > >= == != in, not in), + -, * /, unary -, and parentheses, from loosest to tightest;
    numbers, "strings", true, false, lists of numbers or strings behind `in`; `source`, `id`, `length` (code points),
    `bytes`, doc.field and metadata.field of the document; tagger.attribute,
    count(x) max(x) sum(x) fraction(x) any(x) of an attribute x.

Reading takes time linear in the text, and nests at most MAX_DEPTH deep.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from decimal import Decimal
from typing import Literal, NoReturn

from dolma_pipeline.errors import ConfigError, excerpt, suggest
from dolma_pipeline.mixers.nodes import (
    NUMBERS,
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
    is_condition,
    is_number,
    read_as,
)

MAX_DEPTH = 64
SHOWN = 300
"""Characters of an expression that an error shows on either side of the place."""
FUNCTIONS = (*NUMBERS, "any")
FIELDS = ("length", "bytes")
TEXTS = ("source", "id")
DOCUMENT = "doc."
DOCUMENTS = (DOCUMENT, "metadata.")
"""How the names of fields of documents begin; in backquotes they are names of experiments or taggers."""
FLAGS = ("true", "false")
COMPARISONS = ("<", "<=", ">", ">=", "==", "!=")
SIGNS = ("+", "-", "*", "/")


def parse(text: str, where: str) -> Node:
    """The condition that `text` is; ConfigError, which begins with `where`, with a caret below what is wrong."""
    return _Parser(text, where).parse()


_TOKEN = re.compile(
    r"""
    (?P<number> (?: \d[\d_]* (?: \.\d[\d_]* )? | \.\d[\d_]* ) (?: [eE][+-]?\d+ )? )
  | (?P<name> (?: [^\W\d]\w* | `[^`]+` ) (?: \. (?: \w+ | `[^`]+` ) )* )
  | (?P<string> "[^"]*" | '[^']*' )
  | (?P<sign> <= | >= | == | != | [<>+\-*/()\[\],] )
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
        """The message, the text around the place on one line, and a caret below the place."""
        line = re.sub(r"\s", " ", self.text)
        first, end = max(0, at - SHOWN), min(len(line), at + SHOWN)
        before, behind = "… " if first > 0 else "", " …" if end < len(line) else ""
        caret = " " * (len(before) + at - first) + "^"
        raise ConfigError(
            f"{self.where}: {what} at column {at + 1}{more}\n    {before}{line[first:end]}{behind}\n    {caret}"
        )

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
        place = f" after `{excerpt(after)}`" if after else ""
        found = token.text if token.kind == "end" else f"`{excerpt(token.text)}`"
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
            what = "text" if isinstance(node, Text) else "a flag" if isinstance(node, Flag) else "a number"
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
        if (listed := self.membership(left, start)) is not None:
            return listed
        if not (sign := self.take(*COMPARISONS)):
            return left
        equals = sign.text in ("==", "!=")
        if isinstance(left, Value) and equals and self._text_follows():
            left = Value(left.path, "text")
        if isinstance(left, Attribute) and equals and self._text_follows():
            return Comparison(sign.text, left, self.primary("text"))
        if isinstance(left, Text) or (isinstance(left, Value) and left.form == "text"):
            if not equals:
                self.fail(sign.at, "expected `==` or `!=` between texts")
            right = self.primary("text")
            if not isinstance(right, Text | Value | Attribute):
                self.next -= 1
                self.expected("a quoted text", sign.text)
            return Comparison(sign.text, left, read_as(right, "text"))
        if isinstance(left, Flag) or self.peek().text in FLAGS:
            return self.flag(left, sign, start)
        if not is_number(left):
            self.fail(at, f"expected a number before `{sign.text}`", ", found a condition")
        at = self.peek().at
        right = self.operand(sign.text, self.sum)
        if isinstance(left, Value) and isinstance(right, Value) and equals:
            self.fail(at, f"expected a number or a quoted text after `{sign.text}`", ", found another field")
        if not isinstance(right, Number | Value | Field | Attribute):
            self.held(left, start)
        if not isinstance(left, Number | Value | Field | Attribute):
            self.held(right, at)
        return Comparison(sign.text, read_as(left, "number"), right)

    def flag(self, left: Node, sign: _Token, start: int) -> Node:
        """A comparison with `true` or `false`, which only attributes may stand in."""
        at = self.peek().at
        right = self.primary("true or false")
        if sign.text not in ("==", "!="):
            self.fail(sign.at, "expected `==` or `!=` beside true and false")
        other, place = (right, at) if isinstance(left, Flag) else (left, start)
        if not isinstance(other, Attribute):
            hint = "; a field alone says whether it holds anything" if isinstance(other, Value) else ""
            self.fail(place, "expected an attribute to compare with true or false", f", found something else{hint}")
        return Comparison(sign.text, left, right)

    def membership(self, left: Node, start: int) -> Node | None:
        """`x in [a, b]`, which is `x == a or x == b`, or its contrary; None if neither follows."""
        word = self.peek()
        inverted = word.text == "not"
        behind = self.tokens[self.next + 1] if self.next + 1 < len(self.tokens) else self.end
        if word.kind != "name" or (behind if inverted else word).text != "in":
            return None
        self.next += 2 if inverted else 1
        if not isinstance(left, Attribute | Value | Field) and not (isinstance(left, Text) and left.field):
            self.fail(start, "expected an attribute or a field before `in`")
        if not self.take("["):
            self.expected('a list such as `[1, 2]` or `["a", "b"]`', "in")
        items: list[Number | Text] = []
        while True:
            at = self.peek().at
            item = self.unary()
            if not isinstance(item, Number | Text) or (isinstance(item, Text) and item.field):
                self.fail(at, "expected a number or a quoted text in the list")
            if items and type(item) is not type(items[0]):
                self.fail(at, "expected numbers alone or texts alone in the list")
            if isinstance(left, Text) and isinstance(item, Number):
                self.fail(at, "expected a quoted text in the list")
            if isinstance(left, Field) and isinstance(item, Text):
                self.fail(at, "expected a number in the list")
            items.append(item)
            if self.take("]"):
                break
            if not self.take(","):
                self.expected("`,` or `]`")
        form: Literal["number", "text"] = "number" if isinstance(items[0], Number) else "text"
        either = Logic("or", tuple(Comparison("==", read_as(left, form), item) for item in items))
        return Not(either) if inverted else either

    def held(self, node: Node, at: int) -> None:
        """Fails if `node` is a number that no double holds: only fields of documents are compared to the last digit."""
        if isinstance(node, Number) and node.rounded:
            self.fail(
                at,
                "expected a number that a double holds",
                f", found {node.exact}, for which it would hold {Decimal(node.value):f}; results of arithmetic are "
                "doubles, only int64 attributes and fields of documents are compared to the last digit",
            )

    def _text_follows(self) -> bool:
        token = self.peek()
        return token.kind == "string" or (token.kind == "name" and token.text in TEXTS)

    def operand(self, after: str, read: Callable[[], Node]) -> Node:
        at = self.peek().at
        node = read()
        if not is_number(node):
            what = "a text" if isinstance(node, Text) else "a flag" if isinstance(node, Flag) else "a condition"
            self.fail(at, f"expected a number after `{after}`", f", found {what}")
        return read_as(node, "number")

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
        return Arithmetic(read_as(first, "number"), tuple(rest))

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
        if token.text in FLAGS:
            return Flag(token.text == "true")
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
            self.fail(token.at, "expected `tagger.attribute`", f", found `{excerpt(token.text)}`{hint}")
        return Attribute(token.text.replace("`", ""), token.at + 1)
