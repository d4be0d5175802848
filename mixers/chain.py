"""Rules in a row that one native call asks of the documents that reach them.

A document that a rule drops is measured no further: the text is not cut into words where its length decides, and no
n-gram is counted where the number of words does. A rule goes with a chain if all that it reads are numbers which native
taggers measure, the length of the text and its bytes; `Rule.evaluate` gives the same answers from columns.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import TypeAlias

import msgspec

from dolma_pipeline import _native
from dolma_pipeline.mixers.expression import Rule
from dolma_pipeline.mixers.nodes import (
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
)

Pair: TypeAlias = tuple[str, str]
"""(experiment, key) of an attribute in a mix; (tagger, attribute) of one of a native tagger."""
Step: TypeAlias = tuple[str, float, int]
"""What to do, a number, and the position of an attribute or how many parts: one step of a rule in postfix order."""
MEASURES = {"count", "max", "fraction", "any"}
"""The functions of rules that chains know. A sum of scores depends on the order in which they are added."""


class Chain(msgspec.Struct, frozen=True):
    """Consecutive `drop` rules, compiled."""

    rules: tuple[str, ...]
    """Their names."""
    given: tuple[tuple[Pair, int], ...]
    """The attributes that it gives for the documents that stay, each with the position of its column."""
    native: _native.TextChain


def chains(
    drop: Mapping[str, Rule],
    names: Mapping[str, Pair],
    native: Mapping[Pair, Pair],
    wanted: Collection[Pair],
) -> dict[int, Chain]:
    """The chains of a `drop` section by the position of their first rule.

    `names`: the attribute of each name in the rules; `native`: the native tagger and attribute that each of those is
    which are one; `wanted`: attributes that are asked for of the documents that no rule drops.
    """
    found = {}
    runs = list(_runs(drop, names, native))
    chained = {name for _, run in runs for name in run}
    for first, run in runs:
        last = first + len(run)
        others = [rule for i, (name, rule) in enumerate(drop.items()) if i >= last and name not in chained]
        later = [*(names[read] for rule in others for read in rule.names), *wanted]
        given = dict.fromkeys(native[pair] for pair in later if pair in native)
        columns = {attribute: column for column, attribute in enumerate(given)}
        read = [native[names[name]] for rule in run.values() for name in rule.names]
        places = {attribute: place for place, attribute in enumerate(dict.fromkeys([*read, *columns]))}
        rules = [
            list(_steps(rule.tree, {name: places[native[names[name]]] for name in rule.names})) for rule in run.values()
        ]
        found[first] = Chain(
            rules=tuple(run),
            given=tuple((pair, columns[native[pair]]) for pair in dict.fromkeys(later) if pair in native),
            native=_native.TextChain(list(places), rules, [places[attribute] for attribute in columns]),
        )
    return found


def _runs(
    drop: Mapping[str, Rule], names: Mapping[str, Pair], native: Mapping[Pair, Pair]
) -> Iterator[tuple[int, dict[str, Rule]]]:
    """The longest rows of rules that can go together, each with the position of its first rule."""
    run: dict[str, Rule] = {}
    for position, (name, rule) in enumerate(drop.items()):
        pairs = [names[read] for read in rule.names]
        if pairs and all(pair in native for pair in pairs) and _is_known(rule.tree):
            run[name] = rule
            continue
        if run:
            yield position - len(run), run
        run = {}
    if run:
        yield len(drop) - len(run), run


def _is_known(node: Node) -> bool:
    """Whether a chain gives the same answer as the columns, to the last bit."""
    if isinstance(node, Number):
        # Large ones are compared by their digits.
        return abs(node.value) < EXACT
    if isinstance(node, Call):
        return node.function in MEASURES
    if isinstance(node, Field | Attribute):
        return True
    return isinstance(node, Arithmetic | Comparison | Logic | Not) and all(map(_is_known, _parts(node)))


def _parts(node: Arithmetic | Comparison | Logic | Not) -> Sequence[Node]:
    match node:
        case Arithmetic():
            return (node.first, *(part for _, part in node.rest))
        case Comparison():
            return (node.left, node.right)
        case Logic():
            return node.parts
        case Not():
            return (node.inner,)


def _steps(node: Node, places: Mapping[str, int], number: bool = False) -> Iterator[Step]:
    """`number`: whether a number is wanted, or a condition."""
    match node:
        case Number():
            yield "number", node.value, 0
        case Field():
            yield node.name, 0.0, 0
        case Attribute():
            yield "first" if number else "any", 0.0, places[node.name]
        case Call():
            yield node.function, 0.0, places[node.attribute.name]
        case Comparison():
            yield from _steps(node.left, places, True)
            yield from _steps(node.right, places, True)
            yield node.sign, 0.0, 0
        case Arithmetic():
            yield from _steps(node.first, places, True)
            for sign, part in node.rest:
                yield from _steps(part, places, True)
                yield sign, 0.0, 0
        case Logic():
            for part in node.parts:
                yield from _steps(part, places)
            yield node.kind, 0.0, len(node.parts)
        case Not():
            yield from _steps(node.inner, places)
            yield "not", 0.0, 0
