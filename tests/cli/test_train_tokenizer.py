"""`dolma train-tokenizer`: options to a training, and a run to a tokenizer and its figures."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from dolma_pipeline.cli.main import main
from dolma_pipeline.cli.train_tokenizer import TrainTokenizerConfig, to_training
from dolma_pipeline.config.load import decode
from dolma_pipeline.config.recipe import TrainTokenizer
from dolma_pipeline.errors import ConfigError
from dolma_pipeline.tokens.engine import load_engine
from dolma_pipeline.tokens.sample import SampledShard


@pytest.fixture(autouse=True)
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name, word in (("wiki", "river"), ("code", "lambda")):
        path = Path("data", name, "documents", "0.jsonl")
        path.parent.mkdir(parents=True)
        rows = [
            {"id": f"{name}{i}", "text": f"{word} {word}s {chr(97 + i % 26) * 3} {i * 77 % 90} " * 3}
            for i in range(100)
        ]
        path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))


def test_options_become_a_training() -> None:
    config = {
        "documents": ["data/*/documents/*.jsonl"],
        "output": "t",
        "vocab_size": "512",
        "weights": {"wiki": "3", "code": 1},
        "special_tokens": ["olmo"],
        "pre_tokenizer": "gpt4",
        "seed": "3",
    }
    made = to_training(decode(TrainTokenizerConfig, config, lax=True))
    assert made.train == TrainTokenizer(
        vocab_size=512, weights={"wiki": 3.0, "code": 1.0}, special_tokens="olmo", pre_tokenizer="gpt4"
    )
    path = "data/{}/documents/0.jsonl"
    assert made.shards == [SampledShard(path.format(s), path.format(s), s) for s in ("code", "wiki")]
    assert (made.output, made.seed, made.where) == ("t/tokenizer.json", 3, "$")
    plain = to_training(decode(TrainTokenizerConfig, {"documents": ["data/wiki/documents/*"], "output": "x.json"}))
    assert (plain.train, plain.output) == (TrainTokenizer(), "x.json")


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({}, "$.documents: expected globs of document files, found none; give it in the file or as `--documents`"),
        ({"documents": ["data/*/documents/*"]},
            "$.output: expected a directory for tokenizer.json, or a file `*.json`, found none; give it in the file or "
            "as `--output`"),
        ({"documents": ["data/*/documents/*"], "output": "t", "weights": {"wikis": 1, "code": 1}},
            "$.weights.wikis: unknown source `wikis`; did you mean `wiki`? (sources: `code`, `wiki`)"),
        ({"documents": ["data/*/documents/*"], "output": "t", "pre_tokenizer": "gpt3"},
            "$.pre_tokenizer: expected one of `gpt2`, `gpt4`, `qwen2`, found \"gpt3\"; did you mean `gpt4`?"),
    ],
)  # fmt: skip
def test_mistakes(config: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as error:
        to_training(decode(TrainTokenizerConfig, config, lax=True))
    assert str(error.value) == message


def test_a_run(capsys: pytest.CaptureFixture[str]) -> None:
    command = ["train-tokenizer", "--documents", "data/*/documents/*.jsonl", "--output", "t", "--vocab_size", "300"]
    assert main([*command, "--weights", "{wiki: 1, code: 3}", "--sample_bytes", "2000"]) == 0
    out, err = capsys.readouterr()
    lines = [line.split() for line in out.splitlines()]
    assert lines[0][:3] == ["t/tokenizer.json:", "300", "tokens;"]
    assert out.splitlines()[2] == "  special tokens: 0 <|endoftext|>, 1 <|padding|>"
    assert [line[0] for line in lines[-2:]] == ["code", "wiki"]
    assert [line[-1] for line in lines[-2:]] == ["75.0%", "25.0%"]
    assert err == ""
    engine = load_engine("t", choice="fast")
    assert len(engine.encode_batch(["lambda"])[0]) == 1
    assert Path("t/tokenizer.training.json").is_file()
    Path("c.yaml").write_text("documents: [data/wiki/documents/*]\noutput: t\nvocab_size: 300\nsample_bytes: 90\n")
    another = ["-c", "c.yaml", "train-tokenizer", "--special_tokens", "<a>", "<b>"]
    assert main(another) == 2
    assert (
        "c.yaml:2: $.output: expected a file that is not there yet, found t/tokenizer.json; token files made with it "
        "could not be read without it, so remove it yourself, or give another output"
    ) in capsys.readouterr().err
    Path("t/tokenizer.json").unlink()
    assert main(another) == 0
    assert "found only" in capsys.readouterr().err
    assert load_engine("t").special_tokens == ["<a>", "<b>"]
