"""Packed parts as they stand on disk: every token, row and label of small ones, and what holds for all."""

from __future__ import annotations

import gzip
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from dolma_pipeline.config.recipe import Pack, Tokenizer, Tokens
from dolma_pipeline.engine.task import Context, Report
from dolma_pipeline.errors import ConfigError, StageError
from dolma_pipeline.io.atomic import write_json
from dolma_pipeline.tokens import packed
from dolma_pipeline.tokens.inspect import read_places
from dolma_pipeline.tokens.manifest import read_manifest
from dolma_pipeline.tokens.parts import Parts, read_parts
from dolma_pipeline.tokens.write import WritePart, write_part
from dolma_pipeline.train.data import Instances
from dolma_pipeline.train.documents import documents_of
from tests.tokens.token_toys import file_bytes, letters, run_stage, word_tokens, write_shard, write_tokenizer

PAD = 2
PACKS = {
    "best_fit": Pack(length=8, mask_first=True),
    "truncate": Pack(length=6, long_documents="truncate"),
    "concatenate": Pack(length=8, by="concatenate", mask_first=True),
    "bucket": Pack(length=8, by="bucket", min_length=2),
    "drop": Pack(length=4, by="bucket", min_length=4, rest="drop"),
}


def pack_tokens(tokenizer: Path, pack: Pack, **options: object) -> Tokens:
    settings = Tokenizer(path=str(tokenizer), eos="</s>", pad=PAD)
    return Tokens(tokenizer=settings, pack=pack, **options)  # type: ignore[arg-type]


def read(path: Path) -> NDArray[np.uint8]:
    return np.fromfile(path, np.uint8)


@pytest.fixture
def shards(tmp_path: Path) -> dict[str, Path]:
    return {
        "s/a": write_shard(tmp_path / "a.jsonl", letters(30)),
        "s/b": write_shard(tmp_path / "b.jsonl", []),
        "t/c": write_shard(tmp_path / "c.jsonl", [*letters(15, first=30), ("long", " ".join("abcdefghij" * 3))]),
    }


def test_best_fit_by_hand(tmp_path: Path) -> None:
    shard = write_shard(tmp_path / "a.jsonl", [("x", "a b c"), ("y", "d e f g h"), ("z", "i"), ("u", "a b c d e f g")])
    path = write_tokenizer(tmp_path / "tokenizer.json")
    # 4, 6, 2 and 8 tokens: the last is cut at 6, its rest goes to the 4; the document of 2 is left alone.
    run_stage(tmp_path, {"s/a": shard}, pack_tokens(path, Pack(length=6, mask_first=True), order="input"))
    out = tmp_path / "out"
    assert read(out / "part-00000.npy").reshape(-1, 6).tolist() == [
        [4, 5, 6, 1, 12, 1],
        [7, 8, 9, 10, 11, 1],
        [4, 5, 6, 7, 8, 9],
        [10, 1, 2, 2, 2, 2],
    ]
    assert gzip.decompress((out / "part-00000.csv.gz").read_bytes()).decode().splitlines() == [
        "0,4,x,s/a,1", "4,6,z,s/a,3", "6,12,y,s/a,2", "12,18,u,s/a,4", "18,20,u,s/a,4",
    ]  # fmt: skip
    assert read(out / "part-00000.mask").reshape(-1, 6).tolist() == [
        [1, 1, 1, 1, 0, 1],
        [1, 1, 1, 1, 1, 1],
        [1, 1, 1, 1, 1, 1],
        [1, 1, 0, 0, 0, 0],
    ]


def test_buckets_by_hand(tmp_path: Path) -> None:
    shard = write_shard(tmp_path / "a.jsonl", [("x", "a b c"), ("y", "d e f g h"), ("z", "i"), ("u", "a b c d e f g")])
    path = write_tokenizer(tmp_path / "tokenizer.json", extra=300)
    run_stage(tmp_path, {"s/a": shard}, pack_tokens(path, Pack(length=4, by="bucket", min_length=2), order="input"))
    out = tmp_path / "out"
    assert np.fromfile(out / "bucket-4" / "part-00000.npy", "<u2").reshape(-1, 4).tolist() == [
        [4, 5, 6, 1], [7, 8, 9, 10], [4, 5, 6, 7], [8, 9, 10, 1],
    ]  # fmt: skip
    assert np.fromfile(out / "bucket-2" / "part-00000.npy", "<u2").tolist() == [11, 1, 12, 1]
    assert [(p.file, p.start, p.end, p.id) for p in read_places(out)] == [
        ("bucket-2/part-00000.npy", 0, 2, "y"),
        ("bucket-2/part-00000.npy", 2, 4, "z"),
        ("bucket-4/part-00000.npy", 0, 4, "x"),
        ("bucket-4/part-00000.npy", 4, 8, "y"),
        ("bucket-4/part-00000.npy", 8, 12, "u"),
        ("bucket-4/part-00000.npy", 12, 16, "u"),
    ]
    assert [(f.documents, f.instance_length) for f in read_manifest(out).files] == [(1, 2), (3, 4)]


