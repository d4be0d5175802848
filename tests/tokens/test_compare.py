"""Token files against their text."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from dolma_pipeline.config.recipe import Pack, Tokenizer, Tokens
from dolma_pipeline.errors import ConfigError
from dolma_pipeline.tokens import compare as module
from dolma_pipeline.tokens.compare import Mismatch, Settings, compare, render
from dolma_pipeline.tokens.source import open_source
from tests.tokens.token_toys import letters, run_stage, word_tokens, write_byte_tokenizer, write_shard, write_tokenizer

DOCUMENTS = [("x", "a b"), ("y", "c"), ("x", "d e"), ("z", "f"), ("x", "a b")]


@pytest.fixture
def made(tmp_path: Path) -> tuple[Path, Path]:
    """Token files, and the documents they were made of: two texts of one id, one of them twice."""
    path = write_tokenizer(tmp_path / "tokenizer.json")
    shard = write_shard(tmp_path / "a.jsonl", DOCUMENTS)
    run_stage(tmp_path, {"s/a": shard}, word_tokens(path, order="input", max_tokens=6))
    return tmp_path / "out", shard


def test_all_equal(made: tuple[Path, Path]) -> None:
    directory, shard = made
    found = compare(open_source(str(directory)), [shard])
    assert (found.sampled, found.equal, found.different, found.missing, found.texts) == (5, 5, 0, 0, 5)
    assert found.good
    assert render(found) == ("5 of 5 documents have the tokens of their text, 0 have others, of 0 there is no text")


def test_differences(made: tuple[Path, Path], tmp_path: Path) -> None:
    directory, _ = made
    changed = write_shard(tmp_path / "b.jsonl", [("x", "a b"), ("y", "c c"), ("x", "d i"), ("new", "a")])
    found = compare(open_source(str(directory)), [changed])
    assert (found.sampled, found.equal, found.different, found.missing, found.texts) == (5, 2, 2, 1, 3)
    assert not found.good
    file, other = str(directory / "part-00000.npy"), str(directory / "part-00001.npy")
    assert found.mismatches == [
        Mismatch(
            id="y", file=file, start=3, end=5, src="s/a", loc=2, problem="token 1 of 2: the text has 6, the file 1"
        ),
        # Two texts have its id; this is the one that differs later.
        Mismatch(
            id="x", file=other, start=0, end=3, src="s/a", loc=3, problem="token 1 of 3: the text has 12, the file 8"
        ),
        Mismatch(id="z", file=other, start=3, end=5, src="s/a", loc=4, problem="no document has its id"),
    ]


def test_tokens_that_were_changed(made: tuple[Path, Path]) -> None:
    directory, shard = made
    tokens = np.fromfile(directory / "part-00001.npy", "u1")
    tokens[1] = 12
    tokens.tofile(directory / "part-00001.npy")
    found = compare(open_source(str(directory)), [shard])
    assert (found.equal, found.different) == (4, 1)
    assert [(m.id, m.loc, m.problem) for m in found.mismatches] == [
        ("x", 3, "token 1 of 3: the text has 8, the file 12")
    ]


def test_a_sample(tmp_path: Path) -> None:
    path = write_tokenizer(tmp_path / "tokenizer.json")
    shard = write_shard(tmp_path / "a.jsonl", letters(300))
    run_stage(tmp_path, {"s/a": shard}, word_tokens(path))
    source = open_source(str(tmp_path / "out"))
    found = compare(source, [shard], sample=0.2)
    assert 30 < found.sampled < 90
    assert (found.equal, found.texts) == (found.sampled, found.sampled)
    assert compare(source, [shard], sample=0.2) == found


def test_more_mismatches_than_are_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_SHOWN", 2)
    path = write_tokenizer(tmp_path / "tokenizer.json")
    run_stage(tmp_path, {"s/a": write_shard(tmp_path / "a.jsonl", letters(9))}, word_tokens(path))
    other = write_shard(tmp_path / "b.jsonl", [("d0", "j j"), ("d1", "j j"), ("d2", "j j"), ("d3", "j j")])
    found = compare(open_source(str(tmp_path / "out")), [other])
    assert (found.different, found.missing, len(found.mismatches)) == (4, 5, 2)
    assert "\nand 7 more\n" in render(found)


def test_how_texts_were_tokenized(tmp_path: Path) -> None:
    """Other fields, ids by file and line, special tokens as text: without the same settings they differ."""
    path = write_byte_tokenizer(tmp_path / "tokenizer.json")
    shard = tmp_path / "a.jsonl"
    shard.write_text('{"id":"1","text":"other","metadata":{"body":"see <eos> there"}}\n')
    tokenizer = Tokenizer(path=str(path), eos="<eos>", encode_special_tokens=True)
    tokens = Tokens(tokenizer=tokenizer, text_field="metadata.body", id_field=None)
    run_stage(tmp_path, {str(shard): shard}, tokens)
    source = open_source(str(tmp_path / "out"))
    settings = Settings(text_field="metadata.body", id_field=None, encode_special_tokens=True)
    assert compare(source, [shard], settings=settings).good
    assert compare(source, [shard], settings=Settings(text_field="metadata.body", id_field=None)).different == 1
    assert compare(source, [shard], settings=Settings(id_field=None)).different == 1
    assert compare(source, [shard]).missing == 1


def test_without_a_tokenizer(tmp_path: Path) -> None:
    np.array([4, 1], dtype="<u2").tofile(tmp_path / "x.npy")
    (tmp_path / "x.csv.gz").write_bytes(b"")
    with pytest.raises(ConfigError, match="expected a manifest, or the tokenizer of the files, to encode with"):
        compare(open_source(str(tmp_path), dtype="uint16"), [])


def test_pieces_of_packed_documents(tmp_path: Path) -> None:
    """Each is a run of the tokens of its text; a changed token is one of no text."""
    path = write_tokenizer(tmp_path / "tokenizer.json")
    shard = write_shard(tmp_path / "a.jsonl", [("x", "a b c d e f g"), ("y", "h i")])
    tokenizer = Tokenizer(path=str(path), eos="</s>", pad="<pad>")
    run_stage(tmp_path, {"s/a": shard}, Tokens(tokenizer=tokenizer, pack=Pack(length=5)))
    source = open_source(str(tmp_path / "out"))
    found = compare(source, [shard])
    assert (found.sampled, found.equal) == (3, 3)
    tokens = np.fromfile(tmp_path / "out" / "part-00000.npy", "u1")
    tokens[int(np.argmax(tokens == 5))] = 6
    tokens.tofile(tmp_path / "out" / "part-00000.npy")
    found = compare(source, [shard])
    assert (found.equal, found.different) == (2, 1)
    assert found.mismatches[0].problem == "token 1 of 5: the text has 5, the file 6"


def test_documents_without_ids_of_their_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All are called the same: their tokens are looked up, and counted as by comparing."""
    path = write_tokenizer(tmp_path / "tokenizer.json")
    texts = [text for _, text in letters(40)]
    run_stage(tmp_path, {"s/a": write_shard(tmp_path / "a.jsonl", [("", t) for t in texts])}, word_tokens(path))
    source = open_source(str(tmp_path / "out"))
    other = write_shard(tmp_path / "b.jsonl", [("", t) for t in [*texts[3:], "j j j j"]])
    found = {}
    for many in (2, 1000):
        monkeypatch.setattr(module, "MANY", many)
        found[many] = compare(source, [other])
    assert (found[2].sampled, found[2].equal, found[2].different, found[2].missing) == (40, 37, 3, 0)
    assert [m.loc for m in found[2].mismatches] == [m.loc for m in found[1000].mismatches]
    assert {m.problem for m in found[2].mismatches} == {"none of the texts of its id has these tokens"}
    assert (found[1000].equal, found[1000].different) == (37, 3)


def test_the_text_of_a_long_packed_document_is_copied_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And not for each of its pieces: what is copied is text and pieces, so twice the document and no square of it."""
    path = write_tokenizer(tmp_path / "tokenizer.json")
    shard = write_shard(tmp_path / "a.jsonl", [("x", "a b c d " * 500)])
    run_stage(tmp_path, {"s/a": shard}, Tokens(tokenizer=Tokenizer(path=str(path), eos=1, pad=2), pack=Pack(length=8)))
    copied: list[int] = []

    def counted(tokens: NDArray[np.unsignedinteger]) -> bytes:
        copied.append(len(tokens))
        return bytes_of(tokens)

    bytes_of = module._bytes
    monkeypatch.setattr(module, "_bytes", counted)
    found = compare(open_source(str(tmp_path / "out")), [shard])
    assert (found.sampled, found.equal) == (251, 251)
    assert sum(copied) == 2 * 2001
