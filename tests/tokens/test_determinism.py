"""The stage as a whole: the same bytes in any order of work."""

from __future__ import annotations

import gzip
import itertools
from pathlib import Path

import pytest

from dolma_pipeline.config.recipe import Pack
from dolma_pipeline.formats.documents import read_documents
from dolma_pipeline.tokens.engine import load_engine
from dolma_pipeline.tokens.inspect import read_places, read_tokens
from dolma_pipeline.tokens.manifest import read_manifest
from tests.tokens.token_toys import (
    file_bytes,
    letters,
    run_stage,
    trained_tokens,
    word_tokens,
    write_shard,
    write_tokenizer,
)


@pytest.fixture
def shards(tmp_path: Path) -> dict[str, Path]:
    return {
        f"s/{n}": write_shard(tmp_path / "documents" / f"{n}.jsonl", letters(count, first=100 * n))
        for n, count in enumerate([25, 1, 0, 40])
    }


PACKS = [
    None,
    Pack(length=16, mask_first=True),
    Pack(length=16, by="concatenate"),
    Pack(length=16, by="bucket", min_length=4),
]


@pytest.mark.parametrize("pack", PACKS, ids=lambda p: p.by if p is not None else "plain")
@pytest.mark.parametrize("order", ["shuffle", "input"])
def test_the_same_bytes_whichever_task_comes_first(
    tmp_path: Path, shards: dict[str, Path], order: str, pack: Pack | None
) -> None:
    tokens = trained_tokens(vocab_size=300, order=order, holdout=0.2, max_tokens=100, pack=pack)
    first = run_stage(tmp_path / "one", shards, tokens)
    second = run_stage(tmp_path / "two", shards, tokens, reorder=lambda tasks: list(tasks)[::-1])
    assert len(first["write"]) > 2
    assert file_bytes(tmp_path / "one" / "out") == file_bytes(tmp_path / "two" / "out")
    assert [r.counts for r in first["encode"]] == [r.counts for r in second["encode"]]


def test_a_rerun_over_the_old_files_gives_the_same_bytes(tmp_path: Path, shards: dict[str, Path]) -> None:
    tokens = word_tokens(write_tokenizer(tmp_path / "tokenizer.json"), max_tokens=50)
    run_stage(tmp_path, shards, tokens)
    before = file_bytes(tmp_path / "out"), file_bytes(tmp_path / "scratch")
    run_stage(tmp_path, shards, tokens)
    assert (file_bytes(tmp_path / "out"), file_bytes(tmp_path / "scratch")) == before


def test_a_shuffle_hangs_on_labels_not_on_where_files_are(tmp_path: Path) -> None:
    tokens = word_tokens(write_tokenizer(tmp_path / "tokenizer.json"))
    for place in ("here", "there/below"):
        shard = write_shard(tmp_path / place / "a.jsonl", letters(20))
        run_stage(tmp_path / place, {"s/a": shard}, tokens)
    assert file_bytes(tmp_path / "here" / "out") == file_bytes(tmp_path / "there/below" / "out")


def test_another_seed_is_another_order_of_the_same_documents(tmp_path: Path, shards: dict[str, Path]) -> None:
    tokens = word_tokens(write_tokenizer(tmp_path / "tokenizer.json"))
    orders = []
    for seed in (17, 18):
        run_stage(tmp_path / str(seed), shards, tokens, seed=seed)
        orders.append([p.id for p in read_places(tmp_path / str(seed) / "out")])
    assert orders[0] != orders[1]
    assert sorted(orders[0]) == sorted(orders[1])


def test_splits_are_disjoint_and_complete_and_their_counts_add_up(tmp_path: Path, shards: dict[str, Path]) -> None:
    tokens = word_tokens(write_tokenizer(tmp_path / "tokenizer.json"), holdout=0.3)
    reports = run_stage(tmp_path, shards, tokens)
    ids = {split: [p.id for p in read_places(tmp_path / "out" / split)] for split in ("train", "validation")}
    assert not set(ids["train"]) & set(ids["validation"])
    assert sorted(ids["train"] + ids["validation"]) == sorted(i for n in (0, 1, 3) for i, _ in letters(
        {0: 25, 1: 1, 3: 40}[n], first=100 * n
    ))  # fmt: skip
    manifests = [read_manifest(tmp_path / "out" / split) for split in ids]
    assert sum(m.tokens for m in manifests) == sum(r.counts["s"].tokens for r in reports["encode"])
    assert sum(m.text_bytes for m in manifests) == sum(r.counts["s"].bytes_out for r in reports["encode"])


@pytest.mark.data
def test_real_documents_come_back(tmp_path: Path, shared_data: Path) -> None:
    first = sorted((shared_data / "manpages" / "documents").glob("*.jsonl.gz"))[0]
    with gzip.open(first) as lines:
        (tmp_path / "a.jsonl").write_bytes(b"".join(itertools.islice(lines, 100)))
    reports = run_stage(tmp_path, {"s/a": tmp_path / "a.jsonl"}, trained_tokens(vocab_size=1000, max_tokens=20_000))
    texts: dict[str, list[str]] = {}
    for documents in read_documents(tmp_path / "a.jsonl"):
        for name, text in zip(documents.id.to_pylist(), documents.text.to_pylist(), strict=True):
            if text.strip():
                texts.setdefault(name, []).append(text.strip() + "<|endoftext|>")
    engine = load_engine(str(tmp_path / "out" / "tokenizer.json"))
    files = {f.path: read_tokens(tmp_path / "out", f.path) for f in read_manifest(tmp_path / "out").files}
    assert len(files) > 5
    found: dict[str, list[str]] = {}
    for place in read_places(tmp_path / "out"):
        found.setdefault(place.id, []).append(engine.decode(files[place.file][place.start : place.end].tolist()))
    assert found.keys() == texts.keys()
    assert all(sorted(found[name]) == sorted(texts[name]) for name in texts)
    assert reports["encode"][0].counts["s"].documents_out == sum(map(len, texts.values()))
