"""The fast engine: the reference's ids on whatever may come, and a reason where it cannot promise them."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import tokenizers
from tokenizers import AddedToken, Regex, models, normalizers, pre_tokenizers

from dolma_pipeline.config.recipe import TrainTokenizer
from dolma_pipeline.errors import ConfigError
from dolma_pipeline.tokens.engine import load_engine
from dolma_pipeline.tokens.fast import SELF_TEST, FastEngine, Unsupported
from dolma_pipeline.tokens.reference import ReferenceEngine
from dolma_pipeline.tokens.training import train
from tests.tokens import adversarial
from tests.tokens.token_toys import write_byte_tokenizer, write_tokenizer

LLAMA3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|"
    r"\s*[\r\n]+|\s+(?!\S)|\s+"
)
QWEN2 = LLAMA3.replace("{1,3}", "")
GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
PII = ["|||EMAIL_ADDRESS|||", "|||PHONE_NUMBER|||", "|||IP_ADDRESS|||"]
Edit = Callable[[dict[str, Any]], None]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """1,500 tokens with merges over every kind of text: what the random texts are made of."""
    path = tmp_path_factory.mktemp("bpe") / "tokenizer.json"
    texts = adversarial.texts([], 2000)
    tokenizer = train(iter(texts), TrainTokenizer(vocab_size=1500, special_tokens=["<|endoftext|>", "<|padding|>"]))
    path.write_text(tokenizer.to_str(), encoding="utf-8")
    return path


def split(pattern: str, behavior: str = "removed", invert: bool = True) -> Any:
    cut = pre_tokenizers.Split(Regex(pattern), behavior, invert=invert)
    return pre_tokenizers.Sequence([cut, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])


def as_trained(tokenizer: Any) -> None: ...


def neox(tokenizer: Any) -> None:
    """As OLMo 1: form C, runs of spaces and PII tokens looked for in the normalized text."""
    tokenizer.normalizer = normalizers.NFC()
    spaces = [AddedToken(" " * n, normalized=True) for n in range(24, 1, -1)]
    tokenizer.add_tokens([*spaces, *(AddedToken(t, normalized=True) for t in [*PII, "caf\u00e9!"])])


def dolma2(tokenizer: Any) -> None:
    tokenizer.pre_tokenizer = split(LLAMA3)
    tokenizer.add_tokens([AddedToken(t, normalized=False) for t in PII])


def llama3(tokenizer: Any) -> None:
    tokenizer.pre_tokenizer = split(LLAMA3, "isolated", False)
    tokenizer.model.ignore_merges = True


def qwen2(tokenizer: Any) -> None:
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = split(QWEN2, "isolated", False)


def starcoder(tokenizer: Any) -> None:
    digits = pre_tokenizers.Digits(individual_digits=True)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([digits, pre_tokenizers.ByteLevel(add_prefix_space=False)])


def digits_apart(tokenizer: Any) -> None:
    digits = pre_tokenizers.Digits(individual_digits=False)
    last = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    cut = pre_tokenizers.Split(Regex(GPT2), "isolated")
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([digits, cut, last])


def whole_texts(tokenizer: Any) -> None:
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)


KINDS = [as_trained, neox, dolma2, llama3, qwen2, starcoder, digits_apart, whole_texts]


def of_kind(trained: Path, tmp_path: Path, kind: Callable[[Any], None]) -> Path:
    tokenizer = tokenizers.Tokenizer.from_file(str(trained))
    kind(tokenizer)
    path = tmp_path / "tokenizer.json"
    path.write_text(tokenizer.to_str(), encoding="utf-8")
    return path


def both(path: Path, **options: bool) -> tuple[FastEngine, ReferenceEngine]:
    reference = ReferenceEngine(path, **options)
    return FastEngine(path, reference, **options), reference


@pytest.mark.parametrize("kind", KINDS)
def test_the_ids_of_the_reference(trained: Path, tmp_path: Path, kind: Callable[[Any], None]) -> None:
    path = of_kind(trained, tmp_path, kind)
    for options in ({}, {"encode_special_tokens": True}, {"segment": True}):
        fast, reference = both(path, **options)
        assert fast.agrees(adversarial.texts(sorted(reference.added_tokens), 1500)) is None


@pytest.mark.parametrize("kind", [neox, dolma2])
@pytest.mark.parametrize(("bos", "eos"), [(None, 0), (1, None), (1, 0), (0, 0), (33, 34)])
def test_batches_are_stripped_and_bounded_as_the_reference_does(
    trained: Path, tmp_path: Path, kind: Callable[[Any], None], bos: int | None, eos: int | None
) -> None:
    fast, reference = both(of_kind(trained, tmp_path, kind))
    made = adversarial.texts(["<|endoftext|>", "<|padding|>"], 500)
    texts = pa.array([None, *made, *(f" \x1f{t}\u3000\n" for t in made)], pa.large_string())
    mine, right = (engine.encode(texts, bos=bos, eos=eos) for engine in (fast, reference))
    assert np.array_equal(mine.ids, right.ids)
    assert np.array_equal(mine.lengths, right.lengths)
    assert np.array_equal(mine.text_bytes, right.text_bytes)
    assert mine.ids.dtype == np.uint32
    sliced = fast.encode(texts[7:20], bos=bos, eos=eos)
    assert sliced.lengths.tolist() == right.lengths[7:20].tolist()


def test_the_same_ids_with_a_full_cache_as_with_an_empty_one(trained: Path) -> None:
    fast, reference = both(trained)
    texts = adversarial.fuzz(300, seed=3)
    first = [ids.tolist() for ids in fast.encode_batch(texts)]
    fast.encode_batch([" ".join(f"{n:x}w{n * 7919 % 104729}longer{n}words" for n in range(60_000))])
    assert [ids.tolist() for ids in fast.encode_batch(texts)] == first
    assert [ids.tolist() for ids in reference.encode_batch(texts)] == first


def test_form_c_of_every_character_that_has_one(trained: Path, tmp_path: Path) -> None:
    fast, _ = both(of_kind(trained, tmp_path, neox))
    active = [
        c
        for c in map(chr, [*range(0xD800), *range(0xE000, 0x1F000), *range(0x2F800, 0x2FA20)])
        if unicodedata.category(c)[0] == "M" or unicodedata.decomposition(c) or unicodedata.category(c) == "Cn"
    ]
    sample = [c for i, c in enumerate(active) if unicodedata.category(c) != "Cn" or i % 16 == 0]
    around = [f"e{c}\u0323\u0307{c} {c}\u0301\u0334" for c in sample]
    assert fast.agrees(["\n".join(around[i : i + 500]) for i in range(0, len(around), 500)]) is None


def test_a_megabyte_of_one_character(trained: Path, tmp_path: Path) -> None:
    fast, reference = both(of_kind(trained, tmp_path, whole_texts))
    for text in ("a" * 1_000_000, "ab" * 100_000, "=" * 100_000):
        [ids] = fast.encode_batch([text])
        assert reference.decode(ids[:1000].tolist() + ids[-1000:].tolist()).replace("ab", "").strip(text[0]) == ""
        assert fast.agrees([text[:20_000]]) is None


def edited(path: Path, tmp_path: Path, edit: Edit) -> Path:
    form = json.loads(path.read_text())
    edit(form)
    (tmp_path / "edited.json").write_text(json.dumps(form))
    return tmp_path / "edited.json"


def change(*keys: str | int, to: object) -> Edit:
    def edit(form: dict[str, Any]) -> None:
        for key in keys[:-1]:
            form = form[key]  # type: ignore[index]
        form[keys[-1]] = to  # type: ignore[index]

    return edit


BYTES = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}


@pytest.mark.parametrize(
    ("edit", "reason"),
    [
        (change("normalizer", to={"type": "NFKC"}), "expected the normalizer NFC or none, found NFKC"),
        (
            change("pre_tokenizer", to=BYTES | {"add_prefix_space": True}),
            "expected ByteLevel without add_prefix_space, found it",
        ),
        (
            change("pre_tokenizer", to={"type": "Whitespace"}),
            "expected a pre-tokenizer that ends with ByteLevel, found Whitespace",
        ),
        (
            change("pre_tokenizer", to={"type": "Sequence", "pretokenizers": [
                {"type": "Split", "pattern": {"Regex": "a+"}, "behavior": "Isolated", "invert": False},
                BYTES | {"use_regex": False},
            ]}),
            "expected the pattern of GPT-2, Llama 3 or Qwen 2, found `a+`",
        ),
        (
            change("pre_tokenizer", to={"type": "Sequence", "pretokenizers": [
                {"type": "Split", "pattern": {"Regex": GPT2}, "behavior": "Removed", "invert": False},
                BYTES | {"use_regex": False},
            ]}),
            "expected a Split that gives its matches, found Removed, invert false",
        ),
        (
            change("pre_tokenizer", to={"type": "Sequence", "pretokenizers": [
                {"type": "Punctuation", "behavior": "Isolated"}, BYTES,
            ]}),
            "expected Digits, one Split, ByteLevel, found another Punctuation",
        ),
        (change("added_tokens", 0, "lstrip", to=True), "without conditions, found lstrip for `<|endoftext|>`"),
        (change("added_tokens", 0, "single_word", to=True), "found single_word for `<|endoftext|>`"),
        (change("model", "dropout", to=0.1), "expected a BPE without dropout, found dropout"),
        (change("model", "end_of_word_suffix", to="</w>"), "expected a byte-level BPE, found end_of_word_suffix"),
    ],
)  # fmt: skip
def test_what_it_cannot_do_is_refused(trained: Path, tmp_path: Path, edit: Edit, reason: str) -> None:
    path = edited(trained, tmp_path, edit)
    with pytest.raises(Unsupported) as error:
        both(path)
    assert reason in str(error.value)


def test_other_models_are_refused(tmp_path: Path) -> None:
    with pytest.raises(Unsupported, match="expected a model of type BPE, found WordLevel"):
        both(write_tokenizer(tmp_path / "words.json"))
    tokenizer = tokenizers.Tokenizer(models.BPE(vocab={"a": 0, "b": 1}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    (tmp_path / "few.json").write_text(tokenizer.to_str())
    with pytest.raises(Unsupported, match="expected a vocabulary of all bytes and merges, found no `Ā` in it"):
        both(tmp_path / "few.json")


def test_a_file_that_only_the_library_can_read_is_left_to_it(trained: Path, tmp_path: Path) -> None:
    path = edited(trained, tmp_path, change("model", "ignore_merges", to=None))
    warning = load_engine(str(path)).warning
    assert warning is not None
    assert warning.startswith(
        f"{path}: encoded by the `tokenizers` library, which is slower: invalid type: null, expected a boolean"
    )


def test_ids_that_the_library_gives_itself_are_refused(trained: Path, tmp_path: Path) -> None:
    def beyond(form: dict[str, Any]) -> None:
        form["added_tokens"].append(form["added_tokens"][0] | {"id": 5000, "content": "<far>"})

    with pytest.raises(Unsupported, match="expected added tokens with the ids of the file, found another for `<far>`"):
        both(edited(trained, tmp_path, beyond))


def test_the_self_test_finds_another_unicode_version(trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def other(self: ReferenceEngine, texts: list[str]) -> list[Any]:
        return encode(self, [t.replace("\U0001e5f0", "\U0001e5ff") for t in texts])

    encode = ReferenceEngine.encode_batch
    monkeypatch.setattr(ReferenceEngine, "encode_batch", other)
    with pytest.raises(Unsupported, match=r"the ids of `tokenizers` in the self-test, found \[.*\] instead of"):
        both(trained)


def test_auto_says_why_and_falls_back_and_fast_refuses(trained: Path, tmp_path: Path) -> None:
    assert load_engine(str(trained)).name == "fast"
    assert load_engine(str(trained), choice="fast").warning is None
    assert load_engine(str(trained), choice="reference").name == "reference"
    words = write_tokenizer(tmp_path / "tokenizer.json")
    engine = load_engine(str(words))
    assert (engine.name, load_engine(str(words), choice="reference").warning) == ("reference", None)
    assert engine.warning == (
        f"{words}: encoded by the `tokenizers` library, which is slower: expected a model of type BPE, found WordLevel"
    )
    with pytest.raises(ConfigError) as error:
        load_engine(str(words), choice="fast")
    assert str(error.value) == (
        f"engine: expected a tokenizer that the fast engine can do exactly, found {words}: expected a model of type "
        "BPE, found WordLevel; `auto` or `reference` would do"
    )


def test_a_byte_tokenizer_without_merges(tmp_path: Path) -> None:
    fast, _ = both(write_byte_tokenizer(tmp_path / "tokenizer.json"))
    assert fast.agrees([*SELF_TEST, *adversarial.FIXED]) is None
    assert fast.encode_batch([]) == []


@pytest.mark.data
def test_real_documents(trained: Path, tmp_path: Path, shared_data: Path) -> None:
    from dolma_pipeline.formats.documents import read_documents

    for kind in (neox, dolma2):
        fast, _ = both(of_kind(trained, tmp_path, kind))
        for source in sorted(shared_data.glob("*/documents")):
            documents = next(iter(read_documents(min(source.glob("*.jsonl.gz")))))
            assert fast.agrees(documents.text[:20].to_pylist()) is None
