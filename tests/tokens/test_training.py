"""Training a tokenizer: the same file every time, from a sample that can be accounted for."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from token_toys import Document, write_shard

from dolma_pipeline.errors import ConfigError, StageError
from dolma_pipeline.recipe import TrainTokenizer
from dolma_pipeline.task import Context
from dolma_pipeline.tokens import sample as sampling
from dolma_pipeline.tokens.engine import load_engine
from dolma_pipeline.tokens.sample import SampledShard, Sampling, sample
from dolma_pipeline.tokens.training import TrainOnShards, train_tokenizer

NOUNS = ("river", "mountain", "harbour", "lantern", "orchard", "ünïcode", "数据", "\U0001f600")


def prose(count: int, first: int = 0) -> list[Document]:
    """Documents of 12 words each, of which some come often."""
    return [
        (f"d{n}", " ".join(NOUNS[(n * k + k) % len(NOUNS)] + str(n % 7) for k in range(1, 13)))
        for n in range(first, first + count)
    ]


def config(tmp_path: Path, shards: list[list[Document]], **changes: object) -> TrainOnShards:
    found = [
        SampledShard(str(write_shard(tmp_path / f"{i}.jsonl", documents)), f"s/{i}")
        for i, documents in enumerate(shards)
    ]
    train = TrainTokenizer(vocab_size=300, sample_bytes=100_000)
    base = TrainOnShards(shards=found, train=train, output=str(tmp_path / "tokenizer.json"), seed=17)
    return msgspec.structs.replace(base, **changes)


def sampled(settings: TrainOnShards, sample_bytes: int) -> list[tuple[str, int]]:
    drawn = sample(
        Sampling(
            shards=settings.shards,
            sample_bytes=sample_bytes,
            weights=settings.train.weights,
            seed=settings.seed,
            holdout=settings.holdout,
        )
    )
    return [(text, size) for _, text, size in drawn]


def test_special_tokens_first_then_bytes_then_merges_and_every_text_comes_back(tmp_path: Path) -> None:
    report = train_tokenizer(config(tmp_path, [prose(40)]), Context())
    assert report.details["vocab_size"] == 300
    assert report.warnings == []
    engine = load_engine(str(tmp_path))
    assert (engine.token_id("<|endoftext|>"), engine.token_id("<|padding|>")) == (0, 1)
    assert sorted(v for k, v in engine.vocabulary().items() if len(k) == 1) == list(range(2, 258))
    for text in ("river0 数据1", "never seen: \x00\x7f\u2028 e\u0301 \U0001f9ea", "  two  spaces\n\n"):
        assert engine.decode(engine.encode_batch([text])[0].tolist()) == text
    assert len(engine.encode_batch(["mountain"])[0]) < 8


def test_the_same_bytes_in_every_process_with_and_without_threads(tmp_path: Path) -> None:
    settings = config(tmp_path, [prose(60), prose(60, first=60)])
    (tmp_path / "config.json").write_bytes(msgspec.json.encode(settings))
    program = (
        "import sys, msgspec\n"
        "from dolma_pipeline.task import Context\n"
        "from dolma_pipeline.tokens import engine, training\n"
        "if sys.argv[2] == 'threads': training.one_thread = lambda: None\n"
        "config = msgspec.json.decode(open(sys.argv[1], 'rb').read(), type=training.TrainOnShards)\n"
        "training.train_tokenizer(config, Context())\n"
    )
    found = []
    for mode, environment in (
        ("one", {"PYTHONHASHSEED": "1"}),
        ("threads", {"PYTHONHASHSEED": "2", "TOKENIZERS_PARALLELISM": "true"}),
    ):
        command = [sys.executable, "-c", program, str(tmp_path / "config.json"), mode]
        subprocess.run(command, check=True, env={**os.environ, **environment}, timeout=120)
        found.append((tmp_path / "tokenizer.json").read_bytes())
        (tmp_path / "tokenizer.json").unlink()
    assert found[0] == found[1]
    assert len(json.loads(found[0])["model"]["merges"]) == 300 - 258


def test_the_sample_is_of_equal_shares_and_exactly_as_long_as_asked(tmp_path: Path) -> None:
    settings = config(tmp_path, [[(f"{s}{n}", s * 10) for n in range(200)] for s in "ab"])
    drawn = sampled(settings, 200_000)
    assert sum(size for _, size in drawn) == 2 * 2000
    text = "".join(t for t, _ in drawn)
    assert (text.count("a"), text.count("b")) == (2000, 2000)


def test_what_a_small_shard_lacks_the_others_give(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sampling, "SHARD_BYTES", 1)
    settings = config(tmp_path, [[("x", "a" * 30)], [(f"{n}", "b" * 7) for n in range(200)]])
    drawn = sampled(settings, 700)
    text = "".join(t for t, _ in drawn)
    assert (text.count("a"), text.count("b")) == (30, 670)
    # The document at the end of the share is cut to it.
    assert sorted(size for _, size in drawn)[:2] == [5, 7]


def test_the_sample_is_the_documents_of_the_smallest_keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sampling, "SHARD_BYTES", 1)
    documents = prose(50)
    forwards = sampled(config(tmp_path, [documents]), 1000)
    assert forwards == sampled(config(tmp_path, [documents[::-1]]), 1000)
    assert [t for t, _ in forwards[:-1]] != [t for _, t in documents[: len(forwards) - 1]]
    assert forwards != sampled(config(tmp_path, [documents], seed=18), 1000)
    larger = [t for t, _ in sampled(config(tmp_path, [documents]), 2000)]
    assert larger[: len(forwards) - 1] == [t for t, _ in forwards[:-1]]


def test_a_small_sample_opens_few_shards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sampling, "SHARD_BYTES", 10)
    settings = config(tmp_path, [[(f"{s}", chr(97 + s) * 10)] for s in range(8)])
    assert sorted(t[0] for t, _ in sampled(settings, 40)) == ["a", "c", "e", "g"]


def test_a_cut_is_never_within_a_character(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sampling, "SHARD_BYTES", 1)
    assert sampled(config(tmp_path, [[("x", "éé")]]), 3) == [("é", 2)]


def test_held_out_documents_are_not_trained_on(tmp_path: Path) -> None:
    settings = config(tmp_path, [prose(100)], holdout=0.5)
    whole = sampled(config(tmp_path, [prose(100)]), 10**9)
    half = sampled(settings, 10**9)
    assert len(whole) == 100
    assert 30 < len(half) < 70
    assert sampled(msgspec.structs.replace(settings, holdout=1.0), 10**9) == []


def test_too_little_text_is_said(tmp_path: Path) -> None:
    report = train_tokenizer(config(tmp_path, [[("x", "abab abab")]]), Context())
    found = report.details["vocab_size"]
    assert report.warnings == [
        f"{tmp_path / 'tokenizer.json'}: expected a vocabulary of 300, found only {found} in 9 bytes of text; "
        "give it more, or a smaller `vocab_size`"
    ]
    with pytest.raises(StageError) as error:
        train_tokenizer(config(tmp_path, [[("x", " ")], []]), Context())
    assert str(error.value) == (
        f"{tmp_path / 'tokenizer.json'}: expected text to train a tokenizer on, found none in 2 shards"
    )


def test_a_vocabulary_smaller_than_its_bytes_is_refused(tmp_path: Path) -> None:
    train = TrainTokenizer(vocab_size=300, special_tokens=[f"<{i}>" for i in range(45)])
    with pytest.raises(ConfigError) as error:
        train_tokenizer(config(tmp_path, [prose(1)], train=train), Context())
    assert str(error.value) == (
        "$.tokenizer.train.vocab_size: expected at least 301, for 256 bytes and 45 special tokens, found 300"
    )
