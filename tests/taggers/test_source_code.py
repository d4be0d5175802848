"""Taggers of source code against their twins, and against Dolma 1.2.1 on invented sources."""

from __future__ import annotations

import inspect
import json
import textwrap
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dolma_pipeline import _native
from dolma_pipeline.taggers.base import TaggerFailure
from dolma_pipeline.taggers.native import NativeTagger, tag_natively
from dolma_pipeline.taggers.registry import load_taggers
from tests.taggers import source_twins
from tests.taggers.test_native import OF_SOURCES, TEXTS, is_word, rounded
from tests.taggers.toys import documents, rows

V1, V2 = "code_starcoder_taggers_v1", "code_starcoder_taggers_v2"

PIECES = st.sampled_from(
    [
        "// a\n",
        "# b\n",
        "-- c\n",
        "\n",
        "/* Copyright é */",
        "/* d */",
        "*/",
        "/*",
        " copyright ",
        "x = 1;\n",
        "—\n",
        "👍🏽 ✓\n",
        "* * *\n",
    ]
)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.lists(PIECES, max_size=8).map("".join) | TEXTS, max_size=3))
@example(["# é\n\n//\nx", "\n\n", "/* COPYRIGHT\n */", "a\r\n\x1cb\u2028", "---\n ... \n"])
def test_native_taggers_agree_with_their_twins(texts: list[str]) -> None:
    twins = {
        "code_copyright_comments_v1": source_twins.copyright_comments,
        "code_redpajama_taggers_v1": lambda text: source_twins.redpajama(text, is_word),
        "not_alphanum_paragraph_v1": source_twins.all_punctuation,
    }
    for (name, twin), columns in zip(twins.items(), tag_natively(list(twins), documents(texts)), strict=True):
        expected = [{k: rounded(v) for k, v in twin(text).items()} for text in texts]
        assert rows(columns) == expected, name


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.sampled_from(["password = ", '"', "'", "é", "A1b2C3d4E5f6G7h8I9j0K1", "\n", " ", "ghp_" + "a1" * 18]),
        max_size=12,
    )
)
@example(["password = ", '"', "é", "A1b2C3d4E5f6G7h8I9j0K1", '"'])
def test_secrets_lie_in_the_text_and_are_counted(parts: list[str]) -> None:
    text = "".join(parts)
    (found,) = rows(tag_natively(["code_secrets_v1"], documents([text]))[0])
    doc = found.pop("doc")
    spans = [span for kind in found.values() for span in kind]
    assert all(0 <= start < end <= len(text) for start, end, _ in spans)
    words = len(text.split())
    assert doc == (round(len(spans) / words, 5) if words else -1.0)


def shares(text: str, language: str | None) -> float | None:
    column = _native.comment_shares(pa.array([text], pa.large_string()), pa.array([language], pa.large_string()))
    return column[0].as_py()  # type: ignore[no-any-return]


@pytest.mark.parametrize("module", [textwrap, inspect, json, pytest, source_twins])
def test_prose_of_python_is_that_of_its_own_parser(module: Any) -> None:
    source = Path(module.__file__).read_text("utf-8")
    assert shares(source, "python") == len(source_twins.python_prose(source)) / len(source)


STATEMENTS = st.sampled_from(
    [
        "class A(B):\n    '''Doc é\n\n      more\\n '''\n    x = 1  # one\n",
        "def f(x: int = {1: 2}) -> 'y':\n\t\"tab\\tdoc\"\n\treturn '# none'\n",
        "async def g():\n    'coroutine'\n    def h(): r'in\\ner'\n",
        "x = ['''no\n# comment''',  # yes\n  ]\n",
        "if x:\n    'not a docstring'\n",
        "'maybe ' \\\n  'the module'\n",
        "f'{x} # no' # é ##\n",
        "b'bytes'\n",
        "\n# alone\n",
    ]
)


@settings(max_examples=200, deadline=None)
@given(st.lists(STATEMENTS, min_size=1, max_size=6).map("".join))
def test_any_statements_of_python(source: str) -> None:
    assert shares(source, "python") == len(source_twins.python_prose(source)) / len(source)


ELEMENTS = st.sampled_from(
    [
        "<p class='a>b'>",
        "</p>",
        "text &amp; é &#233;&lt;",
        "<!-- > no -->",
        "<script>if (a<b) 'no'</script>",
        "<br/>",
        "\n",
        "<style>no{}</style>",
        "<pre> \n ",
        "</pre>",
        " \n ",
    ]
)


@settings(max_examples=200, deadline=None)
@given(st.lists(ELEMENTS, max_size=12).map("".join))
def test_visible_text_is_that_of_a_parser(page: str) -> None:
    page += "<div>" + "v" * 101
    found = _native.visible_shares(pa.array([page], pa.large_string()))[0].as_py()
    assert found == len(source_twins.visible(page)) / len(page)


def with_metadata(texts: list[str], metadata: list[Any]) -> Any:
    return documents(texts, [json.dumps({"id": "x", "metadata": m}).encode() for m in metadata])


def test_starcoder_reads_extension_and_stars() -> None:
    texts = ["# é\nx", "", "int a; // b", "<?xml version='1.0'?>", "\n" * 90 + "<?xml version=", "<p>" + "é" * 101]
    metadata = [
        {"ext": "py", "max_stars_count": 7},
        {"ext": "py"},
        {"ext": "java", "max_stars_count": None},
        None,
        {},
        {"ext": "html"},
    ]
    found = load_taggers([V1, V2]).tag(with_metadata(texts, metadata))
    names = ["has_xml_template_doc", "num_github_stars_doc", "nl_ratio_doc", "code_to_text_ratio_html_doc"]
    page = round(101 / 104, 5)
    assert {n: found[V1, n].to_pylist() for n in names} == {
        "has_xml_template_doc": [0, 0, 0, 1, 0, 0],
        "num_github_stars_doc": [7, 0, 0, 0, 0, 0],
        "nl_ratio_doc": [0.2, -1, round(4 / 11, 5), -1, -1, 0],
        "code_to_text_ratio_html_doc": [1, -1, 1, -1, -1, page],
    }
    assert found[V2, "code_to_comment_ratio_doc"].to_pylist() == [0.2, 0, round(4 / 11, 5), 0.5, 0.5, 0.5]
    assert found[V2, "code_to_text_ratio_html_doc"].to_pylist() == [1, 1, 1, 1, 1, page]


def test_stars_that_are_no_number_name_their_document() -> None:
    with pytest.raises(TaggerFailure, match=r"^tagger `code_starcoder_taggers_v2`, document `d1`: could not convert"):
        load_taggers([V2]).tag(with_metadata(["a", "b"], [{}, {"max_stars_count": "many"}]))


def test_what_dolma_gets_wrong_of_comments() -> None:
    """Its block ends early by a character for each line break, and its share has one character too many."""
    (found,) = rows(tag_natively(["code_copyright_comments_v1"], documents(["# a\n# b\nx"]))[0])
    assert found == {"copyright_notice": [], "comment_block": [(0, 8, 1.0)], "doc": round(8 / 9, 5)}
    assert NativeTagger("code_copyright_comments_v1").attributes[0].kind == "spans"
    assert set(OF_SOURCES) <= set(_native.tagger_names())


def test_spans_of_secrets_count_code_points() -> None:
    token = "ghp_" + "a1" * 18
    (found,) = rows(tag_natively(["code_secrets_v1"], documents([f"é😀 {token} é"]))[0])
    (span,) = [span for kind, spans in found.items() if kind != "doc" for span in spans]
    assert (span[0], span[1]) == (3, 3 + len(token))
