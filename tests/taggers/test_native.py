"""Native taggers against their slow twins, and what they share."""

from __future__ import annotations

import itertools
import math
import re
import struct
import sys
import unicodedata
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dolma_pipeline import _native
from dolma_pipeline.taggers.base import Attribute
from dolma_pipeline.taggers.native import NativeTagger, tag_natively
from tests.taggers.toys import documents, rows
from tests.taggers.twins import twins

NAMES = [
    "bytes_length_v1",
    "c4_v1",
    "c4_v2",
    "char_length_strip_ws_v1",
    "char_length_v1",
    "char_length_with_paragraphs_v1",
    "doc_count_v1",
    "gopher_v1",
    "gopher_v2",
    "olmo_pretokenizer_v1",
    "olmo_pretokenizer_with_paragraphs_v1",
    "paragraph_repetitions_v1",
    "pii_regex_v1",
    "pii_regex_v2",
    "pii_regex_with_counts_fast_v2",
    "pii_regex_with_counts_v2",
    "pii_v1",
    "repetitions_v1",
    "uniseg_length_paragraphs_v1",
    "uniseg_length_paragraphs_with_doc_length_v1",
    "uniseg_length_paragraphs_with_empty_v1",
    "uniseg_length_v1",
    "whitespace_tokenizer_v1",
    "whitespace_tokenizer_with_paragraphs_v1",
]
OF_SOURCES = [
    "code_copyright_comments_v1",
    "code_redpajama_taggers_v1",
    "code_secrets_v1",
    "not_alphanum_paragraph_v1",
]
"""See test_source_code.py."""
ALL = sorted(NAMES + OF_SOURCES)
AWKWARD = (
    "\x00\t\n\v\f\r\x1c\x1d\x1e\x1f \x85\xa0\u1680\u2003\u2028\u2029\u202f\u205f\u3000\u200b\ufeff\u0130\u212aςΣß…#*-{"
)


def is_word(c: str) -> bool:
    """Letters, marks, decimal digits, connectors, joiners; and Other_Alphabetic, of which `one_of_each` keeps clear."""
    return unicodedata.category(c)[0] in "LM" or unicodedata.category(c) in ("Nd", "Nl", "Pc") or c in "\u200c\u200d"


def assigned(c: str) -> bool:
    """Known to this Python, and alphabetic by its category if at all (So has circled letters)."""
    return unicodedata.category(c) not in ("Cn", "So", "Cs")


CHARACTERS = st.one_of(
    st.sampled_from(AWKWARD + "aeéAZ09.,;:?!\"'()@ñ字中ก́️👍🏽🇫🇷"),
    st.characters(exclude_categories=["Cs"]).filter(assigned),
)
WORDS = """the be to of and JavaScript Lorem ipsum sexy kinky a.b@c.org (@x.y 555-123-4567 (555) 123.4567 10.0.0.255
    256.1.1.1 1.2.3.4.5 isbn doi # … * - { } word word"""
PHRASES = ["\n", "\n\n", "\r\n", " ", "  ", "\x1c", "lorem ipsum", "one two three", "one two three four five six"]
PIECES = st.one_of(st.sampled_from([*WORDS.split(), *PHRASES]), st.text(CHARACTERS, max_size=6))
TEXTS = st.lists(st.tuples(PIECES, st.sampled_from([" ", "\n", "", "\n* "])), max_size=40).map(
    lambda parts: "".join(piece + gap for piece, gap in parts)
)


def rounded(value: Any) -> Any:
    if isinstance(value, list):
        return [(start, end, round(float(score), 5)) for start, end, score in value]
    return round(float(value), 5)


def agree(names: list[str], texts: list[str]) -> None:
    every = twins(is_word)
    for name, columns in zip(names, tag_natively(names, documents(texts)), strict=True):
        expected = [{k: rounded(v) for k, v in every[name](text).items()} for text in texts]
        assert rows(columns) == expected, name


UNISEG = [name for name in NAMES if name.startswith("uniseg")]


