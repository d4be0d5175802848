"""An open threshold: decided once, every threshold says what the rule with that number in it says."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from dolma_pipeline.errors import ConfigError
from dolma_pipeline.mixers import expression
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
