"""An open threshold: decided once, every threshold says what the rule with that number in it says."""

from __future__ import annotations

import msgspec
import numpy as np
import pyarrow as pa
import pytest

from dolma_pipeline.config.recipe import Sweep
from dolma_pipeline.errors import ConfigError
from dolma_pipeline.mixers import expression
from dolma_pipeline.mixers.rule_kinds import needs
from dolma_pipeline.stat.result import Threshold
from dolma_pipeline.stat.sweep import compile_sweep

N = 200
RNG = np.random.default_rng(4)


def column() -> pa.Array:
    return pa.array([None if x < -1.2 else float(x) for x in RNG.normal(size=N).round(1)], pa.float64())


COLUMNS = {
    "a.x": column(),
    "a.y": column(),
    "length": pa.array(RNG.integers(0, 3, N)),
    "source": pa.array(["s"] * N, pa.large_string()),
}
EXPRESSIONS = [
    "a.x < {t}",
    "{t} < a.x",
    "not (a.x >= {t})",
    "a.x - 2 * a.y != {t} and a.y > 0",
    'a.y > 0.5 or (length == {t} and source == "s")',
    "not (a.y < 0 or {t} <= max(a.x))",
]


@pytest.mark.parametrize("text", EXPRESSIONS)
def test_as_the_rule_with_the_number(text: str) -> None:
    compiled = compile_sweep(text, "e")
    judged = compiled.judge(COLUMNS, N)
    fates = []
    for t in (-1.0, 0.0, 0.3, 1.0, 2.0):
        rule = expression.compile(text.replace("{t}", str(t)), "e")
        dropped = compiled.dropped(judged, t)
        assert dropped.tolist() == rule.evaluate(COLUMNS, N).tolist()
        fates.append(dropped)
    changes = np.any(np.stack(fates) != fates[0], axis=0)
    assert changes.any()
    assert not (changes & ~judged.open).any()


LARGE = [2**53, 2**53 + 1, 2**53 + 2, 2**63 - 1, -(2**53) - 1, 7, None]


@pytest.mark.parametrize("sign", ["<", "<=", ">", ">=", "==", "!="])
@pytest.mark.parametrize("at", [2**53, 2**53 + 1, 2**63 - 1, -(2**53) - 1, 2**63])
def test_large_whole_numbers_are_compared_exactly(sign: str, at: int) -> None:
    columns = {"k.n": pa.array(LARGE, pa.int64())}
    compiled = compile_sweep(f"k.n {sign} {{t}}", "e", [at])
    rule = expression.compile(f"k.n {sign} {at}", "e")
    expected = rule.evaluate(columns, len(LARGE)).tolist()
    assert compiled.dropped(compiled.judge(columns, len(LARGE)), at).tolist() == expected
    by_hand = {"<": at.__gt__, "<=": at.__ge__, ">": at.__lt__, ">=": at.__le__, "==": at.__eq__, "!=": at.__ne__}
    assert expected == [n is not None and by_hand[sign](n) for n in LARGE]


def test_a_threshold_that_a_double_rounds_wants_whole_numbers() -> None:
    def kinds(at: list[int | float]) -> tuple[str, ...]:
        rule = compile_sweep("k.n < {t}", "e", at).rule
        return needs(rule.tree, rule.text, rule.where)[0].kinds

    assert kinds([0, 2**53 + 1]) == ("int64",)
    assert kinds([0, 2.0**60]) == ("float64", "int64", "spans")


def test_a_recipe_keeps_a_large_threshold_as_it_is_written() -> None:
    sweep = msgspec.convert({"expression": "k.n < {t}", "at": [3, 2**53 + 1, 2**60]}, Sweep)
    assert [repr(t) for t in sweep.at] == ["3.0", "9007199254740993", "1.152921504606847e+18"]
    assert Threshold(at=sweep.at[1]).shown == "9007199254740993"
    with pytest.raises(msgspec.ValidationError, match=r"expected thresholds up to 1\.8e308 in `at`"):
        msgspec.convert({"expression": "k.n < {t}", "at": [10**400]}, Sweep)


def test_reads_what_the_rule_reads() -> None:
    compiled = compile_sweep("a.x < {t} and fraction(b.y) > 0.5", "e")
    assert (compiled.rule.names, compiled.rule.fields) == (("a.x", "b.y"), ("length",))


@pytest.mark.parametrize("text", ["a.x < 1", "a.x < {t} + 1", "count({t}) > 1", "a.x < {t} or a.y < {t}", "{t} < {t}"])
def test_one_open_side(text: str) -> None:
    with pytest.raises(ConfigError) as error:
        compile_sweep(text, "$.e")
    assert str(error.value) == (
        "$.e: expected `{t}` once, as one side of a comparison such as `gopher_v2.word_count < {t}`, "
        f"found `{text}`"
    )


def test_mistakes_are_shown_in_the_users_words() -> None:
    with pytest.raises(ConfigError) as error:
        compile_sweep("a.x < {t} andd b.y", "$.e")
    assert str(error.value) == (
        "$.e: expected `and`, `or` or the end after `{t}` at column 11, found `andd`\n    a.x < {t} andd b.y\n"
        "              ^"
    )
