"""Text that a vocabulary cannot spell: which tokenizers lose it, and in which documents."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import tokenizers
from tokenizers import models, normalizers, pre_tokenizers

from dolma_pipeline.tokens.coverage import UTF8, Coverage, byte_letters
from dolma_pipeline.tokens.engine import load_engine
from dolma_pipeline.tokens.reference import CannotEncodeError, ReferenceEngine

TEXTS = ["ab", " za ", None, "b", "zz", "a\u00e9"]


def byte_level(without: str = "", unknown: str | None = None, **options: Any) -> tokenizers.Tokenizer:
    """A byte-level BPE without merges whose vocabulary lacks the letters `without`."""
    letters = [*sorted(set(byte_letters().values()) - set(without)), *([unknown] if unknown else [])]
    vocabulary = {letter: i for i, letter in enumerate(letters)}
    found = tokenizers.Tokenizer(models.BPE(vocab=vocabulary, merges=[], unk_token=unknown, **options))
    found.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    return found


def fallback(without: str = "", unknown: str | None = None) -> tokenizers.Tokenizer:
    """A BPE of the letters `ab` and of `<0x00>` to `<0xFF>`, as Llama's are made."""
    tokens = ["a", "b", *(f"<0x{b:02X}>" for b in range(256)), *([unknown] if unknown else [])]
    vocabulary = {t: i for i, t in enumerate(tokens) if t != without}
    return tokenizers.Tokenizer(models.BPE(vocab=vocabulary, merges=[], unk_token=unknown, byte_fallback=True))


def words(model: Any) -> tokenizers.Tokenizer:
    found = tokenizers.Tokenizer(model)
    found.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return found


def unigram(unk_id: int | None) -> tokenizers.Tokenizer:
    return words(models.Unigram([("a", -1.0), ("b", -1.0), ("<unk>", -9.0)], unk_id=unk_id))


def reference(path: Path, tokenizer: tokenizers.Tokenizer, **options: bool) -> ReferenceEngine:
    path.write_text(tokenizer.to_str())
    return ReferenceEngine(path, **options)


@pytest.mark.parametrize(
    ("tokenizer", "expected"),
    [
        (byte_level(), Coverage(fate="none")),
        (byte_level("\u00c0\u00f5"), Coverage(fate="none")),
        (byte_level("z\u00f0"), Coverage(fate="left out", missing=(0x7A, 0xF0), size=254)),
        (byte_level("z", "<unk>"), Coverage(fate="unknown", unknown="<unk>", missing=(0x7A,), size=256)),
        (fallback(), Coverage(fate="none")),
        (fallback("<0xC3>"), Coverage(fate="left out", missing=(0xC3,), size=257)),
        (fallback("<0xC3>", "<u>"), Coverage(fate="unknown", unknown="<u>", missing=(0xC3,), size=258)),
        (tokenizers.Tokenizer(models.BPE(vocab={"a": 0}, merges=[])), Coverage(fate="left out", size=1)),
        (words(models.WordLevel({"a": 0, "u": 1}, unk_token="u")), Coverage(fate="unknown", unknown="u", size=2)),
        (words(models.WordLevel({"a": 0}, unk_token="u")), Coverage(fate="error", size=1)),
        (words(models.WordPiece({"a": 0}, unk_token="u")), Coverage(fate="error", size=1)),
        (unigram(2), Coverage(fate="unknown", unknown="<unk>", size=3)),
        (unigram(None), Coverage(fate="error", size=3)),
    ],
)
def test_what_tokenizers_do_with_what_they_lack(
    tokenizer: tokenizers.Tokenizer, expected: Coverage, tmp_path: Path
) -> None:
    assert reference(tmp_path / "t.json", tokenizer).coverage == expected


def test_bytes_of_utf8() -> None:
    """Those that occur in the encodings of all characters."""
    characters = (chr(c) for c in (*range(0xD800), *range(0xE000, 0x110000)))
    assert sorted(set("".join(characters).encode())) == list(UTF8)
    assert len(UTF8) == 243


def test_letters_that_a_normalizer_replaces_are_not_missed(tmp_path: Path) -> None:
    tokenizer = byte_level("ABCz")
    tokenizer.normalizer = normalizers.Lowercase()
    assert reference(tmp_path / "t.json", tokenizer).coverage.missing == (0x7A,)
    tokenizer = byte_level("ABC")
    tokenizer.normalizer = normalizers.Lowercase()
    assert reference(tmp_path / "t.json", tokenizer).coverage == Coverage(fate="none")