def documents(directory: Path) -> dict[str, list[int]]:
    """The tokens of each document of a run without packing."""
    files = {f.path: read(directory / f.path) for f in read_manifest(directory).files}
    return {p.id: files[p.file][p.start : p.end].tolist() for p in read_places(directory)}


@pytest.mark.parametrize("order", ["shuffle", "input"])
@pytest.mark.parametrize("name", PACKS)
def test_every_document_is_there_in_its_pieces(
    tmp_path: Path, shards: dict[str, Path], name: str, order: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, pack = write_tokenizer(tmp_path / "tokenizer.json"), PACKS[name]
    run_stage(tmp_path / "plain", shards, word_tokens(path))
    whole = documents(tmp_path / "plain" / "out")
    reports = run_stage(tmp_path, shards, pack_tokens(path, pack, order=order, max_tokens=40))
    out = tmp_path / "out"
    manifest = read_manifest(out)
    assert len(manifest.files) > 4
    found: defaultdict[str, list[list[int]]] = defaultdict(list)
    padding = 0
    places = list(read_places(out))
    for file in manifest.files:
        tokens = read(out / file.path)
        mask = read(out / str(file.mask))
        assert len(tokens) == len(mask) == file.tokens == file.bytes <= 40
        length = file.instance_length or 0
        assert len(tokens) % length == 0
        expected = np.zeros(len(tokens), dtype=np.uint8)
        last = 0
        for p in (p for p in places if p.file == file.path):
            assert last <= p.start < p.end <= len(tokens)
            assert p.start // length == (p.end - 1) // length
            found[p.id].append(tokens[p.start : p.end].tolist())
            expected[p.start : p.end] = 1
            if pack.mask_first and p.start % length:
                expected[p.start] = 0
            last = p.end
        assert mask.tolist() == expected.tolist()
        assert set(tokens[mask == 0].tolist()) <= ({PAD} | set(range(4, 14)) if pack.mask_first else {PAD})
        padding += file.padding
    kept = {i: t for i, t in whole.items() if name != "drop" or len(t) >= 4}
    assert found.keys() == kept.keys()
    amount = manifest.packed
    assert amount is not None
    assert amount.padding == padding
    assert amount.instances == sum(f.tokens // (f.instance_length or 1) for f in manifest.files)
    assert amount.fragmented == sum(len(pieces) > 1 for pieces in found.values())
    lost = sum(map(len, kept.values())) - sum(len(t) for pieces in found.values() for t in pieces)
    assert amount.dropped_tokens == lost
    assert (lost > 0) == (name in ("truncate", "drop"))
    if not lost:
        assert all(sorted(t for piece in found[i] for t in piece) == sorted(kept[i]) for i in kept)
    for i, pieces in found.items():
        assert all(any(kept[i][k : k + len(t)] == t for k in range(len(kept[i]))) for t in pieces)
    counts = [r.counts[s] for r in reports["encode"] for s in r.counts]
    assert all(c.balanced for c in counts)
    assert sum(c.documents_out for c in counts) == manifest.documents == len(kept)
    assert sum(c.dropped.get("shorter_than_bucket", 0) for c in counts) == len(whole) - len(kept)
    # In pieces: a chunk of tokens, of rows, of labels at a time.
    for step, most in (("TOKENS", 9), ("ROWS", 2), ("MASKED", 5)):
        monkeypatch.setattr(packed, step, most)
    run_stage(tmp_path / "chunks", shards, pack_tokens(path, pack, order=order, max_tokens=40))
    assert file_bytes(tmp_path / "chunks" / "out") == file_bytes(out)


def test_what_is_left_out_is_said(tmp_path: Path, shards: dict[str, Path]) -> None:
    path = write_tokenizer(tmp_path / "tokenizer.json")
    (report,) = run_stage(tmp_path, shards, pack_tokens(path, Pack(length=10, long_documents="truncate")))["manifest"]
    assert report.warnings == [f"{tmp_path / 'out'}: packing left out 21 tokens (8.20%) of 1 document, as asked for"]
    assert report.details == {
        "form": "uint8, vocabulary of 14",
        "packed": {
            "by": "best_fit",
            "tokens": 240,
            "instances": 24,
            "padding": 5,
            "fragmented": 0,
            "truncated": 1,
            "dropped_tokens": 21,
        },
    }
    manifest = read_manifest(tmp_path / "out")
    assert manifest.packed is not None
    assert (manifest.packed.truncated, manifest.packed.dropped_tokens) == (1, 21)
    assert sum(f.tokens - f.padding for f in manifest.files) == manifest.tokens - 21


def test_the_pad_token_may_be_eos_for_the_mask_tells_them_apart(tmp_path: Path) -> None:
    path = write_tokenizer(tmp_path / "tokenizer.json")
    shard = write_shard(tmp_path / "a.jsonl", [("x", "a b")])
    tokens = Tokens(tokenizer=Tokenizer(path=str(path), eos=1, pad=1), pack=Pack(length=5))
    run_stage(tmp_path, {"s/a": shard}, tokens)
    assert read(tmp_path / "out" / "part-00000.npy").tolist() == [4, 5, 1, 1, 1]
    assert read(tmp_path / "out" / "part-00000.mask").tolist() == [1, 1, 1, 0, 0]


@pytest.mark.parametrize(
    ("tokenizer", "pack", "options", "text"),
    [
        (
            {},
            Pack(length=8),
            {},
            r"\$\.stages\[0\]\.tokens\.tokenizer\.pad: expected a token to fill instances with, found none",
        ),
        (
            {"pad": 1},
            Pack(length=8, label_mask=False),
            {},
            r"\$\.stages\[0\]\.tokens\.pack\.label_mask: expected `true` where `pad` is `eos`",
        ),
        (
            {"pad": 2},
            Pack(length=8),
            {"max_bytes": 7},
            r"\$\.stages\[0\]\.tokens\.pack\.length: expected at most 7, .* found 8: an instance",
        ),
    ],
)
def test_what_only_the_tokenizer_can_tell(
    tmp_path: Path, tokenizer: dict[str, int], pack: Pack, options: dict[str, int], text: str
) -> None:
    path = write_tokenizer(tmp_path / "tokenizer.json")
    shard = write_shard(tmp_path / "a.jsonl", [("x", "a b")])
    tokens = Tokens(tokenizer=Tokenizer(path=str(path), eos=1, **tokenizer), pack=pack, **options)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=text):
        run_stage(tmp_path, {"s/a": shard}, tokens)


def test_a_training_step_finds_its_documents(tmp_path: Path, shards: dict[str, Path]) -> None:
    path = write_tokenizer(tmp_path / "tokenizer.json")
    run_stage(tmp_path / "plain", shards, word_tokens(path))
    whole = documents(tmp_path / "plain" / "out")
    run_stage(tmp_path, shards, pack_tokens(path, Pack(length=8), max_tokens=64))
    instances = Instances(tmp_path / "out", 8)
    batch = np.arange(len(instances))[::-1]
    tokens, mask = instances.read(batch), instances.read_mask(batch)
    covered = np.zeros_like(mask)
    for span in documents_of(instances, batch):
        piece = tokens[span.row, span.start : span.end].tolist()
        assert not covered[span.row, span.start : span.end].any()
        covered[span.row, span.start : span.end] = True
        assert any(whole[span.id][k : k + len(piece)] == piece for k in range(len(whole[span.id])))
    assert np.array_equal(covered, mask)


def test_without_masks(tmp_path: Path, shards: dict[str, Path]) -> None:
    path = write_tokenizer(tmp_path / "tokenizer.json")
    run_stage(tmp_path, shards, pack_tokens(path, Pack(length=8, label_mask=False)))
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == [
        "manifest.json", "part-00000.csv.gz", "part-00000.npy", "tokenizer.json",
    ]  # fmt: skip
    assert read_manifest(tmp_path / "out").files[0].mask is None


def test_a_plan_that_no_longer_fits_is_an_error_and_writes_nothing(tmp_path: Path, shards: dict[str, Path]) -> None:
    path = write_tokenizer(tmp_path / "tokenizer.json")
    run_stage(tmp_path, shards, pack_tokens(path, Pack(length=8)))
    plan = read_parts(tmp_path / "scratch" / "01-tokens-parts" / "train.json")
    fewer = Parts(order=plan.order, shards=plan.shards[:2], parts=plan.parts, pack=plan.pack, pad=plan.pad)
    write_json(tmp_path / "plan.json", fewer)
    with pytest.raises(StageError, match=r"part-00000: expected 46 documents of .* the encoded shards have changed"):
        write_part(WritePart(plan=str(tmp_path / "plan.json"), number=0, directory=str(tmp_path / "new")), Context())
    assert not (tmp_path / "new").exists()


def test_files_of_another_packing_go(tmp_path: Path, shards: dict[str, Path]) -> None:
    path = write_tokenizer(tmp_path / "tokenizer.json")
    run_stage(tmp_path, shards, pack_tokens(path, PACKS["bucket"], max_tokens=60))
    report: Report = run_stage(tmp_path, shards, word_tokens(path))["manifest"][0]
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == [
        "manifest.json", "part-00000.csv.gz", "part-00000.npy", "tokenizer.json",
    ]  # fmt: skip
    assert "removed" in report.warnings[0]
    assert "bucket-2/part-00000.csv.gz to bucket-8/" in report.warnings[0]
