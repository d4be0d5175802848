"""Mistakes about a tokenizer are found before any work, and what it loses is counted and said."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import tokenizers
from tokenizers import models, pre_tokenizers

from dolma_pipeline.cli.main import main
from dolma_pipeline.config.load import decode
from dolma_pipeline.config.recipe import Recipe, Tokenizer
from dolma_pipeline.engine.manifest import read_manifest
from dolma_pipeline.engine.plan import make_plan
from dolma_pipeline.engine.run import RunOptions, run_recipe
from dolma_pipeline.engine.verify import verify_run
from dolma_pipeline.errors import ConfigError, DataError
from dolma_pipeline.formats.documents import read_documents
from dolma_pipeline.report.summary import render_summary
from dolma_pipeline.tokens.encode import EncodeShard, ShardEncoder
from dolma_pipeline.tokens.engine import load_engine
from tests.tokens.test_coverage import byte_level
from tests.tokens.token_toys import write_byte_tokenizer, write_tokenizer

TEXTS = {"a": ["ab", "cd"], "b": ["ab", "fuzz", "z", "z"]}


@pytest.fixture(autouse=True)
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name, texts in TEXTS.items():
        path = Path("d/documents", f"{name}.jsonl")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(f"{json.dumps({'id': f'{name}{i}', 'text': t})}\n" for i, t in enumerate(texts)))
    write_tokenizer(Path("words.json"))
    write_byte_tokenizer(Path("bytes.json"))
    for name, without in (("lossy", "z"), ("whole", "")):
        tokenizer = byte_level(without)
        tokenizer.add_special_tokens(["<eos>"])
        Path(f"{name}.json").write_text(tokenizer.to_str())


def recipe(tokens: dict[str, Any], *before: dict[str, Any]) -> Recipe:
    sources = {"s": {"documents": "d/documents/*.jsonl"}}
    return decode(Recipe, {"name": "toy", "work_dir": "w", "sources": sources, "stages": [*before, {"tokens": tokens}]})


def mistakes(tokenizer: dict[str, Any], **more: Any) -> list[str]:
    """The lines of the error when the recipe, whose first stage is a mix, is planned."""
    with pytest.raises(ConfigError) as error:
        make_plan(recipe({"tokenizer": tokenizer, **more}, {"mix": {}}))
    return str(error.value).replace("$.stages[1].tokens", "$").splitlines()


def far(form: dict[str, Any]) -> dict[str, Any]:
    form["model"]["vocab"]["far"] = 70_000
    return form


def test_all_mistakes_at_once() -> None:
    assert mistakes({"path": "words.json", "bos": "<S>", "eos": 14, "pad": "[pad]"}, dtype="uint8") == [
        "$.tokenizer.bos: expected a token of the vocabulary, found `<S>`; did you mean `<s>`? "
        "(special tokens: `<s>`, `</s>`, `<pad>`)",
        "$.tokenizer.eos: expected an id from 0 to 13, found 14 (special tokens: `<s>` 0, `</s>` 1, `<pad>` 2)",
        "$.tokenizer.pad: expected a token of the vocabulary, found `[pad]`; did you mean `<pad>`? "
        "(special tokens: `<s>`, `</s>`, `<pad>`)",
    ]


@pytest.mark.parametrize(
    ("tokenizer", "more", "expected"),
    [
        (
            {"path": "far.json", "eos": "</s>"},
            {"dtype": "uint16"},
            "$.dtype: expected a type that holds the ids 0 to 70000 of the vocabulary, found `uint16` (0 to 65535); "
            "`uint32` would",
        ),
        (
            {"path": "bytes.json", "eos": "<eos>"},
            {"dtype": "uint8"},
            "$.dtype: expected a type that holds the ids 0 to 256 of the vocabulary, found `uint8` (0 to 255); "
            "`uint16` would",
        ),
        (
            {"path": "far.json", "eos": 100},
            {},
            "$.tokenizer.eos: expected an id that a token has, found 100, which none has; the nearest is 13, `j` "
            "(special tokens: `<s>` 0, `</s>` 1, `<pad>` 2)",
        ),
        (
            {"path": "words.json"},
            {},
            "$.tokenizer: expected `eos` or `bos`, found neither: without one nothing would part two documents "
            "(special tokens of this tokenizer: `<s>`, `</s>`, `<pad>`)",
        ),
        (
            {"path": "words.json", "eos": "</s>", "engine": "fast"},
            {},
            "$.tokenizer.engine: expected a tokenizer that the fast engine can do exactly, found words.json: expected "
            "a model of type BPE, found WordLevel; `auto` or `reference` would do",
        ),
        (
            {"path": "lossy.json", "eos": "<eos>"},
            {},
            "$.tokenizer.path: expected a vocabulary that spells every text, or has a token for what it lacks, found a "
            "vocabulary that lacks 1 of the 243 bytes of UTF-8 (`z`) and no such token: text that contains them loses "
            "them; another tokenizer would do, or `on_missing: warn` beside `path`, which counts the documents",
        ),
        (
            {"path": "stops.json", "eos": "a"},
            {},
            "$.tokenizer.path: expected a vocabulary that spells every text, or has a token for what it lacks, found a "
            "vocabulary of 2 tokens that cannot spell every text and no such token: encoding stops at the first text "
            "that it cannot spell; another tokenizer would do, or `on_missing: warn` beside `path`, which counts the "
            "documents",
        ),
        (
            {"train": {"vocab_size": 70_000}},
            {"dtype": "uint16"},
            "$.dtype: expected a type that holds the ids 0 to 69999 of the vocabulary, found `uint16` (0 to 65535); "
            "`uint32` would",
        ),
        (
            {"train": {"vocab_size": 300}, "eos": 300},
            {},
            "$.tokenizer.eos: expected an id from 0 to 299, as `vocab_size` says, found 300",
        ),
        (
            {"train": {}, "eos": "<|endoftxt|>"},
            {},
            "$.tokenizer.eos: expected one of the special tokens of the tokenizer that is to be trained "
            "(`<|endoftext|>`, `<|padding|>`), found `<|endoftxt|>`, which training would make by chance at most; "
            "name it in `train.special_tokens`; did you mean `<|endoftext|>`?",
        ),
        (
            {"train": {"special_tokens": ["<a>"]}},
            {},
            "$.tokenizer: expected `eos` or `bos`, found neither: without one nothing would part two documents "
            "(special tokens of this tokenizer: `<a>`)",
        ),
    ],
)
def test_mistakes(tokenizer: dict[str, Any], more: dict[str, Any], expected: str) -> None:
    Path("far.json").write_text(json.dumps(far(json.loads(Path("words.json").read_text()))))
    stops = tokenizers.Tokenizer(models.WordLevel({"a": 0, "b": 1}, unk_token="u"))
    stops.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    Path("stops.json").write_text(stops.to_str())
    assert mistakes(tokenizer, **more) == [expected]


def test_a_letter_of_the_bytes_may_end_documents_of_a_tokenizer_to_train() -> None:
    """They are in the vocabulary whatever the training finds."""
    assert make_plan(recipe({"tokenizer": {"train": {"vocab_size": 300}, "eos": "\u010a"}})).warnings == []


def test_an_id_that_training_did_not_reach_is_found_before_the_documents_are_encoded() -> None:
    with pytest.raises(ConfigError) as error:
        run_recipe(recipe({"tokenizer": {"train": {"vocab_size": 9000}, "eos": 8999}}), RunOptions(progress="none"))
    assert str(error.value).startswith("$.stages[0].tokens.tokenizer.eos: expected an id from 0 to ")
    assert not list(Path("w/ledger").glob("*encode*"))


def test_commands_name_their_own_keys(capsys: pytest.CaptureFixture[str]) -> None:
    common = ["tokens", "--documents", "d/documents/*.jsonl", "--destination", "out", "--tokenizer.name_or_path"]
    assert main([*common, "words.json", "--tokenizer.eos_token_id", "99"]) == 2
    assert capsys.readouterr().err == (
        "dolma: error: --tokenizer.eos_token_id: $.tokenizer.eos_token_id: expected an id from 0 to 13, found 99 "
        "(special tokens: `<s>` 0, `</s>` 1, `<pad>` 2)\n"
    )
    assert main([*common, "bytes.json", "--tokenizer.eos_token_id", "256", "--dtype", "uint8"]) == 2
    assert capsys.readouterr().err == (
        "dolma: error: --dtype: $.dtype: expected a type that holds the ids 0 to 256 of the vocabulary, found `uint8` "
        "(0 to 255); `uint16` would\n"
    )
    assert main(["fertility", "--documents", "d/documents/*.jsonl", "--tokenizer", "words.json", "d"]) == 2
    assert capsys.readouterr().err.startswith(
        "dolma: error: --tokenizer: $.tokenizer[1]: tokenizer `d`: expected a tok"
    )


def test_dolmas_command_warns_and_counts(capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--tokenizer.name_or_path", "lossy.json", "--tokenizer.eos_token_id", "255"]
    assert main(["tokens", "--documents", "d/documents/*.jsonl", "--destination", "out", *options]) == 0
    told = capsys.readouterr().err.splitlines()
    assert told[0] == (
        "warning: tokenizer `lossy.json` has a vocabulary that lacks 1 of the 243 bytes of UTF-8 (`z`): text that "
        "contains them loses them"
    )
    assert told[-1] == (
        "01-tokens: 3 documents have text that the vocabulary lacks (left out of the tokens); the first is "
        f"{Path('d/documents/b.jsonl')}:2"
    )


@pytest.mark.parametrize("processes", [1, 2])
def test_the_account_of_text_that_was_lost(processes: int, capsys: pytest.CaptureFixture[str]) -> None:
    lossy = recipe({"tokenizer": {"path": "lossy.json", "eos": "<eos>", "on_missing": "warn"}}, {"mix": {}})
    manifest = run_recipe(lossy, RunOptions(processes=processes, progress="quiet"))
    said = [line for line in capsys.readouterr().err.splitlines() if "lacks" in line]
    assert said == [
        "02-tokens: 3 documents have text that the vocabulary lacks (left out of the tokens); the first is "
        f"{Path('w').absolute()}/mixed/mixed/documents/s/b.jsonl.zst:2"
    ]
    counts = manifest.stages[1].counts["s"]
    assert counts.lacking == {"left out of the tokens": 3}
    assert counts.first_lacking == "mixed/mixed/documents/s/b.jsonl.zst:2"
    assert counts.dropped == {"empty": 2}
    assert manifest.warnings[1].startswith("tokenizer `lossy.json` has a vocabulary that lacks 1 of the 243 bytes")
    assert verify_run(Path("w")) == []
    assert (
        "\n  documents with text that the vocabulary lacks: 3 left out of the tokens; the first is "
        "mixed/mixed/documents/s/b.jsonl.zst:2\n" in render_summary(Path("w"))
    )
    again = run_recipe(lossy, RunOptions(progress="quiet"))
    assert again == manifest
    assert said == [line for line in capsys.readouterr().err.splitlines() if "lacks" in line]


def test_a_token_for_what_is_lacking_is_counted_without_a_warning_before() -> None:
    manifest = run_recipe(recipe({"tokenizer": {"path": "words.json", "eos": "</s>"}}), RunOptions(progress="none"))
    assert manifest.stages[0].counts["s"].lacking == {"`[unk]` in its place": 6}
    assert not any("vocabulary" in w and "lacks" in w for w in manifest.warnings)


def test_nothing_is_said_of_a_vocabulary_of_all_bytes() -> None:
    manifest = run_recipe(recipe({"tokenizer": {"path": "whole.json", "eos": "<eos>"}}), RunOptions(progress="none"))
    assert manifest.stages[0].counts["s"].lacking == {}
    assert manifest.warnings == []
    assert read_manifest(Path("w")) == manifest


def test_a_document_at_which_encoding_stops_is_named() -> None:
    stops = tokenizers.Tokenizer(models.WordLevel({"ab": 0, "cd": 1}, unk_token="u"))
    Path("stops.json").write_text(stops.to_str())
    tokenizer = {"path": "stops.json", "eos": "cd", "on_missing": "warn"}
    with pytest.raises(
        DataError, match=r"b\.jsonl:2: stops\.json: expected a vocabulary that spells the text 'fuzz', "
    ):
        run_recipe(recipe({"tokenizer": tokenizer}), RunOptions(progress="none"))


def fertility(*tokenizers: str) -> Recipe:
    sources = {"s": {"documents": "d/documents/*.jsonl"}}
    stages = [{"fertility": {"tokenizers": list(tokenizers)}}]
    return decode(Recipe, {"name": "toy", "work_dir": "f", "sources": sources, "stages": stages})


def test_fertility_warns_of_a_vocabulary_that_loses_text_and_names_where_the_library_stops() -> None:
    manifest = run_recipe(fertility("lossy.json", "words.json"), RunOptions(progress="none"))
    assert [w for w in manifest.warnings if "lacks" in w] == [
        "tokenizer `lossy.json` has a vocabulary that lacks 1 of the 243 bytes of UTF-8 (`z`): text that contains them "
        "loses them"
    ]
    stops = tokenizers.Tokenizer(models.WordLevel({"ab": 0, "cd": 1}, unk_token="u"))
    Path("stops.json").write_text(stops.to_str())
    with pytest.raises(
        DataError, match=r"b\.jsonl:2: .*stops\.json: expected a vocabulary that spells the text 'fuzz'"
    ):
        run_recipe(fertility("stops.json"), RunOptions(progress="none"))


def test_a_file_that_is_no_tokenizer_is_found_before_any_work() -> None:
    Path("none.json").write_text("{}")
    with pytest.raises(ConfigError, match=r"^\$\.stages\[0\]\.fertility\.tokenizers\[1\]: none\.json: expected a tok"):
        make_plan(fertility("words.json", "none.json"))
    with pytest.raises(ConfigError, match=r"^\$\.stages\[1\]\.tokens\.tokenizer\.path: none\.json: expected a tokeniz"):
        make_plan(recipe({"tokenizer": {"path": "none.json", "eos": 0}}, {"mix": {}}))


def test_programs_are_told_of_lost_text(capsys: pytest.CaptureFixture[str]) -> None:
    lossy = recipe({"tokenizer": {"path": "lossy.json", "eos": "<eos>", "on_missing": "warn"}})
    run_recipe(lossy, RunOptions(progress="json"))
    events = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert events[-1] == {
        "event": "warning",
        "message": "01-tokens: 3 documents have text that the vocabulary lacks (left out of the tokens); the first is "
        "d/documents/b.jsonl:2",
    }


def test_the_first_document_is_of_the_first_batch_that_has_one(tmp_path: Path) -> None:
    config = EncodeShard(
        source="s", path="x.jsonl", label="s/x", output=str(tmp_path / "x"), tokenizer_path="lossy.json", seed=1,
        tokenizer=Tokenizer(path="lossy.json", eos="<eos>"),
    )  # fmt: skip
    encoder = ShardEncoder(config, load_engine("lossy.json"))
    for name in ("a", "b", "a", "b"):
        encoder.add(next(iter(read_documents(f"d/documents/{name}.jsonl"))))
    assert (encoder.lacking, encoder.first_lacking) == (6, "x.jsonl:2")
    Path("z.jsonl").write_text('{"id": "z", "text": "z"}\n')
    encoder.add(next(iter(read_documents("z.jsonl"))))
    assert (encoder.lacking, encoder.first_lacking) == (7, "x.jsonl:2")
    encoder.abort()
