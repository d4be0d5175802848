"""Training a tokenizer: the same file every time, from a sample that can be accounted for."""

from __future__ import annotations

import gzip
import json
import os
import re
import subprocess
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dolma_pipeline.config.recipe import TrainTokenizer
from dolma_pipeline.engine.task import Context
from dolma_pipeline.errors import ConfigError, StageError
from dolma_pipeline.tokens import sample as sampling
from dolma_pipeline.tokens.engine import load_engine
from dolma_pipeline.tokens.sample import SampledShard, Sampling, check_weights, fill, sample
from dolma_pipeline.tokens.specials import PRESETS
from dolma_pipeline.tokens.training import TrainingManifest, TrainOnShards, manifest_path, train_tokenizer
from tests.tokens.token_toys import Document, write_shard

NOUNS = ("river", "mountain", "harbour", "lantern", "orchard", "ünïcode", "数据", "\U0001f600")


def prose(count: int, first: int = 0) -> list[Document]:
    """Documents of 12 words each, of which some come often."""
    return [
        (f"d{n}", " ".join(NOUNS[(n * k + k) % len(NOUNS)] + str(n % 7) for k in range(1, 13)))
        for n in range(first, first + count)
    ]


def config(tmp_path: Path, shards: list[list[Document]], **changes: object) -> TrainOnShards:
    found = [
        SampledShard(str(write_shard(tmp_path / f"{i}.jsonl", documents)), f"s/{i}", "ab"[i % 2])
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
        "from dolma_pipeline.engine.task import Context\n"
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


def letters(drawn: list[tuple[str, int]]) -> dict[str, int]:
    text = "".join(t for t, _ in drawn)
    return {letter: text.count(letter) for letter in sorted(set(text))}


def weighted(tmp_path: Path, shards: list[list[Document]], **weights: float) -> TrainOnShards:
    base = config(tmp_path, shards)
    return msgspec.structs.replace(base, train=msgspec.structs.replace(base.train, weights=weights))


def test_weights_are_shares_of_sources_whatever_their_shards(tmp_path: Path) -> None:
    # Shards 0 and 2 are of source a, 1 of b.
    shards = [[(f"{c}{n}", c * 10) for n in range(200)] for c in "xyz"]
    assert letters(sampled(weighted(tmp_path, shards, a=3, b=1), 1600)) == {"x": 1200, "y": 400}
    assert letters(sampled(weighted(tmp_path, shards, a=1, b=0), 1000)) == {"x": 1000}


def test_a_small_sample_of_a_source_still_opens_more_shards_where_they_are_small(tmp_path: Path) -> None:
    shards = [[(f"{n}", chr(97 + n) * 10)] for n in range(8)]
    assert letters(sampled(config(tmp_path, shards), 75)) == dict.fromkeys("abcde", 9) | dict.fromkeys("fgh", 10)
    assert sum(letters(sampled(weighted(tmp_path, shards, a=1, b=1), 80)).values()) == 80


def test_a_source_with_too_little_gives_all_and_the_others_the_rest_which_is_said(tmp_path: Path) -> None:
    shards = [[(f"{n}", "x" * 10) for n in range(300)], [("y", "y" * 90)]]
    settings = weighted(tmp_path, shards, a=1, b=1)
    assert letters(sampled(settings, 1000)) == {"x": 910, "y": 90}
    train = msgspec.structs.replace(settings.train, sample_bytes=1000)
    report = train_tokenizer(msgspec.structs.replace(settings, train=train), Context())
    output = tmp_path / "tokenizer.json"
    assert report.warnings[0] == (
        f"{output}: expected 500 bytes of source `b` for its weight, found only 90; the others gave the rest"
    )
    train = msgspec.structs.replace(settings.train, sample_bytes=100_000)
    report = train_tokenizer(msgspec.structs.replace(settings, train=train), Context())
    assert report.warnings[:2] == [
        f"{output}: expected 50000 bytes of source `a` for its weight, found only 3000; nor had the others more",
        f"{output}: expected 50000 bytes of source `b` for its weight, found only 90; nor had the others more",
    ]


def test_the_sample_does_not_depend_on_how_files_are_compressed(tmp_path: Path) -> None:
    shards = [prose(300), prose(40, first=1000), prose(500, first=2000)]
    plain = config(tmp_path, shards)
    packed = [msgspec.structs.replace(s, path=f"{s.path}.gz") for s in plain.shards]
    for shard, other in zip(plain.shards, packed, strict=True):
        # The smallest file is made the largest.
        level = 0 if shard is plain.shards[1] else 9
        Path(other.path).write_bytes(gzip.compress(Path(shard.path).read_bytes(), level))
    again = msgspec.structs.replace(plain, shards=packed)
    assert sampled(plain, 30_000) == sampled(again, 30_000)
    train_tokenizer(plain, Context())
    first = (tmp_path / "tokenizer.json").read_bytes()
    train_tokenizer(again, Context())
    assert (tmp_path / "tokenizer.json").read_bytes() == first


def test_a_holdout_does_not_shorten_the_sample(tmp_path: Path) -> None:
    # Nine in ten of the documents that are read first are held out.
    documents = [(f"{n}", "x" * 100) for n in range(200_000)]
    settings = config(tmp_path, [documents], holdout=0.9)
    assert letters(sampled(settings, 1_500_000)) == {"x": 1_500_000}


def test_fill_shares_what_some_cannot_take() -> None:
    one = Fraction(1)
    assert fill(10, [one, one, 2 * one], [None, None, None]) == [2, 2, 6]
    assert fill(100, [one, one, 2 * one], [10, None, None]) == [10, 30, 60]
    assert fill(100, [one, one], [10, 20]) == [10, 20]
    assert fill(7, [one] * 3, [None] * 3) == [2, 2, 3]
    assert fill(0, [], []) == []


@given(
    total=st.integers(0, 10**6),
    each=st.lists(st.tuples(st.integers(0, 5), st.none() | st.integers(0, 10**5)), max_size=8),
)
def test_fill_gives_all_there_is_and_keeps_proportions(total: int, each: list[tuple[int, int | None]]) -> None:
    weights, limits = [Fraction(w) for w, _ in each], [m for _, m in each]
    parts = fill(total, weights, limits)
    able = [m for w, m in each if w]
    room = float("inf") if None in able else sum(m for m in able if m is not None)
    assert total - sum(parts) <= max(0, total - room) + len(each)
    assert all(p <= m for p, m in zip(parts, limits, strict=True) if m is not None)
    assert all(p == 0 for p, w in zip(parts, weights, strict=True) if w == 0)
    # Nobody below its limit has less for its weight than anybody else, but for rounding.
    for p, w, m in zip(parts, weights, limits, strict=True):
        if w and (m is None or p < m - len(each)):
            assert all(p / w + len(each) >= q / v - len(each) for q, v in zip(parts, weights, strict=True) if v)


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ({"a": 1, "c": 1}, "$.w.c: unknown source `c` (sources: `a`, `b`)"),
        ({"a": 1}, "$.w: expected a weight for every source, found none for `b`; 0 leaves a source out"),
        ({"a": -1, "b": 1}, "$.w.a: expected a weight >= 0, found -1"),
        ({"a": 0, "b": 0}, "$.w: expected a weight above 0, found none"),
    ],
)
def test_mistakes_in_weights(weights: dict[str, float], message: str) -> None:
    with pytest.raises(ConfigError) as error:
        check_weights(weights, ["a", "b"], "$.w")
    assert str(error.value) == message