@settings(max_examples=300, deadline=None)
@given(st.lists(TEXTS, max_size=4))
@example(["", "\n", "\n\na\n\n", "a b " * 12, "\u0130\nx", "\u212aINKY x"])
@example(["a" * 70 + " b", "x@y.z ", "é " * 60 + "#" + " 555 123 4567"])
def test_every_tagger_agrees_with_its_twin(texts: list[str]) -> None:
    agree([name for name in NAMES if name not in UNISEG], texts)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.text(st.sampled_from("aB1_.,:;'\"-(\r\n\t\x0b\x1c\x00 "), max_size=60), max_size=4))
def test_words_of_ascii_texts_agree_with_their_twin(texts: list[str]) -> None:
    agree(UNISEG, texts)


REPEATED = st.tuples(
    st.text(st.sampled_from("ab c\né"), min_size=1, max_size=14), st.sampled_from(["", " ", "\n", "x"])
)
REPETITIVE = st.lists(st.tuples(REPEATED, st.integers(1, 6)).map(lambda r: "".join(r[0]) * r[1]), max_size=5).map(
    "".join
)


@settings(max_examples=300, deadline=None)
@given(st.lists(REPETITIVE, max_size=3))
@example(["".join(map(chr, range(0x4E00, 0x4F00))) * 5])
def test_repetitions_agree_with_the_regular_expression(texts: list[str]) -> None:
    agree(["repetitions_v1", "paragraph_repetitions_v1"], texts)


PERSONAL = """
a.b@c.org 'x+y@mail.example.co.uk' a..b@c.org @b.co
+44 20 7946 0958 +1-555-234-5678 (555) 234-5678 555-234-5678 1 (555) 234 5678 555.234.5678
10.0.0.1 192.168.1.255 256.1.1.1 1.2.3.4.5 2001:db8::1 fe80::1 ::1 a::b 12:34:56 1:2:3:4:5:6:7:8
DE89370400440532013000 DE89 3704 0044 0532 0130 00 GB82WEST12345698765432 DE89370400440532013001
4111111111111111 4111 1111 1111 1111 4111-1111-1111-1112 378282246310005 3782 822463 10005 6011111111111117
123-45-6789 666-12-3456 AKIAA1B2A1B2A1B2A1B2 ghp_012345678901234567890123456789012345 xoxb-1234567890-abc
sk_live_0123456789abcdef eyJa.eyJb.c AIzaaB-_9aB-_9aB-_9aB-_9aB-_9aB-_9aB-_9
-----BEGIN_RSA_PRIVATE_KEY----- -----END_RSA_PRIVATE_KEY----- 1 22 333 4444 é _
"""
WHOLE = re.sub("(?<=[A-Z])_(?=RSA|PRIV|KEY)", " ", PERSONAL)
PARTS = [*WHOLE.splitlines(), *PERSONAL.split(), *re.findall("-----[A-Z ]+-----", WHOLE)]
RUNS = [" ".join(PERSONAL.split()[i : i + n]) for n in (2, 3, 6) for i in range(len(PERSONAL.split()))]
PERSONAL_TEXTS = st.lists(
    st.tuples(
        st.sampled_from(PARTS + RUNS),
        st.sampled_from([" ", "\n", "", ".", ",", "-", "(", ")", ":", "/", "+", "@", "é", "_", "'"]),
    ),
    max_size=8,
).map(lambda parts: "".join(piece + gap for piece, gap in parts))


@settings(max_examples=500, deadline=None)
@given(st.lists(PERSONAL_TEXTS, max_size=4))
def test_personal_data_agrees_with_its_twin(texts: list[str]) -> None:
    agree(["pii_v1"], texts)


WILD = st.text(
    st.one_of(
        st.characters(exclude_categories=["Cs"]),
        st.sampled_from("\x00\n \u0130e\u0301\u200d\ufe0f\U0001f469\U0001f4bb\U0001f1eb字混ア\u1100\u1161\ud7a3"),
    ),
    max_size=200,
)


