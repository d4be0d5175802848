"""Language taggers against a slow twin on the C++ wheel, which does what Dolma's taggers do."""

from __future__ import annotations

import gzip
import json
import random
import re
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from msgspec import Struct

from dolma_pipeline import _native
from dolma_pipeline.models import LANGUAGE_ID, ModelNotFound, find_model
from dolma_pipeline.taggers.language import (
    FACTORIES,
    AllLanguagesTagger,
    EnglishParagraphTagger,
    EnglishTagger,
)
from tests import needs

fasttext: Any = needs.module("fasttext")

VOCABULARY = {
    "en": ["the", "of", "and", "house", "garden", "river", "winter", "bread"],
    "de": ["der", "und", "die", "haus", "garten", "fluss", "winter", "brot"],
    "el": ["και", "το", "σπίτι", "κήπος", "ποταμός", "χειμώνας", "ψωμί", "λόγος"],
}
TEXTS = [
    "The HOUSE and the garden\n\n  \x1c\nDas Haus und der Garten\nΟ ΛΌΓΟΣ ΚΑΙ ΤΟ ΣΠΊΤΙ",
    "the river",
    "\n\u2003Winter\u00a0\n\n",
    "",
    "   \n\t\n",
    "der\nund\r\ndie\x85\n😀 bread\n",
    "zzz qqq",
]


class Texts(Struct):
    text: pa.LargeStringArray

    def __len__(self) -> int:
        return len(self.text)