def test_presets_have_the_ids_of_olmo(tmp_path: Path) -> None:
    # With a vocabulary of 50,280 the last three are 50,277 to 50,279.
    ids = {}
    for preset in ("olmo", "dolma_v1_5"):
        settings = config(tmp_path, [prose(40)], train=TrainTokenizer(vocab_size=300, special_tokens=preset))
        assert train_tokenizer(settings, Context()).warnings == []
        engine = load_engine(str(tmp_path), choice="fast")
        ids[preset] = {name: engine.token_id(name) for name in PRESETS[preset].names}
        assert engine.vocab_size == 300
        assert engine.special_tokens == sorted(
            ("<|endoftext|>", "<|padding|>"), key=lambda name: ids[preset][name] or 0
        )
    assert ids["olmo"] == {
        "<|endoftext|>": 0, "<|padding|>": 1, "|||EMAIL_ADDRESS|||": 297, "|||PHONE_NUMBER|||": 298,
        "|||IP_ADDRESS|||": 299,
    }  # fmt: skip
    assert ids["dolma_v1_5"] == {
        "|||IP_ADDRESS|||": 0, "<|padding|>": 1, "|||EMAIL_ADDRESS|||": 297, "|||PHONE_NUMBER|||": 298,
        "<|endoftext|>": 299,
    }  # fmt: skip


