"""Budgets: rates that give every source its share, exact to a bin, or say what would."""

from __future__ import annotations

import msgspec
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dolma_pipeline.config.recipe import Budget
from dolma_pipeline.errors import ConfigError
from dolma_pipeline.mixers.sampling import SHIFT, Rate, SourceHistogram, located_hashes, plan_budget

TOP = np.uint64(SHIFT)


def even(count: int, size: int) -> SourceHistogram:
    """`count` documents of one size, spread evenly over the hashes."""
    histogram = SourceHistogram()
    step = (1 << 64) // count
    hashes = np.asarray([i * step for i in range(count)], np.uint64)
    histogram.add(hashes, np.full(count, size, np.int64))
    return histogram


FULL = even(1 << 16, 10)
"""A document in every bin."""


def test_a_histogram_counts_by_the_top_bits() -> None:
    histogram = SourceHistogram()
    hashes = np.asarray([0, (1 << 48) - 1, 1 << 48, (1 << 64) - 1], np.uint64)
    histogram.add(hashes, np.asarray([1, 2, 4, 8], np.int64))
    assert histogram.bins == {0: (2, 3), 1: (1, 4), 65535: (1, 8)}
    assert (histogram.documents, histogram.size) == (4, 15)
    assert histogram.reached()[[0, 1, 2, 65535, 65536]].tolist() == [0, 3, 7, 7, 15]


def test_histograms_merge_and_survive_json() -> None:
    one, two = even(10, 3), even(20, 5)
    one.merge(two)
    again = msgspec.json.decode(msgspec.json.encode(one), type=SourceHistogram)
    assert again == one
    assert (again.documents, again.size) == (30, 130)
    assert SourceHistogram().bins == {}


def test_a_rate_takes_copies_and_one_more_below_the_threshold() -> None:
    hashes = np.asarray([0, 9, 10, (1 << 64) - 1], np.uint64)
    assert Rate(2, 10).take(hashes).tolist() == [3, 3, 2, 2]
    assert Rate(0, 0).take(hashes).tolist() == [0, 0, 0, 0]
    assert Rate(0, 0xFFFF << 48).take(hashes).tolist() == [1, 1, 1, 0]


def test_weights_set_the_shares() -> None:
    histograms = {"a": FULL, "b": FULL}
    budget = Budget(bytes=655_360, weights={"a": 3, "b": 1})
    assert plan_budget(budget, histograms, "$").rates == {"a": Rate(0, 0xC000 << 48), "b": Rate(0, 0x4000 << 48)}


def test_without_weights_all_are_scaled_alike() -> None:
    histograms = {"a": FULL, "b": even(1 << 16, 30)}
    assert plan_budget(Budget(bytes=1_310_720), histograms, "$").rates == {"a": Rate(0, 1 << 63), "b": Rate(0, 1 << 63)}
    assert plan_budget(Budget(bytes=2_621_440), histograms, "$").rates == {"a": Rate(1, 0), "b": Rate(1, 0)}


def test_documents_are_repeated_up_to_max_epochs() -> None:
    budget = Budget(bytes=1_638_400, weights={"a": 1}, max_epochs=2.5)
    assert plan_budget(budget, {"a": FULL}, "$").rates == {"a": Rate(2, 1 << 63)}


def test_tokens_are_bytes_over_bytes_per_token_and_the_smaller_limit_holds() -> None:
    histograms = {"a": FULL}
    half = {"a": Rate(0, 1 << 63)}
    assert plan_budget(Budget(tokens=81_920, bytes_per_token=4.0), histograms, "$").rates == half
    assert plan_budget(Budget(tokens=999_999, bytes=327_680), histograms, "$").rates == half
    assert plan_budget(Budget(tokens=81_920, bytes=999_999), histograms, "$").rates == half


def test_weight_zero_leaves_a_source_out() -> None:
    histograms = {"a": even(8, 10), "b": even(8, 10), "empty": SourceHistogram()}
    rates = plan_budget(Budget(bytes=80, weights={"a": 1, "b": 0, "empty": 0}), histograms, "$").rates
    assert rates == {"a": Rate(1, 0), "b": Rate(0, 0), "empty": Rate(0, 0)}