@settings(max_examples=200, deadline=None)
@given(st.lists(WILD, max_size=5))
def test_spans_lie_within_their_text_and_documents_do_not_leak(texts: list[str]) -> None:
    together = [rows(columns) for columns in tag_natively(NAMES, documents(texts))] if texts else []
    for number, text in enumerate(texts):
        alone = [rows(columns)[0] for columns in tag_natively(NAMES, documents([text]))]
        assert alone == [found[number] for found in together]
        for name, found in zip(NAMES, alone, strict=True):
            for value in found.values():
                if isinstance(value, list):
                    assert all(0 <= start <= end <= len(text) for start, end, _ in value), name
                    assert all(a[0] <= b[0] for a, b in itertools.pairwise(value)), name
                else:
                    assert math.isfinite(value), name


LONG = {
    "one line": "The quick (brown) fox can't jump 32.3 feet. " * 23_000,
    "words of one character": "a b " * 50_000,
    "one character": "a" * 1_000_000,
    "spaces": " " * 1_000_000,
    "line breaks": "\n" * 100_000,
    "marks": "e" + "\u0301" * 500_000,
    "joiners": "\U0001f469\u200d" * 150_000,
    "NUL": "\x00" * 1_000_000,
    "at signs": "a@" * 200_000,
    "numbers": "555 123 " * 100_000,
    "CJK": "字混ぜ書き" * 70_000,
}


@pytest.mark.parametrize("times", [1, pytest.param(10, marks=pytest.mark.slow)])
@pytest.mark.parametrize("text", LONG.values(), ids=LONG)
def test_long_texts_without_structure_are_done_in_linear_time(text: str, times: int) -> None:
    text *= times
    found = dict(zip(NAMES, tag_natively(NAMES, documents([text])), strict=True))
    assert found["char_length_v1"]["length"].to_pylist() == [len(text)]
    for name in NAMES:
        for column in found[name].values():
            if pa.types.is_list(column.type) and len(column.flatten()):
                assert pc.max(column.flatten().field("end")).as_py() <= len(text), name


def test_the_catalogue_and_the_attributes_of_each_tagger() -> None:
    assert _native.tagger_names() == ALL
    assert [name for name, _ in _native.tagger_catalogue()] == ALL
    assert NativeTagger("pii_regex_v2").attributes == (
        Attribute("EMAIL_ADDRESS", "spans"),
        Attribute("PHONE_NUMBER", "spans"),
        Attribute("IP_ADDRESS", "spans"),
        Attribute("doc", "float64"),
    )
    for name, columns in zip(ALL, tag_natively(ALL, documents(["a"])), strict=True):
        attributes = NativeTagger(name).attributes
        assert [a.name for a in attributes] == list(columns), name
        assert [a.kind == "spans" for a in attributes] == [pa.types.is_list(c.type) for c in columns.values()], name


def test_columns_have_the_types_that_attribute_files_have() -> None:
    from dolma_pipeline.formats.attributes import DOCUMENT, SPANS

    columns = NativeTagger("c4_v2").tag(documents(["a {", ""]))
    assert columns["lines_with_too_few_words"].type == SPANS
    assert columns["has_curly_brace"].type == DOCUMENT
    assert columns["has_curly_brace"].to_pylist() == [1.0, None]


def test_a_small_text_has_these_values() -> None:
    text = "The quick brown fox.\n* the quick brown fox\n\n#tag {x} a@b.org \n"
    found = dict(zip(NAMES, (rows(c)[0] for c in tag_natively(NAMES, documents([text]))), strict=True))
    assert found["gopher_v2"] == {
        "fraction_of_characters_in_most_common_2grams": 0.41667,
        "fraction_of_characters_in_most_common_3grams": 0.27083,
        "fraction_of_characters_in_most_common_4grams": 0.35417,
        **{f"fraction_of_characters_in_duplicate_{n}grams": 0.0 for n in range(5, 11)},
        "character_count": 62.0,
        "word_count": 12.0,
        "median_word_length": 4.0,
        "symbol_to_word_ratio": 0.08333,
        "fraction_of_words_with_alpha_character": 0.91667,
        "required_word_count": 1.0,
        "fraction_of_lines_starting_with_bullet_point": 0.25,
        "fraction_of_lines_ending_with_ellipsis": 0.0,
        "fraction_of_duplicate_lines": 0.0,
        "fraction_of_characters_in_duplicate_lines": 0.0,
    }
    assert found["gopher_v1"]["fraction_of_duplicate_lines"] == 0.4
    assert found["c4_v2"] == {
        "lines_with_no_ending_punctuation": [(21, 43, 1.0), (43, 44, 1.0), (44, 62, 1.0), (62, 62, 1.0)],
        "lines_with_too_few_words": [(43, 44, 1.0), (62, 62, 1.0)],
        "has_curly_brace": 1.0,
        "line_count": 5.0,
    }
    assert found["pii_regex_v2"] == {
        "EMAIL_ADDRESS": [(52, 62, 1.0)],
        "PHONE_NUMBER": [],
        "IP_ADDRESS": [],
        "doc": 0.08333,
    }
    assert found["char_length_strip_ws_v1"] == {"length_no_ws": 60.0}


