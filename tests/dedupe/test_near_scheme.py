"""Bands and rows: what they find, what a threshold chooses, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest

from dolma_pipeline.config.load import decode
from dolma_pipeline.config.recipe import Recipe
from dolma_pipeline.config.recipe_minhash import MinHash
from dolma_pipeline.config.validation import validate
from dolma_pipeline.dedupe.near_scheme import Scheme, for_threshold, scheme_of
from dolma_pipeline.errors import ConfigError


def test_presets() -> None:
    assert scheme_of(MinHash()) == scheme_of(MinHash(preset="thorough")) == (20, 5)
    assert scheme_of(MinHash(preset="fineweb")) == (14, 8)
    assert scheme_of(MinHash(preset="dolma3")) == (26, 11)
    assert scheme_of(MinHash(bands=3, rows=7)) == (3, 7)
    # Dolma 3 was tuned to find nine of ten pairs at 0.8 and one of ten at 0.6.
    assert [round(Scheme(26, 11).found(s), 2) for s in (0.6, 0.8)] == [0.09, 0.9]


@pytest.mark.parametrize(
    ("threshold", "expected"),
    [(0.3, (85, 3)), (0.5, (36, 4)), (0.7, (27, 7)), (0.8, (21, 10)), (0.9, (13, 17)), (0.95, (9, 28)), (0.005, None)],
)
def test_a_threshold_chooses(threshold: float, expected: tuple[int, int] | None) -> None:
    found = for_threshold(threshold)
    assert found == expected
    if found is not None:
        assert found.found(threshold) >= 0.9
        assert Scheme(found.bands - 1, found.rows).found(threshold) < 0.9


@pytest.mark.parametrize(
    ("minhash", "expected"),
    [
        ({"bands": 5}, ": expected `bands` and `rows` together, found only one of them"),
        (
            {"preset": "dolma3", "threshold": 0.7},
            ": expected at most one of `preset`, `bands`, `threshold`, found `preset` and `threshold`",
        ),
        (
            {"threshold": 0.005},
            ".threshold: expected a threshold that 256 hashes can find, found 0.005; `bands` and `rows` take any "
            "number of them",
        ),
        (
            {"bands": 100, "rows": 100},
            ".bands: expected at most 4096 hashes, found 100 bands of 100 rows, which are 10000",
        ),
        (
            {"bands": 5, "rows": 20},
            ": expected bands that find at least 80% of the pairs with the similarity 0.8 of `verify.threshold`, found "
            "5 bands of 20 rows, which find 5.6% (0.5: 0.0 %, 0.6: 0.0 %, 0.7: 0.4 %, 0.75: 1.6 %, 0.8: 5.6 %, 0.85: "
            "17.9 %, 0.9: 47.7 %, 0.95: 89.1 %); 21 bands of 10 rows find 90.8%; `force: true` takes them as they are",
        ),
        (
            {"keep": [{"newest": "a", "score": "b"}]},
            ".keep[0]: expected exactly one of `newest`, `score`, found `newest` and `score`",
        ),
        ({"keep": [{"newest": "$"}]}, ".keep[0].newest: expected a dotted path such as `metadata.date`, found `$`"),
        ({"keep": ["longest", "longest"]}, ".keep[1]: expected each rule once, found one again"),
        (
            {"keep": ["longst"]},
            '.keep[0]: expected one of `priority`, `longest`, found "longst"; did you mean `longest`?',
        ),
        ({"ngram": 0}, ".ngram: expected `int` >= 1, found 0"),
        ({"band": 3}, ".band: unknown key; did you mean `bands`? (allowed: "),
    ],
)
def test_what_is_refused(minhash: dict[str, Any], expected: str) -> None:
    with pytest.raises(ConfigError) as error:
        check({"name": "near", "minhash": minhash})
    assert str(error.value).startswith(f"$.stages[0].dedupe.minhash{expected}")


@pytest.mark.parametrize(
    ("key", "value"), [("bloom", {}), ("part", {"index": 0, "of": 2}), ("skip_empty", False), ("min_words", 3)]
)
def test_keys_of_the_other_kinds(key: str, value: Any) -> None:
    with pytest.raises(ConfigError) as error:
        check({"name": "near", "minhash": {}, key: value})
    expected = f"$.stages[0].dedupe.{key}: expected none beside `minhash`, which does not know it, found one"
    assert str(error.value) == expected


def test_what_is_forced() -> None:
    check({"name": "near", "minhash": {"bands": 5, "rows": 20, "force": True}})
    check({"name": "near", "minhash": {"bands": 5, "rows": 20, "verify": {"threshold": 0.97}}})


def check(dedupe: dict[str, Any]) -> None:
    sources = {"s": {"documents": "*.jsonl"}}
    validate(decode(Recipe, {"name": "x", "work_dir": "w", "sources": sources, "stages": [{"dedupe": dedupe}]}))
