"""The kernels of MinHash beside their slow twins, and what they refuse."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dolma_pipeline import _native
from tests.dedupe import minhash_twin as twin
from tests.dedupe.xxh3_twin import xxh3_64

PIECES = [
    *(
        "a",
        "B",
        "One",
        "don't",
        "3.14",
        "a_b",
        "__",
        " ",
        "  ",
        "\r\n",
        "\n",
        "\t",
        "\x1c",
        ".",
        ",",
        ":",
        "'",
        "’",
        "—",
    ),
    *("é", "e\u0301", "Ö", "İ", "ΟΔΟΣ", "Σ", "ß", "ẞ", "ﬁ", "привет", "Ж", "สวัสดี", "ครับ", "字", "かな", "カナ", "한국"),
    *("שלום", 'ג"ן', "हिन्दी", "👩\u200d💻", "🇫🇷", "🇩🇪", "\u3000", "\u00a0", "\u0301", "\u00ad", "x" * 70),
]
"""Marks, scripts, joiners, line breaks and blanks: whatever texts of them are, words begin and end as Unicode says."""
MOST_BYTES = 128
"""Bytes of the longest word that the twin hashes."""
TEXTS = (
    st.lists(st.sampled_from(PIECES) | st.text("abcdef .,'é", max_size=8), max_size=25)
    .map("".join)
    .filter(lambda text: all(len(word.lower().encode()) <= MOST_BYTES for word in text.split()))
)
UNITS = st.sampled_from(["words", "chars"])
ROWS = st.lists(st.lists(st.integers(0, 3), max_size=9), max_size=12)
SCHEME: dict[str, Any] = {"unit": "words", "ngram": 2, "seed": 42}
GOLDEN = pa.array(["The quick brown fox, naïve as ever."])


def strings(texts: list[str | None]) -> Any:
    return pa.array(texts, pa.string())


def lists(rows: Any) -> Any:
    return pa.array(rows, pa.list_(pa.uint64()))


def test_a_changed_hash_is_a_new_version() -> None:
    """Whoever changes one of these numbers raises MINHASH_VERSION: files of signatures and keys are compared by it."""
    assert _native.MINHASH_VERSION == 1
    signature = _native.minhash_signatures(GOLDEN, permutations=3, **SCHEME)
    assert (signature.type, signature.to_pylist()) == (
        pa.list_(pa.uint32(), 3),
        [[429736256, 930494404, 245029862]],
    )
    keys = _native.minhash_bands(GOLDEN, bands=2, rows=2, **SCHEME)
    assert (keys.type, keys.to_pylist()) == (pa.list_(pa.uint64(), 2), [[1814244213200898784, 5791302230180093130]])
    chars = _native.minhash_signatures(GOLDEN, unit="chars", ngram=5, permutations=2, seed=0)
    assert chars.to_pylist() == [twin.signature(GOLDEN[0].as_py(), "chars", 5, 2, 0)]
    assert xxh3_64(b"") == 0x2D06800538D394C2


def test_rows_without_a_token_have_no_signature() -> None:
    texts: list[str | None] = ["one two", None, "", " ...\n", "TWO"]
    for kind in (pa.string(), pa.large_string()):
        array = pa.array(texts, kind)
        assert _native.minhash_signatures(array, permutations=9, **SCHEME).is_null().to_pylist() == [0, 1, 1, 1, 0]
        assert _native.minhash_bands(array, bands=3, rows=3, **SCHEME).is_null().to_pylist() == [0, 1, 1, 1, 0]
        tokens = _native.minhash_tokens(array, unit="words")
        one, two = xxh3_64(b"one"), xxh3_64(b"two")
        assert (tokens.type, tokens.to_pylist()) == (pa.list_(pa.uint64()), [[one, two], None, [], [], [two]])
        assert _native.minhash_tokens(array[1:], unit="words").to_pylist() == [None, [], [], [two]]
    assert _native.minhash_bands(strings([]), bands=3, rows=3, **SCHEME).to_pylist() == []


@settings(max_examples=300, deadline=None)
@given(st.lists(TEXTS, min_size=1, max_size=4), UNITS)
def test_tokens_are_those_of_the_twin(texts: list[str], unit: str) -> None:
    expected = [twin.token_hashes(text, unit) for text in texts]
    assert _native.minhash_tokens(strings(list(texts)), unit=unit).to_pylist() == expected


@settings(max_examples=100, deadline=None)
@given(TEXTS, UNITS, st.integers(1, 6), st.integers(1, 5), st.integers(1, 5), st.integers(0, (1 << 64) - 1))
def test_signatures_are_those_of_the_twin(text: str, unit: str, ngram: int, bands: int, rows: int, seed: int) -> None:
    scheme: dict[str, Any] = {"unit": unit, "ngram": ngram, "seed": seed}
    expected = twin.signature(text, unit, ngram, bands * rows, seed)
    array = strings([text, text])
    assert _native.minhash_signatures(array, permutations=bands * rows, **scheme).to_pylist() == [expected] * 2
    keys = None if expected is None else twin.band_keys(expected, bands, rows)
    assert _native.minhash_bands(array, bands=bands, rows=rows, **scheme).to_pylist() == [keys] * 2


@settings(max_examples=200, deadline=None)
@given(ROWS.filter(len), st.integers(1, 4), st.data())
def test_shares_are_those_of_the_twin(rows: list[list[int]], ngram: int, data: st.DataObject) -> None:
    numbers = st.lists(st.integers(0, len(rows) - 1), min_size=3, max_size=3)
    left, right = data.draw(numbers), data.draw(numbers)
    found = _native.minhash_compare(lists(rows), pa.array(left, pa.int32()), pa.array(right), ngram=ngram)
    expected = [twin.shares(rows[a], rows[b], ngram) or (None, None) for a, b in zip(left, right, strict=True)]
    assert [(row["jaccard"], row["containment"]) for row in found.to_pylist()] == expected


@settings(max_examples=300, deadline=None)
@given(ROWS, st.integers(1, 4), st.floats(0.05, 1.0), st.data())
def test_groups_are_resolved_as_by_the_twin(
    rows: list[list[int]], ngram: int, threshold: float, data: st.DataObject
) -> None:
    groups = sorted(data.draw(st.lists(st.integers(0, 2), min_size=len(rows), max_size=len(rows))))
    for rule, check in (("jaccard", twin.similar(threshold, ngram)), ("contained", twin.contained(ngram))):
        # A group of any size is large where containment is asked for, without another result.
        for large in (500, 2) if rule == "contained" else (500,):
            found, comparisons = _native.minhash_resolve(
                lists(rows),
                pa.array(groups, pa.int64()),
                rule=rule,
                ngram=ngram,
                threshold=threshold,
                large=large,
            )
            expected = twin.resolve(rows, groups, check, ngram)
            assert [(row["kept"], row["similarity"], row["containment"]) for row in found.to_pylist()] == expected
            assert comparisons <= len(rows) * len(rows)


def test_large_lists_and_slices() -> None:
    rows = lists([[9, 9], [1, 2, 3], [1, 2, 3], None, [1, 2]])
    groups = pa.array([0, 1, 1, 1, 1], pa.int64())
    options: dict[str, Any] = {"rule": "jaccard", "ngram": 2, "threshold": 0.5, "large": 500}
    for tokens in (rows[1:], rows[1:].cast(pa.large_list(pa.uint64()))):
        found, _ = _native.minhash_resolve(tokens, groups[1:], **options)
        assert found.column("kept").to_pylist() == [0, 0, 2, 0]
        assert found.column("similarity").to_pylist() == [None, 1.0, None, 0.5]


def test_what_is_refused() -> None:
    texts, rows, none = strings(["a"]), lists([[1], [2]]), pa.array([], pa.int64())
    compared = {"left": none, "right": none, "ngram": 3}
    resolved: dict[str, Any] = {"rule": "jaccard", "ngram": 3, "threshold": 0.8, "large": 500}
    groups = pa.array([0, 0], pa.int64())
    cases: list[tuple[Any, tuple[Any, ...], dict[str, Any], str]] = [
        (_native.minhash_tokens, (texts,), {"unit": "lines"}, "expected unit `words` or `chars`, found `lines`"),
        (
            _native.minhash_tokens,
            (pa.array([1]),),
            {"unit": "words"},
            "expected string or large_string texts, found Int64",
        ),
        (
            _native.minhash_signatures,
            (texts,),
            {**SCHEME, "permutations": 5000},
            "expected 1 to 4096 permutations, found 5000",
        ),
        (
            _native.minhash_signatures,
            (texts,),
            {**SCHEME, "ngram": 0, "permutations": 5},
            "expected an ngram of at least 1 token, found 0",
        ),
        (
            _native.minhash_bands,
            (texts,),
            {**SCHEME, "bands": 0, "rows": 8},
            "expected bands * rows to be 1 to 4096, found 0 bands of 8 rows",
        ),
        (
            _native.minhash_bands,
            (texts,),
            {**SCHEME, "bands": 14, "rows": -8},
            "expected rows of 0 or more, found -8",
        ),
        (
            _native.minhash_compare,
            (pa.array([1]),),
            compared,
            "expected tokens as list<uint64> without nulls within a list, found Int64",
        ),
        (
            _native.minhash_compare,
            (rows,),
            {**compared, "left": pa.array([2])},
            "expected as many row numbers in left as in right, found 1 and 0",
        ),
        (
            _native.minhash_compare,
            (rows,),
            {**compared, "left": pa.array([2]), "right": pa.array([1])},
            "expected row numbers from 0 below 2, found 2 in left[0]",
        ),
        (
            _native.minhash_resolve,
            (rows, groups),
            {**resolved, "rule": "same"},
            "expected rule `jaccard` or `contained`, found `same`",
        ),
        (
            _native.minhash_resolve,
            (rows, groups),
            {**resolved, "threshold": 80},
            "expected a threshold above 0 and at most 1, found 80",
        ),
        (
            _native.minhash_resolve,
            (rows, groups[:1]),
            resolved,
            "expected one group for each of fewer than 2^32 rows, found 1 for 2",
        ),
        (
            _native.minhash_resolve,
            (rows, pa.array([4, 3], pa.int64())),
            resolved,
            "expected rows sorted by group, found 4 before 3 in row 1",
        ),
        (_native.minhash_resolve, (rows, rows), resolved, "expected int64 groups, found List(UInt64)"),
    ]
    for kernel, arguments, options, message in cases:
        with pytest.raises(ValueError, match="expected") as raised:
            kernel(*arguments, **options)
        assert str(raised.value) == message
