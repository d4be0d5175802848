"""A training line: fastText reads from it the tokens that it would read from the text."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from dolma_pipeline import _native
from dolma_pipeline.classifier.line import TextForm, training_line
from tests import needs

PLAIN = TextForm(lower=False, strip=False)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("two\nlines\r\n", "two lines\r "),
        ("a __label__x b", "a  b"),
        ("__label__x\t__label__y c", "\t c"),
        ("not__label__x __label__", "not__label__x "),
        ("before </s> after", "before "),
        ("</s>", ""),
        ("</s>x a</s> b", "</s>x a</s> b"),
        ("\u00a0", "\u00a0"),
        (" \t\v\f\r\0\n", ""),
        ("__label__only", ""),
    ],
)
def test_lines(text: str, line: str) -> None:
    assert training_line(text, PLAIN) == line


def test_lower_and_strip_are_pythons() -> None:
    assert training_line("\u3000ΑΣ İ\x1c", TextForm(lower=True, strip=True)) == "ας i̇"
    assert training_line("\u3000ΑΣ\x1c", TextForm(lower=False, strip=True)) == "ΑΣ"
    assert training_line("\u3000", TextForm()) == ""


def test_a_line_scores_as_its_text(tmp_path: Path) -> None:
    fasttext: Any = needs.module("fasttext")
    rng = random.Random(2)
    words = ["red", "blue", "one", "two", "Ünder", "</s>", "</s>x", "__label__a", "__label__z", "x__label__b", "\u3000"]
    lines = [f"__label__{'ab'[i % 2]} {['red one', 'blue two'][i % 2]} x__label__b Ünder" for i in range(200)]
    (tmp_path / "l.txt").write_text("\n".join(lines), encoding="utf-8")
    model = fasttext.train_supervised(
        str(tmp_path / "l.txt"), dim=8, bucket=500, wordNgrams=2, minCount=1, thread=12, verbose=0
    )
    model.save_model(str(tmp_path / "m.bin"))
    native = _native.FastText(str(tmp_path / "m.bin"))
    for form in (PLAIN, TextForm(lower=True, strip=True)):
        texts = ["".join(rng.choice(words) + rng.choice(" \n\t\r\0") for _ in range(12)) for _ in range(300)]
        lines = [training_line(text, form) for text in texts]
        assert not any("\n" in line for line in lines)
        labels = ["__label__a", "__label__b"]
        read = native.scores(pa.array(texts, pa.large_string()), labels, lower=form.lower, strip=form.strip)
        assert read == native.scores(pa.array(lines, pa.large_string()), labels)