@pytest.mark.parametrize(
    ("budget", "message"),
    [
        (
            Budget(tokens=20_000, weights={"a": 0.7, "b": 0.3}, max_epochs=2),
            "source `a` has 2,500 tokens, its share of 0.7 is 14,000 tokens: 5.60 epochs; max_epochs is 2; "
            "what would work: at most 7,142 tokens, or max_epochs of at least 5.6",
        ),
        (
            Budget(bytes=400_000),
            "source `a` has 10,000 bytes, its share of 0.09091 is 36,363 bytes: 3.64 epochs; "
            "source `b` has 100,000 bytes, its share of 0.9091 is 363,636 bytes: 3.64 epochs; max_epochs is 1; "
            "what would work: at most 110,000 bytes, or max_epochs of at least 3.64",
        ),
        (Budget(weights={"a": 1}), "expected `tokens` or `bytes`, found neither"),
    ],
)
def test_what_cannot_be_given_says_what_would_work(budget: Budget, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        plan_budget(budget, {"a": even(1000, 10), "b": even(1000, 100)}, "$.stages[3].mix")
    assert str(caught.value) == f"$.stages[3].mix.budget: {message}"


def test_what_is_said_to_work_does() -> None:
    histograms = {"a": even(1000, 10), "b": even(1000, 100)}
    weights = {"a": 0.7, "b": 0.3}
    assert plan_budget(Budget(tokens=7_142, weights=weights, max_epochs=2), histograms, "$")
    assert plan_budget(Budget(tokens=20_000, weights=weights, max_epochs=5.6), histograms, "$")
    with pytest.raises(ConfigError):
        plan_budget(Budget(tokens=7_143, weights=weights, max_epochs=2), histograms, "$")


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ({"a": 1, "bb": 1}, "unknown source `bb`; did you mean `b`? (known: `a`, `b`)"),
        ({"a": 1}, "no weight for source `b`; 0 leaves it out"),
        ({"a": 0, "b": 0}, "expected a weight above 0, found none"),
    ],
)
def test_weights_that_cannot_be_meant(weights: dict[str, float], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        plan_budget(Budget(bytes=1, weights=weights), {"a": even(4, 1), "b": even(4, 1)}, "$.mix")
    assert str(caught.value) == f"$.mix.budget.weights: {message}"


@pytest.mark.parametrize("weight", [-1.0, float("nan"), float("inf")])
def test_weights_are_finite_and_not_negative(weight: float) -> None:
    with pytest.raises(ConfigError, match=r"\$\.budget\.weights\.a: expected a weight of 0 or more, found"):
        plan_budget(Budget(bytes=1, weights={"a": weight}), {"a": even(4, 1)}, "$")


def test_empty_sources() -> None:
    with pytest.raises(ConfigError, match=r"source `b` has no text left for its share of 0\.5; weight 0 leaves it out"):
        plan_budget(Budget(bytes=1, weights={"a": 1, "b": 1}), {"a": even(4, 1), "b": SourceHistogram()}, "$")
    with pytest.raises(ConfigError, match="no text is left to sample from"):
        plan_budget(Budget(bytes=1), {"a": SourceHistogram()}, "$")


sources = st.lists(st.tuples(st.integers(0, (1 << 64) - 1), st.integers(1, 1000)), min_size=1, max_size=60)


@settings(max_examples=200, deadline=None)
@given(sources, sources, st.floats(0.01, 3.0), st.booleans())
def test_totals_are_exact_to_a_bin(
    one: list[tuple[int, int]], two: list[tuple[int, int]], epochs: float, weighted: bool
) -> None:
    data = {"one": one, "two": two}
    histograms = {}
    for name, documents in data.items():
        # In two parts and in the other order: shards come as they come.
        histograms[name] = SourceHistogram()
        for part in (documents[1::2], documents[::2]):
            histogram = SourceHistogram()
            hashes, sizes = ([d[i] for d in part] for i in (0, 1))
            histogram.add(np.asarray(hashes, np.uint64), np.asarray(sizes, np.int64))
            histograms[name].merge(histogram)
    total = {name: sum(size for _, size in documents) for name, documents in data.items()}
    wanted = max(1, int(epochs * min(total.values())))
    weights = {"one": 2.0, "two": 1.0} if weighted else {}
    rates = plan_budget(Budget(bytes=wanted, weights=weights, max_epochs=1000.0), histograms, "$").rates
    for name, documents in data.items():
        share = wanted * (weights[name] / 3 if weighted else total[name] / sum(total.values()))
        taken = rates[name].take(np.asarray([h for h, _ in documents], np.uint64))
        got = sum(int(t) * size for t, (_, size) in zip(taken, documents, strict=True))
        largest = max(size for _, size in histograms[name].bins.values())
        assert abs(got - share) <= largest / 2 + 1e-6
        assert taken.max() - taken.min() <= 1


def test_what_is_asked_and_what_is_obtained() -> None:
    plan = plan_budget(Budget(bytes=100, weights={"a": 3, "b": 1}), {"a": even(8, 10), "b": even(2, 40)}, "$")
    assert plan.account() == {
        "unit": "bytes",
        "asked": 100,
        "obtained": 110,
        "sources": {
            "a": {"asked": 75, "obtained": 70, "share_asked": 0.75, "share_obtained": 0.6364},
            "b": {"asked": 25, "obtained": 40, "share_asked": 0.25, "share_obtained": 0.3636},
        },
    }
    assert plan.warnings("$.mix.budget") == [
        "$.mix.budget: source `a` gives 70 bytes for the 75 it was asked for: whole documents are drawn, and those "
        "drawn together have up to 10 bytes",
        "$.mix.budget: source `b` gives 40 bytes for the 25 it was asked for: whole documents are drawn, and those "
        "drawn together have up to 40 bytes",
    ]


def test_an_exact_budget_warns_of_nothing() -> None:
    plan = plan_budget(Budget(bytes=327_680), {"a": FULL}, "$")
    assert (plan.sources["a"].obtained, plan.warnings("$")) == (327_680, [])


def test_tokens_are_counted_by_what_each_source_takes() -> None:
    histograms = {"a": FULL, "b": FULL}
    budget = Budget(tokens=65_536, weights={"a": 1, "b": 1})
    plan = plan_budget(budget, histograms, "$", {"a": 2.5, "b": 5.0})
    # 32,768 tokens of each: 81,920 bytes of `a`, 163,840 of `b`.
    assert plan.rates == {"a": Rate(0, 1 << 61), "b": Rate(0, 1 << 62)}
    assert plan.account()["sources"]["b"] == {
        "asked": 32_768,
        "obtained": 32_768,
        "share_asked": 0.5,
        "share_obtained": 0.5,
        "bytes_per_token": 5.0,
    }
    # What the recipe says comes before what was measured, and 4 after it.
    given = plan_budget(Budget(tokens=16_384, bytes_per_token=10), {"a": FULL}, "$", {"a": 2.5})
    assert given.rates == {"a": Rate(0, 1 << 62)}
    assert plan_budget(Budget(tokens=81_920), {"a": FULL}, "$").rates == {"a": Rate(0, 1 << 63)}


def test_documents_of_one_id_have_places_of_their_own() -> None:
    ids = pa.array(["same"] * 1000, pa.large_string())
    lines = pa.array(range(1, 1001), pa.int64())
    hashes = located_hashes(ids, "a", lines, 17)
    assert len(np.unique(hashes)) == 1000
    assert 400 < int((hashes < np.uint64(1 << 63)).sum()) < 600
    assert not np.isin(hashes, located_hashes(ids, "b", lines, 17)).any()
    assert located_hashes(ids, "a", lines, 17).tolist() == hashes.tolist()
