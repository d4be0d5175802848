"""Manifests: every field, the files they list and no others."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest

from dolma_pipeline import _native
from dolma_pipeline.config.recipe import Pack, Tokenizer, Tokens
from dolma_pipeline.engine.task import Context
from dolma_pipeline.errors import DataError
from dolma_pipeline.tokens.amount import Amount
from dolma_pipeline.tokens.manifest import TokenFile, WriteManifest, read_manifest, write_manifest
from tests.tokens.token_toys import letters, run_stage, word_tokens, write_shard, write_tokenizer

EMPTY = Tokenizer(path="given", eos="</s>")


def test_all_of_it(tmp_path: Path) -> None:
    path = write_tokenizer(tmp_path / "tok" / "tokenizer.json", extra=300)
    shards = {
        "s/a": write_shard(tmp_path / "a.jsonl", [("x", "a b"), ("y", "é")], source="web"),
        "t/b": write_shard(tmp_path / "b.jsonl", [("z", "c"), ("u", " ")]),
    }
    tokens = Tokens(tokenizer=Tokenizer(path=str(path), eos="</s>", pad=2), order="input", max_tokens=5)
    run_stage(tmp_path, shards, tokens)
    out = tmp_path / "out"
    assert json.loads((out / "manifest.json").read_bytes()) == {
        "format": 1,
        "dtype": "uint16",
        "vocab_size": 314,
        "tokenizer": {"path": "tokenizer.json", "blake3": _native.blake3_file(str(path))},
        "bos_token_id": None,
        "eos_token_id": 1,
        "pad_token_id": 2,
        "documents": 3,
        "tokens": 7,
        "text_bytes": 6,
        "files": [
            {
                "path": f"part-0000{n}.npy",
                "index": f"part-0000{n}.csv.gz",
                "tokens": t,
                "documents": d,
                "bytes": 2 * t,
                "blake3": _native.blake3_file(str(out / f"part-0000{n}.npy")),
            }
            for n, d, t in ((0, 2, 5), (1, 1, 2))
        ],
        "sources": {
            "t": {"documents": 1, "tokens": 2, "text_bytes": 1},
            "web": {"documents": 2, "tokens": 5, "text_bytes": 5},
        },
    }
    assert (out / "tokenizer.json").read_bytes() == path.read_bytes()
    assert read_manifest(out).tokens == 7


def test_what_packing_adds(tmp_path: Path) -> None:
    path = write_tokenizer(tmp_path / "tokenizer.json")
    shard = {"s/a": write_shard(tmp_path / "a.jsonl", [("x", "a b c"), ("y", "d"), ("z", "e f g h i j a b c")])}
    tokens = Tokens(tokenizer=Tokenizer(path=str(path), eos="</s>", pad=2), pack=Pack(length=7), order="input")
    run_stage(tmp_path, shard, tokens)
    out = tmp_path / "out"
    found = json.loads((out / "manifest.json").read_bytes())
    assert found["packed"] == {
        "by": "best_fit",
        "length": 7,
        "long_documents": "fragment",
        "min_length": 256,
        "rest": "pad",
        "mask_first": False,
        "instances": 3,
        "padding": 5,
        "fragmented": 1,
        "truncated": 0,
        "dropped_tokens": 0,
    }
    assert found["tokens"] == 16
    assert found["files"] == [
        {
            "path": "part-00000.npy",
            "index": "part-00000.csv.gz",
            "tokens": 21,
            "documents": 3,
            "bytes": 21,
            "blake3": _native.blake3_file(str(out / "part-00000.npy")),
            "instance_length": 7,
            "padding": 5,
            "mask": "part-00000.mask",
            "mask_blake3": _native.blake3_file(str(out / "part-00000.mask")),
        }
    ]


def test_files_of_an_earlier_run_go_and_those_of_others_stay(tmp_path: Path) -> None:
    path = write_tokenizer(tmp_path / "tokenizer.json")
    shard = {"s/a": write_shard(tmp_path / "a.jsonl", letters(10))}
    first = run_stage(tmp_path, shard, word_tokens(path, max_tokens=8))
    assert first["manifest"][0].warnings == []
    assert len(first["write"]) > 3
    (tmp_path / "out" / "part-0-00000.npy").write_bytes(b"Dolma's")
    report = run_stage(tmp_path, shard, word_tokens(path))["manifest"][0]
    stale = 2 * len(first["write"]) - 2
    last = f"part-{len(first['write']) - 1:05d}.npy"
    assert report.warnings == [
        f"{tmp_path / 'out'}: removed {stale} files of an earlier run, part-00001.csv.gz to {last}"
    ]
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == [
        "manifest.json", "part-0-00000.npy", "part-00000.csv.gz", "part-00000.npy", "tokenizer.json",
    ]  # fmt: skip


def test_no_document_is_said_and_makes_no_file(tmp_path: Path) -> None:
    path = write_tokenizer(tmp_path / "tokenizer.json")
    shard = write_shard(tmp_path / "a.jsonl", [("x", " ")])
    reports = run_stage(tmp_path, {"s/a": shard}, word_tokens(path, holdout=0.5))
    for split, report in zip(("train", "validation"), reports["manifest"], strict=True):
        out = tmp_path / "out" / split
        assert report.warnings == [f"{out}: no document, so there is no token file"]
        assert sorted(p.name for p in out.iterdir()) == ["manifest.json", "tokenizer.json"]
        assert (read_manifest(out).documents, read_manifest(out).files) == (0, [])


def test_counts_that_do_not_agree_are_an_error(tmp_path: Path) -> None:
    path = write_tokenizer(tmp_path / "tokenizer.json")
    file = TokenFile(path="part-00000.npy", index="part-00000.csv.gz", tokens=4, documents=2, bytes=4, blake3="")
    sources = {"s": Amount(documents=3, tokens=6, text_bytes=3)}
    config = WriteManifest(
        directory=str(tmp_path / "out"), tokenizer_path=str(path), tokenizer=EMPTY, files=[file], sources=sources
    )
    with pytest.raises(DataError) as error:
        write_manifest(config, Context())
    assert str(error.value) == (
        f"{tmp_path / 'out'}: expected token files of 3 documents and 6 tokens, as were encoded, "
        "found 2 documents and 4 tokens"
    )
    assert not (tmp_path / "out" / "manifest.json").exists()


def test_reading_what_is_no_manifest(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"expected token files with a manifest\.json, found none"):
        read_manifest(tmp_path)
    path = write_tokenizer(tmp_path / "tokenizer.json")
    run_stage(tmp_path, {"s/a": write_shard(tmp_path / "a.jsonl", letters(3))}, word_tokens(path))
    manifest = msgspec.structs.replace(read_manifest(tmp_path / "out"), format=2)
    (tmp_path / "out" / "manifest.json").write_bytes(msgspec.json.encode(manifest))
    with pytest.raises(DataError, match=r"json: expected format 1, found 2: it was written by a later version"):
        read_manifest(tmp_path / "out")


@pytest.mark.parametrize(
    ("key", "value", "text"),
    [
        ("dtype", "uint17", r"\$.dtype: expected one of uint8, uint16, uint32, uint64, found `uint17`"),
        ("vocab_size", -4, r"\$.vocab_size: expected 1 or more, found -4"),
        ("eos_token_id", 314, r"\$.eos_token_id: expected an id from 0 to 313, found 314"),
        ("dtype", "uint32", r"\$.files\[0\]: expected 12 bytes for 3 tokens of uint32, found 6"),
    ],
)
def test_what_was_changed_by_hand(key: str, value: object, text: str, tmp_path: Path) -> None:
    path = write_tokenizer(tmp_path / "tok" / "tokenizer.json", extra=300)
    run_stage(tmp_path, {"s/a": write_shard(tmp_path / "a.jsonl", [("x", "a b")])}, word_tokens(path))
    manifest = tmp_path / "out" / "manifest.json"
    manifest.write_text(json.dumps(json.loads(manifest.read_bytes()) | {key: value}))
    with pytest.raises(DataError, match=text):
        read_manifest(tmp_path / "out")


def test_the_manifest_of_a_run(tmp_path: Path) -> None:
    path = write_tokenizer(tmp_path / "tok" / "tokenizer.json")
    run_stage(tmp_path, {"s/a": write_shard(tmp_path / "a.jsonl", [("x", "a b")])}, word_tokens(path))
    (tmp_path / "manifest.json").write_text('{"format": 1, "recipe": {}, "stages": [], "files": [{"path": "a"}]}')
    with pytest.raises(DataError, match=r"found that of a run; there are others in .*/out$"):
        read_manifest(tmp_path)
