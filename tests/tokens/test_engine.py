"""Engines: ids exactly as the `tokenizers` library gives them, whatever the file asks for besides."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import tokenizers
import tokenizers.processors

from dolma_pipeline.engine.task import Context
from dolma_pipeline.errors import ConfigError
from dolma_pipeline.tokens.engine import load_engine, loaded_engine
from tests.tokens.token_toys import write_byte_tokenizer, write_tokenizer


def encoded(path: Path, texts: list[str], **options: Any) -> list[list[int]]:
    return [ids.tolist() for ids in load_engine(str(path), **options).encode_batch(texts)]


def test_ids_vocabulary_and_special_tokens(tmp_path: Path) -> None:
    path = write_tokenizer(tmp_path / "tokenizer.json")
    engine = load_engine(str(path))
    assert [ids.tolist() for ids in engine.encode_batch(["a b  j", "", "a x"])] == [[4, 5, 13], [], [4, 3]]
    assert engine.vocab_size == 14
    assert engine.special_tokens == ["<s>", "</s>", "<pad>"]
    assert (engine.token_id("</s>"), engine.token_id("nothing")) == (1, None)
    assert engine.decode([4, 5, 1]) == "a b </s>"


def test_vocabulary_size_is_one_more_than_the_largest_id_even_with_gaps(tmp_path: Path) -> None:
    form = json.loads(write_tokenizer(tmp_path / "a.json").read_text())
    form["model"]["vocab"]["far"] = 70_000
    (tmp_path / "b.json").write_text(json.dumps(form))
    assert load_engine(str(tmp_path / "b.json")).vocab_size == 70_001


def test_a_directory_stands_for_the_tokenizer_json_in_it(tmp_path: Path) -> None:
    write_tokenizer(tmp_path / "tokenizer.json")
    assert encoded(tmp_path, ["b"]) == [[5]]


def test_truncation_and_padding_of_the_file_are_not_for_a_corpus(tmp_path: Path) -> None:
    path = write_tokenizer(tmp_path / "tokenizer.json")
    tokenizer = tokenizers.Tokenizer.from_file(str(path))
    tokenizer.enable_truncation(2)
    tokenizer.enable_padding(pad_id=2, pad_token="<pad>", length=5)
    path.write_text(tokenizer.to_str())
    assert encoded(path, ["a b c d", "e"]) == [[4, 5, 6, 7], [8]]


def test_special_tokens_that_the_file_would_add_are_left_to_the_stage(tmp_path: Path) -> None:
    path = write_tokenizer(tmp_path / "tokenizer.json")
    tokenizer = tokenizers.Tokenizer.from_file(str(path))
    ends = tokenizers.processors.TemplateProcessing(single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 1)])
    tokenizer.post_processor = ends
    path.write_text(tokenizer.to_str())
    assert encoded(path, ["a b"]) == [[4, 5]]


def test_special_tokens_in_a_text_are_themselves_or_text(tmp_path: Path) -> None:
    path = write_byte_tokenizer(tmp_path / "tokenizer.json")
    assert encoded(path, ["a<eos>"]) == [[load_engine(str(path)).token_id("a"), 256]]
    assert len(encoded(path, ["a<eos>"], encode_special_tokens=True)[0]) == 6


def test_segments_are_lines_with_the_newlines_before_them(tmp_path: Path) -> None:
    path = write_byte_tokenizer(tmp_path / "tokenizer.json")
    texts = ["one\n\ntwo\nthree", "\n\nfour\n", "", "five"]
    assert encoded(path, texts, segment=True) == encoded(path, texts)
    # A merge over a line's end is what the option gives up.
    tokenizer = tokenizers.Tokenizer.from_file(str(path))
    vocabulary = tokenizer.get_vocab() | {"aĊ": 257}
    form = json.loads(tokenizer.to_str())
    form["model"] |= {"vocab": vocabulary, "merges": [["a", "Ċ"]]}
    form["pre_tokenizer"]["use_regex"] = False
    path.write_text(json.dumps(form))
    assert [len(ids) for ids in encoded(path, ["a\nb"])] == [2]
    assert [len(ids) for ids in encoded(path, ["a\nb"], segment=True)] == [3]


def write_prepending_tokenizer(path: Path, **pre_tokenizer: Any) -> Path:
    """As Llama's: every space is `▁`, and one comes before each text."""
    vocabulary = {token: i for i, token in enumerate(["▁", "\n", "a", "b", "▁▁", "▁a", "▁b", "\n\n"])}
    merges = [["▁", "▁"], ["▁", "a"], ["▁", "b"], ["\n", "\n"]]
    model = tokenizers.models.BPE(vocab=vocabulary, merges=[(a, b) for a, b in merges])
    tokenizer = tokenizers.Tokenizer(model)
    if pre_tokenizer:
        tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.Metaspace(**pre_tokenizer)
    else:
        steps = [tokenizers.normalizers.Prepend("▁"), tokenizers.normalizers.Replace(" ", "▁")]
        tokenizer.normalizer = tokenizers.normalizers.Sequence(steps)
    tokenizer.save(str(path))
    return path


