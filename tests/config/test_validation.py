"""What the types of a recipe cannot say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from dolma_pipeline.config.recipe import Recipe
from dolma_pipeline.config.validation import validate
from dolma_pipeline.errors import ConfigError
from tests.recipe_messages import TAG, TOKENS, messages


def test_a_whole_recipe_is_valid() -> None:
    mix = {
        "drop": {"short": "gopher_v2.word_count < 50"},
        "edit": [
            {"replace": "pii.EMAIL", "with": "x", "min_score": 0.1, "max_score": 0.2},
            {"cut": "paragraphs.duplicate"},
        ],
        "budget": {"tokens": 100, "weights": {"one": 1, "two": 0}},
    }
    dedupe = {"name": "paragraphs", "paragraphs": {}, "bloom": {"file": "f", "read_only": True}}
    train = {"model": "olmo-1m", "steps": 3}
    assert messages([TAG, {"dedupe": dedupe}, {"mix": mix}, TOKENS, {"train": train}]) == []


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ({}, "$.sources.s: expected exactly one of `documents`, `collect`, `tokens`, found none"),
        (
            {"documents": "d", "collect": "c"},
            "$.sources.s: expected exactly one of `documents`, `collect`, `tokens`, found `documents` and `collect`",
        ),
        ({"documents": []}, "$.sources.s.documents: expected at least one pattern, found none"),
        (
            {"documents": "d", "attributes": ["a", "a"]},
            "$.sources.s.attributes[1]: expected each experiment once, found `a` again",
        ),
    ],
)
def test_sources(source: dict[str, Any], message: str) -> None:
    assert messages([TAG], {"s": source}) == [message]


def test_names_become_directories() -> None:
    assert messages([TAG], {"../up": {"documents": "d"}}) == [
        '$.sources["../up"]: expected a name of letters, digits, `_`, `-`, `+` and `.`, found `../up`'
    ]
    assert messages([{"dedupe": {"name": "a b", "documents": {}}}]) == [
        "$.stages[0].dedupe.name: expected a name of letters, digits, `_`, `-`, `+` and `.`, found `a b`"
    ]


def test_unknown_taggers() -> None:
    (message,) = messages([{"tag": {"taggers": ["gopher_v2", "goper_v1"]}}])
    assert message.startswith(
        "$.stages[0].tag.taggers[1]: unknown tagger `goper_v1`; did you mean `gopher_v1`? (known: `"
    )
    assert "`char_length_v1`" in message


def test_taggers_of_a_module(tmp_path: Path) -> None:
    module = tmp_path / "mine.py"
    module.write_text(
        "from dolma_pipeline.taggers import tagger\n\n\n"
        "@tagger('validation_test_v1')\ndef count(text: str) -> float:\n    return 1.0\n"
    )
    tag = {"taggers": ["validation_test_v1"], "tagger_modules": [str(module)]}
    assert messages([{"tag": tag}]) == []
    missing = tmp_path / "none.py"
    assert messages([{"tag": {**tag, "taggers": ["x_v1"], "tagger_modules": [str(missing)]}}]) == [
        "$.stages[0].tag: tagger_modules[0]: expected a module name, a .py file or the directory of a package, found "
        f"no file `{missing}`"
    ]


def test_a_destination_takes_jsonl() -> None:
    sources = {"s": {"documents": "d", "destination": "out"}}
    assert messages([TAG], sources) == [
        "$.stages[0].tag.format: expected a JSONL format for the `destination` of source `s`, found `parquet`; "
        "`jsonl.gz` is Dolma's"
    ]


def test_all_at_once_and_placed() -> None:
    recipe = msgspec.convert(
        {"name": "t", "work_dir": "w", "sources": {"s": {}}, "stages": [{"mix": {"budget": {}}}]}, Recipe
    )
    with pytest.raises(ConfigError) as error:
        validate(recipe, lambda path: f"line of {path[-1]}")
    assert [line.split(":")[0] for line in str(error.value).splitlines()] == ["line of s", "line of budget"]


def test_attributes_that_a_source_has_are_not_written_again() -> None:
    sources = {"s": {"documents": "d", "attributes": ["old", "base"]}}
    assert messages([TAG, {"dedupe": {"name": "old", "documents": {}}}], sources) == [
        "$.stages[0].tag.experiment: expected a name of its own, found `base`, attributes that "
        "$.sources.s.attributes[1] reads",
        "$.stages[1].dedupe.name: expected a name of its own, found `old`, attributes that "
        "$.sources.s.attributes[0] reads",
    ]
