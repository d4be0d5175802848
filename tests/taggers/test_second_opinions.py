"""CLD2 and Lingua where they are installed, and what is said where they are not."""

from __future__ import annotations

import sys

import pytest

from dolma_pipeline.errors import ConfigError
from dolma_pipeline.taggers import second_opinions
from dolma_pipeline.taggers.registry import load_taggers
from tests import needs
from tests.taggers.toys import documents, rows

ENGLISH = "The quick brown fox jumps over the lazy dog, and then it goes home to sleep for the night.\n"
GERMAN = "Der schnelle braune Fuchs springt über den faulen Hund und geht dann nach Hause, um zu schlafen.\n"
TEXTS = [ENGLISH, GERMAN, ENGLISH + "\n" + GERMAN, "", GERMAN + "\x00\x01"]


def found(name: str) -> list[dict[str, object]]:
    columns = load_taggers([name]).tag(documents(TEXTS))
    return rows({a: c for (_, a), c in columns.items()})


def test_languages_by_cld2_have_their_codes() -> None:
    """Not the first letters of their names, `ge` for German; and control characters change nothing."""
    needs.module("pycld2", "make parity")
    by_document = found("cld2_doc_v2")
    assert [max(row, key=lambda k: row[k], default=None) for row in by_document] == ["en", "de", "de", None, "de"]  # type: ignore[arg-type,return-value]
    english = found("cld2_en_paragraph_with_doc_score_v2")
    first, second = (s for s in english[2]["en"])  # type: ignore[attr-defined]
    assert (first[:2], second[:2]) == ((0, len(ENGLISH)), (len(ENGLISH) + 1, len(TEXTS[2])))
    assert first[2] > 0.9
    assert second[2] == 0
    assert english[2]["doc_en"] == pytest.approx(len(ENGLISH) * first[2] / len(TEXTS[2]), abs=1e-5)
    assert english[3] == {"en": [], "not_en": [], "doc_en": 0, "doc_not_en": 0}


def test_english_by_lingua() -> None:
    needs.module("lingua", "make parity")
    scores = found("lingua_doc_en_v1")
    assert scores[0]["en"] > 0.4  # type: ignore[operator]
    assert scores[1]["en"] < 0.1  # type: ignore[operator]
    assert all(row["not_en"] == pytest.approx(1 - row["en"], abs=1e-5) for row in scores)  # type: ignore[operator]
    assert found("lingua_1e2")[1]["de"] == pytest.approx(1, abs=0.2)


@pytest.mark.parametrize(
    ("name", "module", "package"),
    [("cld2_doc_v2", "pycld2", "pycld2"), ("lingua_doc_v1", "lingua", "lingua-language-detector")],
)
def test_a_missing_package(name: str, module: str, package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    second_opinions._cld2.cache_clear()
    second_opinions._lingua.cache_clear()
    with pytest.raises(ConfigError) as caught:
        load_taggers([name], where="$.stages[0].tag")
    message = str(caught.value)
    assert message.startswith(f"$.stages[0].tag.taggers[0]: expected the package `{package}`, found none (")
    assert message.endswith(f"; `pip install {package}` brings it")