def test_offsets_of_c4_v2_are_those_of_the_text_not_of_its_lower_case() -> None:
    (found,) = rows(NativeTagger("c4_v2").tag(documents(["\u0130 \u0130\nab"])))
    assert found["lines_with_no_ending_punctuation"] == [(0, 4, 1.0), (4, 6, 1.0)]


def test_every_letter_and_every_space_of_this_python_is_one_to_the_extension() -> None:
    characters = [chr(c) for c in range(sys.maxunicode + 1) if not 0xD800 <= c < 0xE000 and assigned(chr(c))]
    batch = documents([f"x {c} y" for c in characters])
    gopher = rows(NativeTagger("gopher_v2").tag(batch))
    for c, found in zip(characters, gopher, strict=True):
        assert found["word_count"] == (2 if c.isspace() else 3), hex(ord(c))
        alphabetic = round(found["fraction_of_words_with_alpha_character"] * found["word_count"])
        assert alphabetic == 2 + c.isalpha(), hex(ord(c))


@pytest.mark.parametrize(
    ("texts", "names", "error", "message"),
    [
        (pa.array(["a"]), ["c4_v1"], TypeError, "expected large_string texts, found Utf8"),
        (pa.array(["a", None], pa.large_string()), ["c4_v1"], ValueError, "expected texts without nulls, found 1"),
        (pa.array(["a"], pa.large_string()), ["c4_v9"], ValueError, "unknown native tagger `c4_v9`"),
    ],
)
def test_arguments_that_cannot_be_meant(texts: pa.Array, names: list[str], error: type, message: str) -> None:
    with pytest.raises(error) as caught:
        _native.tag_texts(texts, names)
    assert str(caught.value) == message


def test_slices_of_a_batch_are_tagged_as_themselves() -> None:
    texts = pa.array(["one", "two three", "four five six", ""], pa.large_string()).slice(1, 2)
    (batch,) = _native.tag_texts(texts, ["gopher_v1"])
    assert batch.column("word_count").to_pylist() == [2.0, 3.0]
    (empty,) = _native.tag_texts(texts.slice(0, 0), ["c4_v1"])
    assert empty.num_rows == 0


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.one_of(
            st.floats(allow_nan=False),
            st.floats(-1000, 1000),
            st.integers(-(10**9), 10**9).map(lambda n: n / 2**20),
            st.integers(-(10**8), 10**8).map(lambda n: n / 10**6),
            st.integers(-(10**12), 10**12).map(lambda n: (n + 0.5) / 10**5),
        ),
        max_size=200,
    )
)
def test_scores_are_rounded_as_python_does(scores: list[float]) -> None:
    found = _native.round_scores(pa.array(scores, pa.float64())).to_pylist()
    bits = [struct.pack("<d", x) for x in found]
    assert bits == [struct.pack("<d", round(x, 5)) for x in scores]


def test_rounding_keeps_nulls_and_what_is_no_number() -> None:
    found = _native.round_scores(pa.array([None, math.nan, math.inf, -0.000001])).to_pylist()
    assert found[0] is None
    assert math.isnan(found[1])
    assert found[2] == math.inf
    assert str(found[3]) == "-0.0"
