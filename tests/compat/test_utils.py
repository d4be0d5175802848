"""Texts cut into paragraphs, sentences and words; names; paths."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dolma_pipeline.compat import (
    TextSlice,
    add_suffix,
    join_path,
    make_relative,
    make_variable_name,
    split_glob,
    split_paragraphs,
    split_path,
    split_sentences,
    split_words,
    sub_prefix,
    sub_suffix,
)

TEXTS = st.text(alphabet=st.characters(exclude_categories=["Cs"]) | st.sampled_from("\n .!?a"))


@given(TEXTS)
def test_paragraphs_are_lines_with_their_breaks(text: str) -> None:
    lines = [(m.start(), m.end()) for m in re.finditer(r"[^\n]*\n|[^\n]+$", text)]
    assert [(p.start, p.end) for p in split_paragraphs(text, remove_empty=False)] == lines
    kept = [(start, end) for start, end in lines if text[start:end].strip()]
    assert [(p.start, p.end) for p in split_paragraphs(text)] == kept


@given(TEXTS)
def test_segments_are_the_text(text: str) -> None:
    assert "".join(s.text for s in split_words(text, remove_empty=False)) == text


def test_words_and_sentences() -> None:
    assert split_words("Don't stop, é.") == [
        TextSlice("Don't stop, é.", 0, 5),
        TextSlice("Don't stop, é.", 6, 10),
        TextSlice("Don't stop, é.", 10, 11),
        TextSlice("Don't stop, é.", 12, 13),
        TextSlice("Don't stop, é.", 13, 14),
    ]
    assert [s.text for s in split_sentences("Hi there. \n How are you? Fine")] == ["Hi there.", "How are you?", "Fine"]
    with pytest.raises(NotImplementedError, match="expected remove_empty=True"):
        split_sentences("a", remove_empty=False)


def test_names() -> None:
    assert make_variable_name("a-b.c__d") == "a_b_c__d"
    assert make_variable_name("a-b.c__d", remove_multiple_underscores=True) == "a_b_c_d"
    with pytest.raises(ValueError, match="expected a name that does not begin with a digit, found `1a`"):
        make_variable_name("1a")


def test_paths() -> None:
    assert split_path("s3://bucket/a/*.gz") == ("s3", ("bucket", "a", "*.gz"))
    assert join_path("", "/", "a", ("b", "c")) == "/a/b/c"
    assert split_glob("s3://bucket/a/**/x.gz") == ("s3://bucket/a", "**/x.gz")
    assert sub_prefix("/a/b/c", "/a") == "b/c"
    assert sub_prefix("/a", "/a/b/c") == "/a"
    assert sub_suffix("s3://a/b/c", "b/c") == "s3://a"
    assert add_suffix("s3://a/b", "c/*") == "s3://a/b/c/*"
    assert make_relative(["/a/b/c", "/a/b/*.gz", "/a/d/**/e"]) == ("/a", ["b/c", "b/*.gz", "d/**/e"])
    assert make_relative(["s3://x/a", "s3://y/b"]) == ("s3://", ["x/a", "y/b"])
    with pytest.raises(ValueError, match="expected paths of one protocol, found s3://a and /b"):
        sub_prefix("s3://a", "/b")
