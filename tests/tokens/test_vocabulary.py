"""Types of tokens and ids of special tokens."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dolma_pipeline.config.recipe import Tokenizer, TrainTokenizer
from dolma_pipeline.errors import ConfigError
from dolma_pipeline.tokens.engine import Engine, load_engine
from dolma_pipeline.tokens.vocabulary import SpecialIds, special_ids, token_dtype
from tests.tokens.token_toys import write_tokenizer


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    return load_engine(str(write_tokenizer(tmp_path / "tokenizer.json")))


@pytest.mark.parametrize(
    ("vocab_size", "expected"),
    [(1, "<u1"), (256, "|u1"), (257, "<u2"), (65_536, "<u2"), (65_537, "<u4"), (2**32, "<u4"), (2**32 + 1, "<u8")],
)
def test_the_smallest_type_that_holds_the_vocabulary(vocab_size: int, expected: str) -> None:
    assert token_dtype(vocab_size) == np.dtype(expected)


def test_a_larger_type_is_taken_and_a_smaller_one_refused() -> None:
    assert token_dtype(100, "uint32") == np.dtype("<u4")
    with pytest.raises(ConfigError) as error:
        token_dtype(65_537, "uint16", "$.stages[2].tokens.dtype")
    assert str(error.value) == (
        "$.stages[2].tokens.dtype: expected a type that holds the ids 0 to 65536 of the vocabulary, found `uint16` "
        "(0 to 65535); `uint32` would"
    )


def test_names_and_ids(engine: Engine) -> None:
    tokenizer = Tokenizer(path="x", bos="<s>", eos=1, pad="<pad>")
    assert special_ids(engine, tokenizer) == SpecialIds(bos=0, eos=1, pad=2)
    assert special_ids(engine, Tokenizer(path="x", eos="</s>")) == SpecialIds(eos=1)


def test_a_trained_tokenizer_ends_documents_with_its_own_token() -> None:
    class Trained:
        vocab_size = 2
        special_tokens = ("<|endoftext|>", "<|padding|>")

        def token_id(self, token: str) -> int | None:
            return self.special_tokens.index(token)

    found = special_ids(Trained(), Tokenizer(train=TrainTokenizer()))  # type: ignore[arg-type]
    assert found == SpecialIds(eos=0, pad=1)


@pytest.mark.parametrize(
    ("tokenizer", "message"),
    [
        (
            Tokenizer(path="x"),
            "$.tokenizer: expected `eos` or `bos`, found neither: without one nothing would part two documents "
            "(special tokens of this tokenizer: `<s>`, `</s>`, `<pad>`)",
        ),
        (
            Tokenizer(path="x", eos="<pod>"),
            "$.tokenizer.eos: expected a token of the vocabulary, found `<pod>`; did you mean `<pad>`? "
            "(special tokens: `<s>`, `</s>`, `<pad>`)",
        ),
        (
            Tokenizer(path="x", eos="</s>", bos="[umk]"),
            "$.tokenizer.bos: expected a token of the vocabulary, found `[umk]`; did you mean `[unk]`? "
            "(special tokens: `<s>`, `</s>`, `<pad>`)",
        ),
        (
            Tokenizer(path="x", eos=14, pad=-1),
            "$.tokenizer.eos: expected an id from 0 to 13, found 14 (special tokens: `<s>` 0, `</s>` 1, `<pad>` 2)\n"
            "$.tokenizer.pad: expected an id from 0 to 13, found -1 (special tokens: `<s>` 0, `</s>` 1, `<pad>` 2)",
        ),
    ],
)
def test_what_the_vocabulary_does_not_have(engine: Engine, tokenizer: Tokenizer, message: str) -> None:
    with pytest.raises(ConfigError) as error:
        special_ids(engine, tokenizer)
    assert str(error.value) == message
