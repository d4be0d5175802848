"""Rules that one native call asks drop what the same rules drop on columns of attributes, for the same reason."""

from __future__ import annotations

import random
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pytest

from dolma_pipeline import _native
from dolma_pipeline.mixers import expression
from dolma_pipeline.mixers.chain import chains

TAGGERS = ("char_length_v1", "gopher_v2", "c4_v2", "gopher_v1", "pii_regex_v2")
NAMES = [f"{tagger}.{attribute}" for tagger in TAGGERS for attribute, _ in _native.tagger_attributes(tagger)]
TEXTS = [
    "",
    "one",
    "the quick brown fox jumps over the lazy dog and then it sleeps.",
    "a b\na b\na b\na b c d\n" * 5,
    "one two three four five six seven eight nine ten eleven twelve. " * 6,
    "- first\n- second\n* third #1 …\nthe end of it…",
    "Lorem ipsum {javascript} with that which have to be of and",
    "naïve café\n\nécole a@b.org or c@d.org\n𝄞",
    "x" * 700 + " y\n" + "z z z z z z z z z z z z",
]


def a_rule(draw: random.Random, depth: int = 0) -> str:
    if depth < 3 and draw.random() < 0.4:
        parts = [f"({a_rule(draw, depth + 1)})" for _ in range(draw.choice((2, 2, 3)))]
        return draw.choice((" and ", " or ")).join(parts)
    if draw.random() < 0.15:
        return f"not ({a_rule(draw, depth + 1)})"
    if draw.random() < 0.15:
        return draw.choice((draw.choice(NAMES), f"any({draw.choice(NAMES)})"))
    sign = draw.choice(("<", "<=", ">", ">=", "==", "!="))
    return f"{a_number(draw)} {sign} {a_number(draw)}"


def a_number(draw: random.Random) -> str:
    kind = draw.random()
    if kind < 0.3:
        return str(draw.choice((0, 0.1, 0.25, 0.5, 1, 2, 3.5, 10, 100)))
    if kind < 0.4:
        return draw.choice(("length", "bytes"))
    if kind < 0.55:
        return f"({a_number(draw)} {draw.choice('+-*/')} {a_number(draw)})"
    if kind < 0.75:
        return f"{draw.choice(('count', 'max', 'fraction'))}({draw.choice(NAMES)})"
    return draw.choice(NAMES)


def columns() -> dict[str, pa.Array]:
    texts = pa.array(TEXTS, pa.large_string())
    found = {
        f"{tagger}.{attribute}": column
        for tagger, batch in zip(TAGGERS, _native.tag_texts(texts, list(TAGGERS)), strict=True)
        for attribute, column in zip(batch.schema.names, batch.columns, strict=True)
    }
    return found | {"length": _native.char_lengths(texts), "bytes": pa.array([len(t.encode()) for t in TEXTS])}


def compiled(rules: dict[str, str]) -> tuple[dict[str, expression.Rule], dict[str, tuple[str, str]]]:
    drop = expression.compile_all(rules, "drop")
    return drop, {name: ("e", name) for rule in drop.values() for name in rule.names}


NATIVE = {("e", name): (name.partition(".")[0], name.partition(".")[2]) for name in NAMES}


@pytest.mark.parametrize("seed", range(300))
def test_a_chain_drops_what_its_rules_drop(seed: int) -> None:
    draw = random.Random(seed)
    rules = {str(i): f"({a_rule(draw)}) and {draw.choice(NAMES)} >= 0" for i in range(draw.choice((1, 3, 6)))}
    drop, names = compiled(rules)
    wanted = [("e", name) for name in draw.sample(NAMES, 3)]
    found = chains(drop, names, NATIVE, wanted)
    (chain,) = found.values()
    assert (list(found), chain.rules) == ([0], tuple(rules))
    rows = sorted(draw.sample(range(len(TEXTS)), draw.choice((0, 1, 5, len(TEXTS)))))
    texts = pa.array(TEXTS, pa.large_string())
    first, given = chain.native.filter(texts, pa.array(rows, pa.int64()))
    assert first.to_pylist() == first_hits(drop, rows)
    left = [row for row, rule in zip(rows, first.to_pylist(), strict=True) if rule < 0]
    assert [pair for pair, _ in chain.given] == wanted
    for (_, name), column in chain.given:
        assert given[column].equals(columns()[name].take(pa.array(left, pa.int64())))


def first_hits(drop: dict[str, expression.Rule], rows: Sequence[int]) -> list[int]:
    first = np.full(len(TEXTS), -1)
    for position, rule in enumerate(drop.values()):
        first[(first < 0) & rule.evaluate(columns(), len(TEXTS))] = position
    return [int(first[row]) for row in rows]


def test_what_a_chain_cannot_know_stays_with_the_columns() -> None:
    rules = {
        "a": "char_length_v1.length < 5",
        "b": "gopher_v2.word_count < 2",
        "sum": "sum(c4_v2.lines_with_too_few_words) > 3",
        "c": "length < 2 or c4_v2.has_javascript",
        "source": 'source == "x" and c4_v2.line_count > 1',
        "length": "length < 9",
        "large": "char_length_v1.length < 9007199254740992",
        "mine": "mine.score > 1",
        "d": "gopher_v2.word_count > 2",
    }
    drop, names = compiled(rules)
    found = chains(drop, names, NATIVE, [("e", "c4_v2.line_count"), ("e", "mine.score")])
    assert {first: chain.rules for first, chain in found.items()} == {0: ("a", "b"), 3: ("c",), 8: ("d",)}
    given = {first: [name for (_, name), _ in chain.given] for first, chain in found.items()}
    assert given == {
        0: ["c4_v2.lines_with_too_few_words", "c4_v2.line_count", "char_length_v1.length"],
        3: ["c4_v2.line_count", "char_length_v1.length"],
        8: ["c4_v2.line_count"],
    }


def test_two_experiments_with_one_tagger_share_its_column() -> None:
    drop = expression.compile_all({"a": "e.x < 1 or f.x < 2"}, "drop")
    names = {"e.x": ("e", "x"), "f.x": ("f", "x")}
    native = dict.fromkeys(names.values(), ("char_length_v1", "length"))
    (chain,) = chains(drop, names, native, list(names.values())).values()
    assert chain.given == ((("e", "x"), 0), (("f", "x"), 0))
    first, given = chain.native.filter(pa.array(["", "a", "ab"], pa.large_string()), pa.array([0, 1, 2]))
    assert (first.to_pylist(), [g.to_pylist() for g in given]) == ([0, 0, -1], [[2.0]])