def documents(texts: list[str]) -> Texts:
    return Texts(pa.array(texts, pa.large_string()))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A toy classifier of three languages under the name of the real one."""
    directory = tmp_path_factory.mktemp("language")
    rng = random.Random(11)
    lines = [
        f"__label__{label} {' '.join(rng.choices(VOCABULARY[label], k=rng.randint(1, 8)))}\n"
        for label in rng.choices(list(VOCABULARY), weights=[5, 3, 2], k=600)
    ]
    (directory / "train.txt").write_text("".join(lines), encoding="utf-8")
    # With fewer threads than ten the wheel leaves weights uninitialised.
    trained = fasttext.train_supervised(
        str(directory / "train.txt"), dim=16, loss="hs", minn=2, maxn=4, bucket=2000, epoch=10, thread=12, verbose=0
    )
    trained.save_model(str(directory / "lid.176.bin"))
    return directory / "lid.176.bin"


class Twin:
    """Scores as Dolma gets them: (language, score) of a text, by the C++ wheel."""

    def __init__(self, path: Path) -> None:
        self.model = fasttext.FastText._FastText(str(path))

    def all(self, text: str) -> dict[str, float]:
        prepared = text.lower().replace("\n", " ").strip()
        return {
            label.replace("__label__", ""): s for s, label in self.model.f.predict(prepared + "\n", -1, 0.0, "strict")
        }

    def en(self, text: str) -> float:
        return self.all(text).get("en", 0.0)

    def paragraphs(self, text: str) -> list[tuple[int, int, float]]:
        found = ((m.start(), m.end(), m.group()) for m in re.finditer(r"[^\n]*\n|[^\n]+$", text))
        return [(start, end, self.en(part)) for start, end, part in found if part.strip()]


def spans(column: pa.Array) -> list[list[tuple[int, int, float]]]:
    return [[(s["start"], s["end"], s["score"]) for s in row] for row in column.to_pylist()]


def close(found: list[tuple[int, int, float]], expected: list[tuple[int, int, float]]) -> bool:
    ends = [s[:2] for s in found] == [s[:2] for s in expected]
    return ends and [s[2] for s in found] == pytest.approx([s[2] for s in expected], abs=2e-5)


def test_english_by_document(model: Path) -> None:
    twin = Twin(model)
    tagger = EnglishTagger("ft_lang_id_en_doc_v2", model)
    found = tagger.tag(documents(TEXTS))
    expected = [twin.en(text) for text in TEXTS]
    assert max(expected) > 0.9
    assert min(expected) < 0.1
    assert [a.name for a in tagger.attributes] == list(found) == ["en", "not_en"]
    assert {a.kind for a in tagger.attributes} == {"float64"}
    assert found["en"].type == pa.float64()
    assert found["en"].to_pylist() == pytest.approx(expected, abs=2e-5)
    assert found["not_en"].to_pylist() == pytest.approx([1 - s for s in expected], abs=2e-5)
    for column in found.values():
        assert all(score == round(score, 5) for score in column.to_pylist())


def test_english_by_paragraph(model: Path) -> None:
    twin = Twin(model)
    tagger = EnglishParagraphTagger("ft_lang_id_en_paragraph_v2", model)
    found = tagger.tag(documents(TEXTS))
    assert list(found) == ["en", "not_en"]
    assert [(a.name, a.kind) for a in tagger.attributes] == [("en", "spans"), ("not_en", "spans")]
    positive, negative = spans(found["en"]), spans(found["not_en"])
    assert [s[:2] for s in positive[0]] == [(0, 25), (30, 54), (54, 74)]
    assert [s[:2] for s in positive[2]] == [(1, 10)]
    assert positive[3] == positive[4] == []
    for text, row, complement in zip(TEXTS, positive, negative, strict=True):
        expected = twin.paragraphs(text)
        assert close(row, expected)
        assert close(complement, [(start, end, 1 - score) for start, end, score in expected])


def test_paragraphs_weighted_for_the_document(model: Path) -> None:
    twin = Twin(model)
    found = EnglishParagraphTagger("weighted", model, with_doc_score=True).tag(documents(TEXTS))
    assert list(found) == ["en", "not_en", "doc_en", "doc_not_en"]
    shares = [
        sum((end - start) * score for start, end, score in twin.paragraphs(text)) / len(text) if text else 0.0
        for text in TEXTS
    ]
    assert found["doc_en"].to_pylist() == pytest.approx(shares, abs=2e-5)
    assert found["doc_not_en"].to_pylist() == pytest.approx(
        [1 - share if text else 0.0 for text, share in zip(TEXTS, shares, strict=True)], abs=2e-5
    )


def test_all_languages(model: Path) -> None:
    twin = Twin(model)
    tagger = AllLanguagesTagger("ft_lang_id_doc_v1", model)
    found = tagger.tag(documents(TEXTS))
    assert sorted(found) == ["de", "el", "en"] == sorted(a.name for a in tagger.attributes)
    for row, text in enumerate(TEXTS):
        got = {language: column[row].as_py() for language, column in found.items()}
        expected = twin.all(text)
        assert {k: v for k, v in got.items() if v is not None} == pytest.approx(expected, abs=2e-5)


def test_all_languages_to_two_decimals(model: Path) -> None:
    twin = Twin(model)
    found = AllLanguagesTagger("ft_lang_id_1e2", model, minimum=0.01).tag(documents(TEXTS))
    for row, text in enumerate(TEXTS):
        got = {language: column[row].as_py() for language, column in found.items()}
        expected = {language: round(score, 2) for language, score in twin.all(text).items() if score > 0.01}
        assert {k: v for k, v in got.items() if v is not None} == expected


def test_no_documents(model: Path) -> None:
    for tagger in (EnglishTagger("a", model), EnglishParagraphTagger("b", model), AllLanguagesTagger("c", model)):
        assert {len(column) for column in tagger.tag(documents([])).values()} == {0}


def test_factories_find_the_model(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOLMA_MODELS", str(model.parent))
    taggers = {name: factory() for name, factory in FACTORIES.items()}
    assert {name: tagger.name for name, tagger in taggers.items()} == {name: name for name in FACTORIES}
    assert all(factory.__doc__ for factory in FACTORIES.values())
    found = {name: [a.name for a in tagger.attributes or ()] for name, tagger in taggers.items()}
    assert found.pop("ft_lang_id_doc_v1") == found.pop("ft_lang_id_1e2") == ["en", "de", "el"]
    assert found == {
        "ft_lang_id_en_doc_v2": ["en", "not_en"],
        "ft_lang_id_en_only_v2": ["en"],
        "ft_lang_id_en_paragraph_v2": ["en", "not_en"],
        "ft_lang_id_en_paragraph_with_doc_score_v2": ["en", "not_en", "doc_en", "doc_not_en"],
    }


def test_a_model_without_english_is_refused(model: Path) -> None:
    with pytest.raises(ValueError, match=r"^expected one of the model's 3 labels .*, found `__label__xx`$"):
        EnglishTagger("x", model, language="xx").tag(documents(["a"]))


@pytest.mark.data
def test_every_score_of_real_documents_is_that_of_the_reference(shared_data: Path) -> None:
    try:
        path = find_model(LANGUAGE_ID)
    except ModelNotFound as missing:
        needs.skip(str(missing), "make test")
    texts = []
    for file in sorted(shared_data.glob("*/documents/*.jsonl.gz")):
        with gzip.open(file, "rt", encoding="utf-8") as lines:
            texts += [json.loads(text)["text"] for _, text in zip(range(40), lines, strict=False)]
    assert len(texts) > 500
    twin, native = Twin(path), _native.FastText(str(path))
    batch = native.predict(pa.array(texts, pa.large_string()), -1, lower=True, strip=True)
    labels = [label.removeprefix("__label__") for label in native.labels]
    for text, ids, scores in zip(
        texts, batch.column("label").to_pylist(), batch.column("score").to_pylist(), strict=True
    ):
        found = {labels[i]: score for i, score in zip(ids, scores, strict=True)}
        expected = twin.all(text)
        assert next(iter(found)) == next(iter(expected))
        # What is left out is below 1e-5, where one rounding error decides.
        for language in found.keys() | expected.keys():
            assert found.get(language, 1e-5) == pytest.approx(expected.get(language, 1e-5), abs=1e-5)