@pytest.mark.parametrize("segment", [False, True])
@pytest.mark.parametrize(
    ("tokenizer", "lengths", "lacking"),
    [
        (byte_level("z"), [2, 1, 0, 1, 0, 3], [1, 4]),
        (byte_level("\u00a9"), [2, 2, 0, 1, 2, 2], [5]),
        (byte_level("z", "<unk>"), [2, 2, 0, 1, 2, 3], [1, 4]),
        (fallback("<0xA9>"), [2, 2, 0, 1, 2, 1], [5]),
        (fallback("<0xA9>", "<u>"), [2, 2, 0, 1, 2, 2], [5]),
        (unigram(2), [2, 2, 0, 1, 1, 2], [1, 4, 5]),
    ],
)
def test_documents_that_lose_text(
    tokenizer: tokenizers.Tokenizer, lengths: list[int], lacking: list[int], segment: bool, tmp_path: Path
) -> None:
    """They are found, and their ids are those of the library."""
    engine = reference(tmp_path / "t.json", tokenizer, segment=segment)
    found = engine.encode(pa.array(TEXTS, pa.large_string()))
    assert found.lengths.tolist() == lengths
    assert found.lacking is not None
    assert found.lacking.nonzero()[0].tolist() == lacking
    ids = [i for t in TEXTS if t for i in tokenizer.encode(t.strip(), add_special_tokens=False).ids]
    assert found.ids.tolist() == ids


def test_a_vocabulary_that_lacks_nothing_has_nothing_to_count(tmp_path: Path) -> None:
    (tmp_path / "t.json").write_text(byte_level().to_str())
    for choice in ("fast", "reference"):
        engine = load_engine(str(tmp_path / "t.json"), choice=choice)
        assert engine.encode(pa.array(TEXTS, pa.large_string())).lacking is None


def test_the_name_of_the_unknown_token_in_a_text_is_no_loss(tmp_path: Path) -> None:
    tokenizer = byte_level("z", "<unk>")
    tokenizer.add_special_tokens(["<unk>"])
    texts = pa.array(["a<unk>", "<unk>z", "a"], pa.large_string())
    found = reference(tmp_path / "t.json", tokenizer).encode(texts)
    assert found.lacking is not None
    assert found.lacking.tolist() == [False, True, False]


def test_a_text_that_the_library_refuses_is_named_by_its_row(tmp_path: Path) -> None:
    engine = reference(tmp_path / "t.json", words(models.WordLevel({"a": 0}, unk_token="u")))
    assert engine.encode(pa.array(["a", "a a"], pa.large_string())).ids.tolist() == [0, 0, 0]
    with pytest.raises(CannotEncodeError) as error:
        engine.encode(pa.array(["a", None, "a b", "c"], pa.large_string()))
    assert error.value.row == 2
    assert str(error.value) == (
        f"{tmp_path}/t.json: expected a vocabulary that spells the text 'a b', found that it cannot: WordLevel error: "
        "Missing [UNK] token from the vocabulary; a tokenizer with an unknown token or all bytes would do"
    )


@pytest.mark.parametrize(
    ("coverage", "lack", "loss"),
    [
        (
            Coverage(fate="left out", missing=(0x20, 0x7A), size=254),
            "a vocabulary that lacks 2 of the 243 bytes of UTF-8 (0x20, `z`)",
            "text that contains them loses them",
        ),
        (
            Coverage(fate="unknown", unknown="<u>", missing=tuple(range(0x61, 0x6B)), size=9),
            "a vocabulary that lacks 10 of the 243 bytes of UTF-8 (`a`, `b`, `c`, `d`, `e`, `f`, `g`, `h` and 2 more)",
            "`<u>` stands in their place",
        ),
        (
            Coverage(fate="left out", size=1),
            "a vocabulary of 1 token that cannot spell every text",
            "what it cannot spell is left out",
        ),
        (
            Coverage(fate="error", size=2000),
            "a vocabulary of 2,000 tokens that cannot spell every text",
            "encoding stops at the first text that it cannot spell",
        ),
    ],
)
def test_how_it_is_said(coverage: Coverage, lack: str, loss: str) -> None:
    assert (coverage.lack, coverage.loss) == (lack, loss)
