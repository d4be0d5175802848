"""Token files: what OLMo's readers expect, the order of the plan, and the table of documents."""

from __future__ import annotations

import csv
import gzip
from pathlib import Path

import numpy as np
import pytest

from dolma_pipeline.config.recipe import Tokenizer, Tokens
from dolma_pipeline.engine.task import Context
from dolma_pipeline.errors import StageError
from dolma_pipeline.io.atomic import write_json
from dolma_pipeline.tokens import merge
from dolma_pipeline.tokens.engine import load_engine
from dolma_pipeline.tokens.parts import Parts, read_parts
from dolma_pipeline.tokens.write import WritePart, part_name, write_part
from tests.tokens.token_toys import file_bytes, letters, run_stage, word_tokens, write_shard, write_tokenizer

Row = tuple[int, int, str, str, int]


def rows(path: Path) -> list[Row]:
    with gzip.open(path, "rt", newline="") as file:
        return [(int(a), int(b), i, s, int(n)) for a, b, i, s, n in csv.reader(file)]


@pytest.fixture
def shards(tmp_path: Path) -> dict[str, Path]:
    """45 documents of two sources in three files, one of them empty."""
    return {
        "s/a": write_shard(tmp_path / "a.jsonl", letters(30)),
        "s/b": write_shard(tmp_path / "b.jsonl", []),
        "t/c": write_shard(tmp_path / "c.jsonl", letters(15, first=30)),
    }


def test_input_order_is_the_corpus_as_it_stands(tmp_path: Path, shards: dict[str, Path]) -> None:
    path = write_tokenizer(tmp_path / "tokenizer.json", extra=300)
    run_stage(tmp_path, shards, word_tokens(path, order="input"))
    engine = load_engine(str(path))
    documents = [[*engine.encode_batch([text])[0].tolist(), 1] for _, text in letters(45)]
    # OLMo: a headerless file of uint16, all documents one after the other.
    tokens = np.memmap(tmp_path / "out" / "part-00000.npy", dtype=np.uint16, mode="r")
    assert tokens.tolist() == [t for d in documents for t in d]
    table = rows(tmp_path / "out" / "part-00000.csv.gz")
    assert [r[2:] for r in table] == [(f"d{i}", "s/a", i + 1) for i in range(30)] + [
        (f"d{i}", "t/c", i - 29) for i in range(30, 45)
    ]
    assert [tokens[a:b].tolist() for a, b, *_ in table] == documents
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == [
        "manifest.json", "part-00000.csv.gz", "part-00000.npy", "tokenizer.json",
    ]  # fmt: skip


def test_a_shuffle_goes_over_all_shards_and_parts_follow_one_order(tmp_path: Path, shards: dict[str, Path]) -> None:
    path = write_tokenizer(tmp_path / "tokenizer.json")
    run_stage(tmp_path / "one", shards, word_tokens(path))
    run_stage(tmp_path / "many", shards, word_tokens(path, max_tokens=20))
    whole = np.fromfile(tmp_path / "one" / "out" / "part-00000.npy", np.uint8)
    parts = sorted((tmp_path / "many" / "out").glob("*.npy"))
    assert len(parts) > 5
    assert np.concatenate([np.fromfile(p, np.uint8) for p in parts]).tolist() == whole.tolist()
    order = [r[2] for r in rows(tmp_path / "one" / "out" / "part-00000.csv.gz")]
    assert sorted(order) == sorted(f"d{i}" for i in range(45))
    # Both sources from the beginning: 15 documents in a row from one file would be 1 in 10 million.
    assert {r[3] for r in rows(tmp_path / "one" / "out" / "part-00000.csv.gz")[:15]} == {"s/a", "t/c"}
    divided: list[str] = []
    for part in parts:
        table = rows(part.with_suffix(".csv.gz"))
        assert 0 < part.stat().st_size == table[-1][1] <= 20
        assert [r[0] for r in table] == [0, *[r[1] for r in table[:-1]]]
        divided += [r[2] for r in table]
    assert divided == order


