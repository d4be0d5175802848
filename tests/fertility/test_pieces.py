"""Tokens in words: exact counts, and a slow twin for whatever text there is."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import tokenizers
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import models, normalizers, pre_tokenizers

from dolma_pipeline import _native
from dolma_pipeline.config.recipe import TrainTokenizer
from dolma_pipeline.fertility.pieces import Measured, Words, overlaps, words_of
from dolma_pipeline.tokens.training import train

TEXTS = ["the naïve cafe\u0301 — the 数据 the café", "don't stop 3.14 the", "😀 <|endoftext|>the ñandú"]


def arrow(texts: list[str]) -> pa.LargeStringArray:
    return pa.array(texts, pa.large_string())


@pytest.fixture(scope="module", params=["none", "nfc"])
def trained(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Measured:
    path = tmp_path_factory.mktemp("t") / "tokenizer.json"
    settings = TrainTokenizer(vocab_size=320, normalizer=request.param)
    path.write_text(train(iter(TEXTS * 3), settings).to_str(), encoding="utf-8")
    return Measured(path)


def test_words_are_segments_with_a_letter_or_a_number() -> None:
    texts = arrow(["Don't stop: 3.14 _ a_b — 数据 ", "", "é!", "..."]).slice(0)
    counts, starts, ends = (column.to_pylist() for column in _native.word_spans(texts))
    data = "".join(texts.to_pylist()).encode()
    assert counts == [6, 0, 1, 0]
    words = [data[a:b].decode() for a, b in zip(starts, ends, strict=True)]
    assert words == ["Don't", "stop", "3.14", "a_b", "数", "据", "é"]
    nothing = _native.word_spans(pa.array([None, "a"], pa.large_string()).slice(0))
    assert [c.to_pylist() for c in nothing] == [[0, 1], [0], [1]]
    later = _native.word_spans(arrow(["left out", "a b"]).slice(1))
    assert [c.to_pylist() for c in later] == [[2], [0, 2], [1, 3]]


def test_overlaps_counts_tokens_that_share_a_byte() -> None:
    words = Words(np.array([3]), np.array([0, 4, 8]), np.array([3, 7, 9]))
    starts = np.array([0, 3, 5, 6, 7])
    ends = np.array([3, 5, 6, 7, 9])
    assert overlaps(starts, ends, words).tolist() == [1, 3, 1]


def test_exact_pieces_of_a_tokenizer_without_merges(tmp_path: Path) -> None:
    vocabulary = {c: i for i, c in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}
    tokenizer = tokenizers.Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    (tmp_path / "tokenizer.json").write_text(tokenizer.to_str())
    measured = Measured(tmp_path / "tokenizer.json")
    texts = ["ab é, 数", "c"]
    found = measured.pieces(texts, arrow(texts), words_of(arrow(texts)))
    assert found.lengths.tolist() == [10, 1]
    assert found.words.tolist() == [3, 1]
    assert found.pieces.tolist() == [2, 2, 3, 1]
    assert measured.byte_tokens[found.ids].tolist() == [False] * 3 + [True] * 2 + [False] * 2 + [True] * 3 + [False]


def slow(measured: Measured, library: tokenizers.Tokenizer, texts: list[str]) -> list[int]:
    """Bytes of tokens one by one, for tokenizers without a normalizer."""
    letters = {c: b for b, c in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}
    added = {t.content for t in library.get_added_tokens_decoder().values()}
    pieces = []
    for text in texts:
        places, at = [], 0
        for i in library.encode(text, add_special_tokens=False).ids:
            token = library.id_to_token(i)
            assert token is not None
            size = len(token.encode()) if token in added else len([letters[c] for c in token])
            places.append((at, at + size))
            at += size
        assert at == len(text.encode())
        _, starts, ends = (column.to_pylist() for column in _native.word_spans(arrow([text])))
        pieces += [sum(b > s and a < e for a, b in places) for s, e in zip(starts, ends, strict=True)]
    return pieces


@given(texts=st.lists(st.text(alphabet="the naïvcfé\u0301 数据😀'3.14,<|endoftext|>\n", min_size=1), min_size=1))
def test_pieces_are_those_of_the_slow_twin_and_of_the_library(trained: Measured, texts: list[str]) -> None:
    texts = [t.strip() for t in texts if t.strip()]
    if not texts:
        return
    found = trained.pieces(texts, arrow(texts), words_of(arrow(texts)))
    assert (found.lengths.sum(), found.words.sum()) == (len(found.ids), len(found.pieces))
    library = trained._library
    encodings = library.encode_batch(texts, add_special_tokens=False)
    assert found.ids.tolist() == [i for e in encodings for i in e.ids]
    if library.normalizer is None:
        assert found.pieces.tolist() == slow(trained, library, texts)
        assert overlaps(*trained._places(texts), words_of(arrow(texts))).tolist() == found.pieces.tolist()


def test_nfc_texts_are_cut_as_the_tokenizer_sees_them(trained: Measured) -> None:
    texts = ["cafe\u0301 the", "the"]
    found = trained.pieces(texts, arrow(texts), words_of(arrow(texts)))
    assert found.words.tolist() == [2, 1]
    if trained._library.normalizer is not None:
        composed = ["café the", "the"]
        again = trained.pieces(composed, arrow(composed), words_of(arrow(composed)))
        assert found.pieces.tolist() == again.pieces.tolist()
        assert found.ids.tolist() == again.ids.tolist()


def test_other_tokenizers_are_measured_by_the_library(tmp_path: Path) -> None:
    words = {w: i for i, w in enumerate(["[UNK]", "play", "##ing", "##ed", "a", "<0x0A>", "<0xE2>", ","])}
    tokenizer = tokenizers.Tokenizer(models.WordPiece(words, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    path = tmp_path / "tokenizer.json"
    form = json.loads(tokenizer.to_str())
    path.write_text(json.dumps(form))
    measured = Measured(path)
    assert measured.warning is not None
    texts = ["Playing, a é played", "a"]
    found = measured.pieces(texts, arrow(texts), words_of(arrow(texts)))
    assert found.lengths.tolist() == [7, 1]
    assert found.pieces.tolist() == [2, 1, 1, 2, 1]
    assert np.flatnonzero(measured.byte_tokens).tolist() == [6]