def test_masks_are_tokens_even_where_special_tokens_are_text(tmp_path: Path) -> None:
    names = ["|||EMAIL_ADDRESS|||", "<|endoftext|>"]
    train_tokenizer(
        config(tmp_path, [prose(40)], train=TrainTokenizer(vocab_size=300, special_tokens=names)), Context()
    )
    engine = load_engine(str(tmp_path), encode_special_tokens=True, choice="fast")
    assert engine.encode_batch(["|||EMAIL_ADDRESS|||"])[0].tolist() == [0]
    assert len(engine.encode_batch(["<|endoftext|>"])[0]) > 5


def test_nothing_is_learnt_of_special_tokens_that_stand_in_the_text(tmp_path: Path) -> None:
    documents = [(f"{n}", f"ask |||EMAIL_ADDRESS||| <|end|><|endoftext|> ask {n}") for n in range(100)]
    names = ["<|end|>", "<|endoftext|>", "|||EMAIL_ADDRESS|||"]
    train_tokenizer(
        config(tmp_path, [documents], train=TrainTokenizer(vocab_size=300, special_tokens=names)), Context()
    )
    learnt = [t for t in load_engine(str(tmp_path)).vocabulary() if t not in names and len(t) > 1]
    assert "ask" in learnt
    assert [t for t in learnt if re.search("EM|end|\\|", t)] == []


@pytest.mark.parametrize("normalizer", ["none", "nfc"])
@pytest.mark.parametrize("digits", ["as_rule", "apart", "single"])
@pytest.mark.parametrize("rule", ["gpt2", "gpt4", "qwen2"])
def test_the_fast_engine_takes_whatever_is_trained(tmp_path: Path, rule: Any, digits: Any, normalizer: Any) -> None:
    numbers = [(f"n{n}", f"in {n} {n * 7919} and cafe\u0301 don't {n}\n\n") for n in range(60)]
    train = TrainTokenizer(
        vocab_size=400, special_tokens="olmo", pre_tokenizer=rule, digits=digits, normalizer=normalizer
    )
    train_tokenizer(config(tmp_path, [prose(60), numbers], train=train), Context())
    engine = load_engine(str(tmp_path), choice="fast")
    assert engine.warning is None
    pieces = [engine.decode([i]) for i in engine.encode_batch(["in 1234567"])[0].tolist()]
    longest = {"gpt2": 7, "gpt4": 3, "qwen2": 1}[rule] if digits != "single" else 1
    assert "".join(pieces) == "in 1234567"
    assert max(sum(c.isdigit() for c in p) for p in pieces) <= longest
    spaced = digits == "as_rule" and rule == "gpt2"
    assert any(re.search(r" \d", t.replace("Ġ", " ")) for t in engine.vocabulary()) == spaced
    e = engine.decode(engine.encode_batch(["cafe\u0301"])[0].tolist())
    assert e == ("café" if normalizer == "nfc" else "cafe\u0301")


def test_rare_pairs_are_not_merged(tmp_path: Path) -> None:
    documents = [(f"{n}", "often often") for n in range(5)] + [("r", "rarely rarely")]
    for least, found in ((2, True), (3, False)):
        train = TrainTokenizer(vocab_size=300, min_frequency=least)
        train_tokenizer(config(tmp_path, [documents], train=train), Context())
        vocabulary = load_engine(str(tmp_path)).vocabulary()
        assert ("Ġoften" in vocabulary, any("rar" in t for t in vocabulary)) == (True, found)


def test_a_manifest_says_what_it_was_made_of(tmp_path: Path) -> None:
    settings = weighted(tmp_path, [prose(40), prose(40, first=40)], a=1, b=3)
    train = msgspec.structs.replace(settings.train, sample_bytes=1000)
    report = train_tokenizer(msgspec.structs.replace(settings, train=train), Context())
    path = manifest_path(tmp_path / "tokenizer.json")
    assert path == tmp_path / "tokenizer.training.json"
    found = msgspec.json.decode(path.read_bytes(), type=TrainingManifest)
    assert [o.path for o in report.outputs] == [str(tmp_path / "tokenizer.json"), str(path)]
    assert (found.tokenizer, found.blake3) == ("tokenizer.json", report.outputs[0].blake3)
    assert found.special_tokens == {"<|endoftext|>": 0, "<|padding|>": 1}
    assert [(s.wanted, s.bytes) for s in found.sample.values()] == [(250, 250), (750, 750)]
    assert found.settings == msgspec.structs.asdict(train)
    assert set(found.versions) == {"dolma_pipeline", "tokenizers"}
    other = msgspec.structs.replace(settings, train=train, seed=18)
    train_tokenizer(other, Context())
    assert msgspec.json.decode(path.read_bytes(), type=TrainingManifest).sample_blake2b != found.sample_blake2b


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