@pytest.mark.parametrize("order", ["shuffle", "input"])
def test_chunks_do_not_show(
    tmp_path: Path, shards: dict[str, Path], monkeypatch: pytest.MonkeyPatch, order: str
) -> None:
    path = write_tokenizer(tmp_path / "tokenizer.json")
    run_stage(tmp_path / "whole", shards, word_tokens(path, order=order, max_tokens=70))
    monkeypatch.setattr(merge, "TOKENS", 9)
    run_stage(tmp_path / "chunks", shards, word_tokens(path, order=order, max_tokens=70))
    assert file_bytes(tmp_path / "chunks" / "out") == file_bytes(tmp_path / "whole" / "out")


def test_a_document_longer_than_a_part_has_a_file_of_its_own(tmp_path: Path) -> None:
    path = write_tokenizer(tmp_path / "tokenizer.json")
    shard = write_shard(tmp_path / "a.jsonl", [("x", "a"), ("long", " ".join("b" * 50)), ("y", "c")])
    run_stage(tmp_path, {"s/a": shard}, word_tokens(path, order="input", max_tokens=10))
    found = [np.fromfile(tmp_path / "out" / f"part-0000{i}.npy", np.uint8).tolist() for i in range(3)]
    assert found == [[4, 1], [*[5] * 50, 1], [6, 1]]
    assert rows(tmp_path / "out" / "part-00001.csv.gz") == [(0, 51, "long", "s/a", 2)]


def test_the_table_quotes_what_needs_it(tmp_path: Path) -> None:
    path = write_tokenizer(tmp_path / "tokenizer.json")
    ids = ["a,b", 'c"d', "e\nf", "", "ü"]
    shard = write_shard(tmp_path / "a.jsonl", [(i, "a") for i in ids])
    run_stage(tmp_path, {"s,a": shard}, word_tokens(path, order="input"))
    table = tmp_path / "out" / "part-00000.csv.gz"
    assert [r[2:] for r in rows(table)] == [(i, "s,a", n) for n, i in enumerate(ids, 1)]
    assert gzip.decompress(table.read_bytes()).startswith(b'0,2,"a,b","s,a",1\n2,4,"c""d","s,a",2\n')


def test_gzip_holds_neither_time_nor_name(tmp_path: Path, shards: dict[str, Path]) -> None:
    run_stage(tmp_path, shards, word_tokens(write_tokenizer(tmp_path / "tokenizer.json")))
    header = (tmp_path / "out" / "part-00000.csv.gz").read_bytes()[:10]
    assert (header[:4], header[4:8]) == (b"\x1f\x8b\x08\x00", b"\0\0\0\0")


def test_a_plan_that_no_longer_fits_is_an_error_and_writes_nothing(tmp_path: Path, shards: dict[str, Path]) -> None:
    path = write_tokenizer(tmp_path / "tokenizer.json")
    run_stage(tmp_path, shards, word_tokens(path))
    plan = read_parts(tmp_path / "scratch" / "01-tokens-parts" / "train.json")
    fewer = Parts(order=plan.order, shards=plan.shards[:2], parts=plan.parts)
    write_json(tmp_path / "plan.json", fewer)
    with pytest.raises(StageError, match=r"\.npy: expected 45 documents of .* the encoded shards have changed"):
        write_part(WritePart(plan=str(tmp_path / "plan.json"), number=0, directory=str(tmp_path / "new")), Context())
    assert list((tmp_path / "new").iterdir()) == []


def test_names_have_five_digits_or_more() -> None:
    def name(number: int, *, as_dolma: bool = False) -> str:
        return part_name(WritePart(plan="", number=number, directory="", as_dolma=as_dolma))

    assert [name(0), name(123_456), name(7, as_dolma=True)] == ["part-00000", "part-123456", "part-0-00007"]


def test_bos_and_a_wider_type_reach_the_file(tmp_path: Path) -> None:
    path = write_tokenizer(tmp_path / "tokenizer.json")
    shard = write_shard(tmp_path / "a.jsonl", [("x", "a b")])
    tokens = Tokens(tokenizer=Tokenizer(path=str(path), bos="<s>", eos=1), dtype="uint32")
    run_stage(tmp_path, {"s/a": shard}, tokens)
    assert np.fromfile(tmp_path / "out" / "part-00000.npy", "<u4").tolist() == [0, 4, 5, 1]
