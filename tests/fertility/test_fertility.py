"""The stage and the command: exact figures on toy documents, the same bytes however they are made."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from dolma_pipeline.cli.main import main
from dolma_pipeline.config.load import decode
from dolma_pipeline.config.recipe import Recipe
from dolma_pipeline.engine.manifest import RunManifest
from dolma_pipeline.engine.plan import make_plan
from dolma_pipeline.engine.run import RunOptions, run_recipe
from dolma_pipeline.engine.verify import verify_run
from dolma_pipeline.errors import ConfigError, StageError
from dolma_pipeline.fertility.result import Counts, Fertility, TokenCounts
from dolma_pipeline.io.atomic import read_json
from tests.tokens.token_toys import write_byte_tokenizer

ROWS: dict[str, list[dict[str, Any]]] = {
    "a": [
        {"id": "a0", "text": "ab cd", "metadata": {"lang": "en"}},
        {"id": "a1", "text": "é", "metadata": {"lang": "fr"}},
        {"id": "a2", "text": "  "},
    ],
    "b": [{"id": "b0", "text": "xyz.", "metadata": {"lang": "en"}}, {"id": "b1", "text": "no"}],
}


@pytest.fixture(autouse=True)
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name, rows in ROWS.items():
        path = Path(name, "documents", "0.jsonl")
        path.parent.mkdir(parents=True)
        path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    write_byte_tokenizer(Path("bytes", "tokenizer.json"))


def recipe(stages: list[dict[str, Any]], work_dir: str = "w") -> Recipe:
    sources = {name: {"documents": f"{name}/documents/*.jsonl"} for name in ROWS}
    return decode(Recipe, {"name": "toy", "work_dir": work_dir, "sources": sources, "stages": stages})


def run(stages: list[dict[str, Any]], work_dir: str = "w", processes: int = 1) -> tuple[Fertility, RunManifest]:
    manifest = run_recipe(recipe(stages, work_dir), RunOptions(processes=processes, progress="none"))
    return read_json(Path(work_dir, "fertility", "fertility.json"), Fertility), manifest


def test_exact_figures_by_source_and_language() -> None:
    found, manifest = run([{"fertility": {"tokenizers": ["bytes"], "by": "metadata.lang", "baseline": "en"}}])
    assert [t.name for t in found.tokenizers] == ["bytes"]
    assert found.tokenizers[0].vocab_size == 257
    assert list(found.sources) == ["a", "b"]
    assert list(found.groups) == ["en", "(none)", "fr"]
    en = found.groups["en"]
    assert (en.documents, en.bytes, en.characters, en.words) == (2, 9, 9, 3)
    figures = msgspec.structs.asdict(en.tokenizers[0])
    assert figures == {
        "tokens": 9,
        "tokens_per_word": 3.0,
        "pieces_per_word": 7 / 3,
        "whole_words": 0.0,
        "bytes_per_token": 1.0,
        "characters_per_token": 1.0,
        "byte_tokens": 0.0,
        "vocabulary_used": 9,
        "to_best": 1.0,
        "to_baseline": 1.0,
    }
    fr = found.groups["fr"].tokenizers[0]
    assert (fr.tokens, fr.byte_tokens, fr.characters_per_token, fr.to_baseline) == (2, 1.0, 0.5, 2 / 3)
    assert (found.total.documents, found.total.tokenizers[0].tokens) == (4, 13)
    # a b c d x y z . n o, a space and the two bytes of é.
    assert found.total.tokenizers[0].vocabulary_used == 13
    counts = manifest.stages[0].counts
    assert (counts["a"].documents_in, counts["a"].documents_out, counts["a"].dropped) == (3, 2, {"empty": 1})
    assert verify_run("w") == []


def test_the_tokenizer_of_the_tokens_stage_beside_others(capsys: pytest.CaptureFixture[str]) -> None:
    stages: list[dict[str, Any]] = [
        {"tokens": {"tokenizer": {"train": {"vocab_size": 300, "weights": {"a": 1, "b": 2}}}}},
        {"fertility": {"tokenizers": ["bytes"]}},
    ]
    found, manifest = run(stages)
    assert [t.name for t in found.tokenizers] == ["trained", "bytes"]
    assert found.tokenizers[0].path == "tokenizer/01-tokens/tokenizer.json"
    assert (found.by, found.groups) == (None, {})
    trained, plain = found.total.tokenizers
    assert trained.to_best == 1.0
    assert plain.to_best == plain.tokens / trained.tokens
    assert manifest.stages[-1].kind == "fertility"
    page = Path("w/fertility/report.html").read_text()
    assert page.count("<h2>By source</h2>") == 1
    assert "By metadata" not in page
    assert "trained: " in page


def test_the_same_bytes_with_two_workers_and_a_rerun_does_nothing() -> None:
    stages = [{"fertility": {"tokenizers": ["bytes"], "by": "metadata.lang"}}]
    run(stages, "one")
    run(stages, "two", processes=2)
    for name in ("fertility.json", "report.html"):
        assert Path("one/fertility", name).read_bytes() == Path("two/fertility", name).read_bytes()
    before = Path("one/fertility/fertility.json").stat().st_mtime_ns
    run(stages, "one")
    assert Path("one/fertility/fertility.json").stat().st_mtime_ns == before


def test_a_sample_is_chosen_by_id() -> None:
    rows = [{"id": f"d{i}", "text": f"word{i}"} for i in range(400)]
    Path("a/documents/0.jsonl").write_text("".join(f"{json.dumps(r)}\n" for r in rows))
    found, manifest = run([{"fertility": {"tokenizers": ["bytes"], "sample": 0.25}}])
    documents = found.sources["a"].documents
    assert 70 < documents < 130
    assert manifest.stages[0].counts["a"].dropped == {"not sampled": 400 - documents}
    Path("a/documents/0.jsonl").write_text("".join(f"{json.dumps(r)}\n" for r in rows[::-1]))
    again, _ = run([{"fertility": {"tokenizers": ["bytes"], "sample": 0.25}}], "again")
    assert again.sources["a"] == found.sources["a"]


def test_by_the_best_score_of_a_tagger() -> None:
    rows = {
        "a": [{"en": 0.9, "de": 0.2}, {"en": 0.1, "de": 0.8}, {}],
        "b": [{"de": 0.5}, {"en": 0.0, "el": 0.1}],
    }
    for name, scores in rows.items():
        path = Path(name, "attributes", "lid", "0.jsonl")
        path.parent.mkdir(parents=True)
        lines = []
        for document, of in zip(ROWS[name], scores, strict=True):
            keys = {f"lid__toy_lang__{k}": [[0, len(document["text"]), s]] for k, s in of.items()}
            lines.append(json.dumps({"id": document["id"], "attributes": keys}) + "\n")
        path.write_text("".join(lines))
    command = ["fertility", "--documents", "[ab]/documents/*.jsonl", "--tokenizer", "bytes", "--attributes", "lid"]
    assert main([*command, "--by", "toy_lang", "--report", "r"]) == 0
    found = read_json(Path("r/fertility.json"), Fertility)
    assert {name: (row.documents, row.bytes) for name, row in found.groups.items()} == {
        "en": (1, 5), "de": (2, 6), "el": (1, 2),
    }  # fmt: skip
    with pytest.raises(ConfigError) as error:
        made = decode(
            Recipe,
            {
                "name": "toy",
                "work_dir": "v",
                "sources": {"a": {"documents": "a/documents/*.jsonl", "attributes": ["lid"]}},
                "stages": [{"fertility": {"tokenizers": ["bytes"], "by": "toy_lagn"}}],
            },
        )
        make_plan(made)
    assert str(error.value) == (
        "$.stages[0].fertility.by: unknown tagger `toy_lagn`; did you mean `toy_lang`?; a field is a path such as "
        "`metadata.lang`"
    )


def test_the_command_prints_tables_or_json(capsys: pytest.CaptureFixture[str]) -> None:
    write_byte_tokenizer(Path("other.json"))
    command = ["fertility", "--documents", "[ab]/documents/*.jsonl", "--tokenizer", "bytes", "other.json"]
    assert main([*command, "--by", "metadata.lang", "--baseline", "en"]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert lines[0][-6:] == ["ids", "used", "to", "best", "to", "en"]
    row = ["en", "2", "9", "B", "3", "bytes", "9", "3.000", "2.333", "0.0%", "1.000", "1.000", "0.00%", "3.5%"]
    assert [*row, "1.000", "1.000"] in lines
    assert ["other", "9", "3.000", "2.333", "0.0%", "1.000", "1.000", "0.00%", "3.5%", "1.000", "1.000"] in lines
    assert main([*command, "--json"]) == 0
    assert msgspec.json.decode(capsys.readouterr().out, type=Fertility).total.documents == 4
    hidden = [p.name for p in Path(".dolma").iterdir()]
    assert len(hidden) == 1


def test_counts_add_up() -> None:
    one = Counts(documents=1, bytes=2, characters=2, words=1, tokenizers=[TokenCounts(tokens=3, used=b"\x80")])
    whole = Counts(tokenizers=[])
    whole.add(one)
    whole.add(Counts(documents=2, tokenizers=[TokenCounts(tokens=4, pieces=2, used=b"\x01")]))
    assert whole == Counts(
        documents=3, bytes=2, characters=2, words=1, tokenizers=[TokenCounts(tokens=7, pieces=2, used=b"\x81")]
    )
    assert one.tokenizers[0].tokens == 3


@pytest.mark.parametrize(
    ("stage", "message"),
    [
        ({}, "$.stages[0].fertility: expected `tokenizers`, or a `tokens` stage before it, found neither to measure"),
        (
            {"tokenizers": ["bytes"], "baseline": "en"},
            "$.stages[0].fertility.baseline: expected it beside `by`, found it alone",
        ),
        (
            {"tokenizers": ["none.json"]},
            "$.stages[0].fertility.tokenizers[0]: tokenizer `none.json`: expected a tokenizer.json or a directory that "
            "holds one, found no none.json; download it first, or have one trained with `tokenizer: {train: {}}`",
        ),
    ],
)
def test_mistakes(stage: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as error:
        make_plan(recipe([{"fertility": stage}]))
    assert str(error.value) == message


def test_what_says_nothing_is_said_aloud() -> None:
    _, manifest = run([{"fertility": {"tokenizers": ["bytes"], "by": "metadata.language", "baseline": "en"}}])
    assert manifest.warnings == [
        "fertility: no document has `metadata.language` to group it by",
        "fertility: no document is of the baseline `en`, but of `(none)`",
    ]
    for name in ROWS:
        Path(name, "documents", "0.jsonl").write_text('{"id": "x", "text": " "}\n')
    with pytest.raises(StageError) as error:
        run([{"fertility": {"tokenizers": ["bytes"]}}], "v")
    assert str(error.value).endswith("/v/fertility: expected documents to measure tokenizers on, found none with text")
    rows = [{"id": f"d{i}", "text": "a", "n": f"{i}"} for i in range(1001)]
    Path("a/documents/0.jsonl").write_text("".join(f"{json.dumps(r)}\n" for r in rows))
    with pytest.raises(StageError) as error:
        run([{"fertility": {"tokenizers": ["bytes"], "by": "n"}}], "u")
    assert str(error.value) == (
        "a/documents/0.jsonl: expected a field of few values to group documents by, such as a language, found more "
        "than 1000 of `n`"
    )
