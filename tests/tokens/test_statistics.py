"""What token files hold, counted."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dolma_pipeline.config.recipe import Pack, Tokenizer, Tokens
from dolma_pipeline.errors import DataError
from dolma_pipeline.tokens import statistics as module
from dolma_pipeline.tokens.source import open_source
from dolma_pipeline.tokens.statistics import IdStatistics, Lengths, SourceStatistics, render, statistics
from tests.tokens.test_source import bare
from tests.tokens.token_toys import run_stage, word_tokens, write_shard, write_tokenizer


@given(st.lists(st.lists(st.integers(0, 60), max_size=20), max_size=5), st.integers(1, 100))
def test_lengths(batches: list[list[int]], share: int) -> None:
    """As by sorting them all; those from 32 on are remembered one by one."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "SHORT", 32)
        lengths = Lengths()
        for batch in batches:
            lengths.add(np.array(batch, dtype=np.int64))
        every = sorted(n for batch in batches for n in batch)
        assert (lengths.documents, lengths.tokens) == (len(every), sum(every))
        nth = max(1, -(-len(every) * share // 100))
        assert lengths.percentile(share) == (every[nth - 1] if every else 0)
        found = lengths.doublings()
    assert sum(n for _, _, n in found) == len(every)
    for low, high, number in found:
        assert number == sum(low <= n <= high for n in every)
        assert (low, high) == (0, 0) or high == 2 * low - 1


def make(work: Path) -> Path:
    path = write_tokenizer(work / "tokenizer.json")
    shards = {
        "s/a": write_shard(work / "a.jsonl", [("x", "a b c"), ("y", "a"), ("z", "d e f g h")]),
        "t/b": write_shard(work / "b.jsonl", [("w", "j j j")]),
    }
    run_stage(work, shards, word_tokens(path, order="input", max_tokens=8))
    return work / "out"


def test_all_there_is(tmp_path: Path) -> None:
    found = statistics(open_source(str(make(tmp_path))), scan=True)
    assert (found.form, found.dtype, found.vocab_size) == ("dolma", "uint8", 14)
    assert (found.bos_token_id, found.eos_token_id, found.pad_token_id) == (None, 1, None)
    assert (found.documents, found.tokens, found.bytes, found.uncovered_tokens) == (4, 16, 16, 0)
    assert (found.text_bytes, found.bytes_per_token) == (20, 1.25)
    assert (found.mean_length, found.longest) == (4.0, 6)
    assert found.percentiles == {"1": 2, "10": 2, "25": 2, "50": 4, "75": 4, "90": 6, "99": 6}
    assert found.lengths == [(2, 3, 1), (4, 7, 3)]
    assert [(Path(f.path).name, f.documents, f.tokens) for f in found.files] == [
        ("part-00000.npy", 2, 6),
        ("part-00001.npy", 1, 6),
        ("part-00002.npy", 1, 4),
    ]
    assert found.sources == {
        "s": SourceStatistics(documents=3, tokens=12, text_bytes=15, bytes_per_token=1.25),
        "t": SourceStatistics(documents=1, tokens=4, text_bytes=5, bytes_per_token=1.25),
    }
    assert found.ids == IdStatistics(
        distinct=10,
        special={"eos": 4},
        ended=4,
        most_common=[(1, 4), (13, 3), (4, 2), (5, 1), (6, 1), (7, 1), (8, 1), (9, 1), (10, 1), (11, 1)],
    )


def test_for_people(tmp_path: Path) -> None:
    directory = make(tmp_path)
    assert render(statistics(open_source(str(directory)), scan=True)).splitlines() == [
        f"{directory}: dolma, uint8, vocabulary of 14, eos 1",
        "4 documents, 16 tokens in 3 files, 1.25 bytes of text a token",
        "",
        "  s              3 documents                 12 tokens      1.25 bytes a token",
        "  t              1 documents                  4 tokens      1.25 bytes a token",
        "",
        "tokens of a document: 4.0 on average, 6 at most",
        "  1 %: 2  10 %: 2  25 %: 2  50 %: 4  75 %: 4  90 %: 6  99 %: 6",
        "            2 – 3                      1  ██████████████",
        "            4 – 7                      3  ████████████████████████████████████████",
        "",
        "10 of 14 ids occur, eos 4 times, eos at the end of 4 of 4 documents",
    ]


def test_a_changed_byte(tmp_path: Path) -> None:
    directory = make(tmp_path)
    tokens = bytearray((directory / "part-00001.npy").read_bytes())
    tokens[0] = 12
    (directory / "part-00001.npy").write_bytes(tokens)
    source = open_source(str(directory))
    assert statistics(source).changed == []
    found = statistics(source, scan=True)
    assert found.changed == [str(directory / "part-00001.npy")]
    assert render(found).endswith("part-00001.npy is not the file that the manifest describes: its BLAKE3 is another")


def test_of_files_without_a_manifest(tmp_path: Path) -> None:
    directory = bare(tmp_path / "d")
    with (directory / "part-1-00000.npy").open("ab") as file:
        file.write(b"\5\0\5\0")
    found = statistics(open_source(str(directory), dtype="uint16"), scan=True)
    assert (found.documents, found.tokens, found.uncovered_tokens) == (3, 9, 2)
    assert (found.vocab_size, found.text_bytes, found.bytes_per_token, found.sources) == (None, None, None, {})
    assert found.ids == IdStatistics(
        distinct=5, special={}, ended=None, most_common=[(1, 3), (5, 3), (4, 1), (6, 1), (7, 1)]
    )
    assert "2 tokens in no document" in render(found)


def test_ids_outside_of_the_vocabulary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SCAN_TOKENS", 2)
    directory = bare(tmp_path / "d")
    np.array([4, 5, 1, 99, 1], dtype="<u2").tofile(directory / "part-0-00000.npy")
    tokenizer = Tokenizer(path=str(write_tokenizer(tmp_path / "t.json")), eos="</s>")
    with pytest.raises(DataError, match=r"part-0-00000\.npy: token 3 is 99, outside of the vocabulary of 14 ids"):
        statistics(open_source(str(directory), tokenizer=tokenizer, dtype="uint16"), scan=True)


def test_of_packed_files(tmp_path: Path) -> None:
    path = write_tokenizer(tmp_path / "tokenizer.json")
    shard = write_shard(tmp_path / "a.jsonl", [("x", "a b c d e f g"), ("y", "h")])
    tokenizer = Tokenizer(path=str(path), eos="</s>", pad="<pad>")
    run_stage(tmp_path, {"s/a": shard}, Tokens(tokenizer=tokenizer, pack=Pack(length=6)))
    found = statistics(open_source(str(tmp_path / "out")), scan=True)
    assert (found.documents, found.tokens, found.uncovered_tokens, found.packed) == (3, 12, 2, True)
    assert found.ids is not None
    assert (found.ids.special, found.ids.ended) == ({"eos": 2, "pad": 2}, 2)
    shown = render(found)
    assert "3 pieces of documents, 12 tokens in 1 file" in shown
    assert "2 tokens of padding" in shown
    assert "eos at the end of 2 of 3 pieces of documents" in shown


def test_a_mask_that_is_not_the_manifests(tmp_path: Path) -> None:
    path = write_tokenizer(tmp_path / "tokenizer.json")
    shard = write_shard(tmp_path / "a.jsonl", [("x", "a b"), ("y", "c")])
    packed = Tokens(tokenizer=Tokenizer(path=str(path), eos=1, pad=1), pack=Pack(length=4))
    run_stage(tmp_path, {"s/a": shard}, packed)
    mask = tmp_path / "out" / "part-00000.mask"
    assert statistics(open_source(str(tmp_path / "out")), scan=True).changed == []
    mask.write_bytes(bytes(len(mask.read_bytes())))
    assert statistics(open_source(str(tmp_path / "out")), scan=True).changed == [str(mask)]
    mask.unlink()
    assert statistics(open_source(str(tmp_path / "out")), scan=True).changed == [str(mask)]
