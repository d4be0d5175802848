"""Creative Commons licences: as Dolma 1.2.1 finds them."""

from __future__ import annotations

import json

import pytest

from dolma_pipeline.taggers.base import TaggerFailure
from dolma_pipeline.taggers.registry import load_taggers
from tests.taggers.toys import documents, rows

BY = '<a rel="license" href="http://creativecommons.org/licenses/by/4.0/">CC</a>'
ZERO = "<meta name=x content='https://creativecommons.org/publicdomain/zero/1.0/deed.fr'>"
PAGES = [BY + ZERO + BY, "no creativecommons.org/licenses", None, BY.replace("by/4.0/", "by-nc-sa/3.0/us/")]


def found(name: str) -> list[dict[str, list[tuple[int, int, float]]]]:
    raw = [json.dumps({"id": "x", "metadata": {} if p is None else {"html": p}}).encode() for p in PAGES]
    taggers = load_taggers([name])
    assert (taggers.needs_raw, taggers.undeclared) == (True, (name,))
    columns = taggers.tag(documents(["täxt"] * len(PAGES), raw))
    return [{k: v for k, v in row.items() if v} for row in rows({a: c for (_, a), c in columns.items()})]


def test_links_with_version_and_language() -> None:
    assert found("cc_re") == [
        {"cc_by_4.0": [(0, 4, 1.0), (0, 4, 0.66667)], "cc_publicdomain/zero_1.0_fr": [(0, 4, 0.75)]},
        {},
        {},
        {"cc_by-nc-sa_3.0_us": [(0, 4, 1.0)]},
    ]


def test_anywhere() -> None:
    assert found("cc_re_fast") == [
        {"cc_by": [(0, 4, 1.0), (0, 4, 0.75)]},
        {},
        {},
        {"cc_by-nc-sa": [(0, 4, 1.0)]},
    ]


def test_documents_must_come_with_their_metadata() -> None:
    with pytest.raises(TaggerFailure, match=r"^tagger `cc_re`: expected documents read with their metadata$"):
        load_taggers(["cc_re"]).tag(documents(["a"]))