def test_segments_of_a_tokenizer_that_prepends_a_space_have_it_once(tmp_path: Path) -> None:
    path = write_prepending_tokenizer(tmp_path / "tokenizer.json")
    texts = ["a\nb", "a\n\nb\n a", "a b", "", "a\n\n\nb"]
    assert encoded(path, texts, segment=True) == encoded(path, texts)
    assert encoded(path, ["a\nb"], segment=True) == [[5, 1, 3]]


def test_a_line_whose_first_token_takes_more_than_the_space_is_not_cut_short(tmp_path: Path) -> None:
    path = write_byte_tokenizer(tmp_path / "tokenizer.json", add_prefix_space=True)
    form = json.loads(path.read_text())
    form["model"] |= {"vocab": form["model"]["vocab"] | {"ĠĊ": 257}, "merges": [["Ġ", "Ċ"]]}
    form["pre_tokenizer"]["use_regex"] = False
    path.write_text(json.dumps(form))
    assert encoded(path, ["a\nb"], segment=True) == encoded(path, ["a\nb"])
    assert len(encoded(path, ["a\nb"])[0]) == 4


def test_segments_are_refused_where_each_would_get_a_prefix(tmp_path: Path) -> None:
    path = write_prepending_tokenizer(tmp_path / "tokenizer.json", prepend_scheme="always")
    with pytest.raises(ConfigError) as error:
        load_engine(str(path), segment=True)
    assert str(error.value) == (
        "expected, to encode line by line, a tokenizer that puts nothing before a text, or does so by `Prepend` or "
        f"`add_prefix_space`, found `Metaspace` in {path}, which would come before every line; leave the option out"
    )


def test_a_tokenizer_that_is_not_there_or_is_none(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as missing:
        load_engine("./no/tokenizer.json")
    assert str(missing.value) == (
        "tokenizer `./no/tokenizer.json`: expected a tokenizer.json or a directory that holds one, "
        "found no no/tokenizer.json; download it first, or have one trained with `tokenizer: {train: {}}`"
    )
    (tmp_path / "tokenizer.json").write_text('{"model": 1}')
    with pytest.raises(ConfigError, match=r"tokenizer\.json: expected a tokenizer\.json, found a file that is none: "):
        load_engine(str(tmp_path))


def test_loaded_once_until_the_file_changes(tmp_path: Path) -> None:
    path = write_tokenizer(tmp_path / "tokenizer.json")
    context = Context()
    first = loaded_engine(context, str(path))
    assert loaded_engine(context, str(path)) is first
    write_tokenizer(path, extra=3)
    assert loaded_engine(context, str(path)).vocab_size == 17
