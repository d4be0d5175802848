"""Reading token files back: what went in comes out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dolma_pipeline.config.recipe import Tokenizer, Tokens
from dolma_pipeline.errors import DataError
from dolma_pipeline.tokens.inspect import Place, decode_range, read_document, read_places, read_tokens
from tests.tokens.token_toys import (
    letters,
    run_stage,
    trained_tokens,
    word_tokens,
    write_byte_tokenizer,
    write_shard,
    write_tokenizer,
)

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=25)
@given(texts=st.lists(TEXTS, min_size=1, max_size=12), segment=st.booleans(), most=st.integers(1, 60))
def test_every_text_comes_back_stripped_and_ended(tmp_path: Path, texts: list[str], segment: bool, most: int) -> None:
    path = write_byte_tokenizer(tmp_path / "tokenizer.json")
    shard = write_shard(tmp_path / "a.jsonl", [(f"d{i}", t) for i, t in enumerate(texts)])
    tokenizer = Tokenizer(path=str(path), eos="<eos>", encode_special_tokens=True, segment_before_tokenization=segment)
    run_stage(tmp_path, {"s/a": shard}, Tokens(tokenizer=tokenizer, max_tokens=most))
    found = {p.id: read_document(tmp_path / "out", p.id) for p in read_places(tmp_path / "out")}
    assert {i: [d.text for d in documents] for i, documents in found.items()} == {
        f"d{i}": [t.strip() + "<eos>"] for i, t in enumerate(texts) if t.strip()
    }


def test_with_a_tokenizer_trained_on_the_way(tmp_path: Path) -> None:
    texts = [f"The {n}th lantern\nby the harbour – {n * n}" for n in range(50)]
    shards = {
        "s/a": write_shard(tmp_path / "a.jsonl", [(f"a{n}", t) for n, t in enumerate(texts[:30])]),
        "s/b": write_shard(tmp_path / "b.jsonl", [(f"b{n}", t) for n, t in enumerate(texts[30:])]),
    }
    run_stage(tmp_path, shards, trained_tokens(vocab_size=320, holdout=0.2))
    found = [
        read_document(tmp_path / "out" / split, p.id)[0].text or ""
        for split in ("train", "validation")
        for p in read_places(tmp_path / "out" / split)
    ]
    assert sorted(found) == sorted(t + "<|endoftext|>" for t in texts)


def test_copies_are_all_found(tmp_path: Path) -> None:
    path = write_tokenizer(tmp_path / "tokenizer.json")
    shard = write_shard(tmp_path / "a.jsonl", [("x", "a b"), ("y", "c"), ("x", "a b")])
    run_stage(tmp_path, {"s/a": shard}, word_tokens(path, order="input", max_tokens=3))
    found = read_document(tmp_path / "out", "x")
    assert [d.place for d in found] == [
        Place(file="part-00000.npy", start=0, end=3, id="x", src="s/a", loc=1),
        Place(file="part-00002.npy", start=0, end=3, id="x", src="s/a", loc=3),
    ]
    assert [(d.tokens.tolist(), d.text) for d in found] == [([4, 5, 1], "a b </s>")] * 2


def test_ranges(tmp_path: Path) -> None:
    path = write_tokenizer(tmp_path / "tokenizer.json")
    shard = write_shard(tmp_path / "a.jsonl", [("x", "a b"), ("y", "c")])
    run_stage(tmp_path, {"s/a": shard}, word_tokens(path, order="input"))
    out = tmp_path / "out"
    assert read_tokens(out, "part-00000.npy").tolist() == [4, 5, 1, 6, 1]
    assert read_tokens(out, "part-00000.npy").dtype == np.dtype("u1")
    assert decode_range(out, "part-00000.npy", 1, 4) == "b </s> c"
    with pytest.raises(DataError, match=r"part-00000\.npy: expected a range within its 5 tokens, found 3 to 6"):
        read_tokens(out, "part-00000.npy", 3, 6)
    with pytest.raises(DataError, match=r"expected one of the 1 token files of its manifest, found `part-00001\.npy`"):
        read_tokens(out, "part-00001.npy")
    with pytest.raises(DataError, match="expected a document `z`, found none of that id"):
        read_document(out, "z")
    with (out / "part-00000.npy").open("ab") as file:
        file.write(b"\0")
    with pytest.raises(DataError, match=r"expected 5 bytes, found 6: the file is not the manifest's"):
        read_document(out, "x")


def test_places_are_in_the_order_of_the_tokens(tmp_path: Path) -> None:
    path = write_tokenizer(tmp_path / "tokenizer.json")
    run_stage(tmp_path, {"s/a": write_shard(tmp_path / "a.jsonl", letters(20))}, word_tokens(path, max_tokens=15))
    last: dict[str, int] = {}
    for place in read_places(tmp_path / "out"):
        assert place.start == last.get(place.file, 0)
        last[place.file] = place.end
    assert list(last) == sorted(last)
