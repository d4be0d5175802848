"""fastText classifiers as taggers, against a slow twin on the C++ wheel."""

from __future__ import annotations

import itertools
import math
import random
import re
from pathlib import Path
from typing import Any

import pytest

from dolma_pipeline.config.recipe import CustomTagger
from dolma_pipeline.errors import ConfigError
from dolma_pipeline.taggers import classifiers
from dolma_pipeline.taggers.registry import load_taggers
from tests import needs
from tests.taggers.toys import documents, rows

fasttext: Any = needs.module("fasttext")

CODE, PROSE = ["def", "return", "import", "=", "(", ")", ";", "{"], ["the", "house", "was", "cold", "and", "we", "went"]
TEXTS = [
    "The HOUSE was cold. We def f = ( )\nwe went; and the house.\n\n  import ;\r\nreturn {",
    "return ( ) ;",
    "",
    " \n",
    "é ok\nx\nthe house was cold",
]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Toy classifiers under the names of the real ones."""
    directory = tmp_path_factory.mktemp("models")
    rng = random.Random(3)
    labels = {
        classifiers.HATESPEECH: ("toxic", "non_toxic"),
        classifiers.OH_ELI5: ("hq", "cc"),
        classifiers.DOLMA17: ("wiki", "adult"),
        classifiers.COMPOSITION: ("code", "prose"),
    }
    for model, names in labels.items():
        lines = [
            f"__label__{name} {' '.join(rng.choices(words, k=rng.randint(1, 9)))}\n"
            for name, words in rng.choices(list(zip(names, (CODE, PROSE), strict=True)), k=400)
        ]
        (directory / "train.txt").write_text("".join(lines), encoding="utf-8")
        # With fewer threads than ten the wheel leaves weights uninitialised.
        trained = fasttext.train_supervised(
            str(directory / "train.txt"), dim=8, wordNgrams=2, bucket=500, epoch=8, thread=12, verbose=0
        )
        trained.save_model(str(directory / model.names[0]))
    return directory


class Twin:
    def __init__(self, path: Path) -> None:
        self.model = fasttext.FastText._FastText(str(path))

    def __call__(self, text: str) -> dict[str, float]:
        return {label: score for score, label in self.model.f.predict(text + "\n", -1, 0.0, "strict")}


def tagged(name: str | CustomTagger, texts: list[str] = TEXTS) -> list[dict[str, Any]]:
    columns = load_taggers([name]).tag(documents(texts))
    return rows({a: c for (_, a), c in columns.items()})


def close(found: dict[str, Any], expected: dict[str, float]) -> bool:
    return found == pytest.approx(expected, abs=2e-5)


def test_toxicity_by_document_and_sentence(models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOLMA_MODELS", str(models))
    twin = Twin(models / classifiers.HATESPEECH.names[0])
    for text, found in zip(TEXTS, tagged("jigsaw_hatespeech_document_v2"), strict=True):
        assert close(found, twin(text.replace("\n", " ").strip()))
    sentences = tagged("jigsaw_hatespeech_sentence_v2")[0]
    assert sorted(sentences) == ["__label__non_toxic", "__label__toxic"]
    for label, spans in sentences.items():
        pieces = [TEXTS[0][start:end] for start, end, _ in spans]
        assert pieces == ["The HOUSE was cold.", "We def f = ( )", "we went; and the house.", "import ;", "return {"]
        assert [s for *_, s in spans] == pytest.approx([twin(p)[label] for p in pieces], abs=2e-5)


def test_quality(models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOLMA_MODELS", str(models))
    twin = Twin(models / classifiers.OH_ELI5.names[0])
    for text, found in zip(TEXTS, tagged("dclm-oh-eli5"), strict=True):
        scores = twin(" ".join(text.strip().splitlines()))
        best = max(scores, key=lambda label: scores[label])
        assert close(found, {"score": scores[best] if best == "__label__hq" else 1 - scores[best]})
    twin = Twin(models / classifiers.DOLMA17.names[0])
    for text, found in zip(TEXTS, tagged("dolma17-quality"), strict=True):
        assert close(found, {k.removeprefix("__label__"): v for k, v in twin(" ".join(text.split())).items()})


def test_code_and_prose(models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOLMA_MODELS", str(models))
    twin = Twin(models / classifiers.COMPOSITION.names[0])
    for text, found in zip(TEXTS, tagged("code_composition"), strict=True):
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        scores = [twin(line) if len(line) > 3 else {} for line in lines]
        names = [max(s, key=lambda k: s[k]).removeprefix("__label__") if s else "other" for s in scores]
        expected = {"boundaries": float(sum({a, b} == {"code", "prose"} for a, b in itertools.pairwise(names)))}
        for name in set(names):
            mine = [s for s, n in zip(scores, names, strict=True) if n == name]
            expected[name] = len(mine)
            expected[f"{name}_pct"] = round(len(mine) / len(names), 2)
            expected[f"{name}_entropy"] = sum(-p * math.log2(p) for s in mine for p in s.values()) / len(mine)
        assert close(found, expected)


def test_any_model(models: Path) -> None:
    path = models / classifiers.DOLMA17.names[0]
    twin = Twin(path)
    custom = CustomTagger(name="mine", fasttext=str(path), labels=["wiki"], by="paragraph", threshold=0.5, lower=True)
    assert load_taggers([custom]).files() == (str(path),)
    for text, found in zip(TEXTS, tagged(custom), strict=True):
        expected = []
        for match in re.finditer(r"[^\n]*\n|[^\n]+", text):
            score = twin(match[0].lower().replace("\n", " ").strip()).get("__label__wiki", 0.0)
            if match[0].strip() and score > 0.5:
                expected.append((*match.span(), pytest.approx(score, abs=2e-5)))
        assert found == {"wiki": expected}
    with pytest.raises(ConfigError, match=r"^taggers\[0\]: tagger `m`: unknown label `wikis`; did you mean `wiki`"):
        load_taggers([CustomTagger(name="m", fasttext=str(path), labels=["wikis"])])


def test_a_missing_model_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOLMA_MODELS", str(tmp_path))
    with pytest.raises(ConfigError) as caught:
        load_taggers(["dclm-oh-eli5"])
    name = "openhermes_reddit_eli5_vs_rw_v2_bigram_200k_train.bin"
    assert str(caught.value) == (
        f"taggers[0]: no DCLM quality model: expected `{name}` in the directory that $DOLMA_MODELS names ({tmp_path}); "
        f"looked for `{tmp_path / name}`; "
        f'`wget -P "$DOLMA_MODELS" https://huggingface.co/mlfoundations/fasttext-oh-eli5/resolve/main/{name}` '
        "brings one, or name the file"
    )
