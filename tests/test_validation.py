"""What the types of a recipe cannot say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from dolma_pipeline.errors import ConfigError
from dolma_pipeline.recipe import Recipe
from dolma_pipeline.validation import validate

SOURCES = {"one": {"documents": "one/documents/*"}, "two": {"documents": "two/documents/*"}}
TAG = {"tag": {"experiment": "base", "taggers": ["gopher_v2"]}}
TOKENS = {"tokens": {"tokenizer": {"path": "tokenizer.json"}}}


def messages(stages: list[dict[str, Any]], sources: dict[str, Any] = SOURCES) -> list[str]:
    recipe = msgspec.convert({"name": "t", "work_dir": "w", "sources": sources, "stages": stages}, Recipe)
    try:
        validate(recipe)
    except ConfigError as error:
        return str(error).splitlines()
    return []


@pytest.mark.parametrize("rate", [-0.1, 10_000.5, float("inf"), float("nan")])
def test_rates_that_no_sample_has(rate: float) -> None:
    with pytest.raises(msgspec.ValidationError, match=r"`float` [<>]= \d+\.0 - at `\$\.stages\[0\]\.reshard\.rates"):
        messages([{"reshard": {"rates": {"a": rate}}}], {"a": {"tokens": "t"}})


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


FILES = {"a": {"tokens": "x"}, "b": {"tokens": "y"}}
TRAIN = {"train": {"model": "olmo-1m", "steps": 3}}


@pytest.mark.parametrize(
    ("sources", "stages", "expected"),
    [
        (FILES, [{"reshard": {"rates": {"a": 0.5}, "tokens": {"b": 10}}}, TRAIN], []),
        ({"a": {"tokens": "x"}}, [{"convert": {"to": "dolma", "from": "megatron"}}, TRAIN], []),
        (
            {"a": {"tokens": "x"}},
            [{"convert": {"to": "megatron"}}, TRAIN],
            ["$.stages[1].train: expected a `tokens` stage before it to train on, found none"],
        ),
        (
            {"a": {"tokens": "x"}, "d": {"documents": "*"}},
            [{"reshard": {}}],
            ["$.sources.d: expected `tokens`, which is what `reshard` reads, found documents"],
        ),
        (
            FILES,
            [TAG],
            [
                "$.sources.a.tokens: expected a `reshard` or `convert` stage to read them, found none",
                "$.sources.b.tokens: expected a `reshard` or `convert` stage to read them, found none",
            ],
        ),
        (
            FILES,
            [TAG, {"reshard": {}}],
            [
                "$.stages[1].reshard: expected to be the first stage: token files of the sources are all it reads",
                "$.stages[0]: expected no stage beside `reshard` that reads documents, found `tag`",
            ],
        ),
        (
            FILES,
            [{"reshard": {"rates": {"a": 1, "c": 1, "b": 0.5}, "tokens": {"a": 1, "bb": 2}}}],
            [
                "$.stages[0].reshard.rates.c: unknown source `c` (sources: `a`, `b`)",
                "$.stages[0].reshard.tokens.bb: unknown source `bb`; did you mean `b`? (sources: `a`, `b`)",
                "$.stages[0].reshard.rates.a: expected `rates` or `tokens` of a source, found both",
            ],
        ),
        (
            FILES,
            [{"reshard": {"max_files": 1, "max_bytes": 1, "tokenizer": {"eos": 1}}}],
            [
                "$.stages[0].reshard: expected at most one of `max_bytes` and `max_files`, found both",
                "$.stages[0].reshard.tokenizer.path: expected the tokenizer that the files were made with, found none",
            ],
        ),
        (FILES, [{"reshard": {"pack": {"length": 256}}}, {"train": TRAIN["train"] | {"sequence_length": 256}}], []),
        (
            FILES,
            [{"reshard": {"pack": {"length": 64}, "max_files": 2, "max_tokens": 32}}, TRAIN],
            [
                "$.stages[0].reshard.pack.length: expected at most `max_tokens`, 32, found 64: an instance is in "
                "one file",
                "$.stages[0].reshard.max_files: expected none with `pack`: how many files that takes only "
                "packing can tell",
                "$.stages[1].train.sequence_length: expected the length that tokens are packed to, 64, found 256",
            ],
        ),
        (
            FILES,
            [{"convert": {"to": "megatron", "dtype": "uint16"}}],
            [
                "$.stages[0].convert: expected one source, found `a` and `b`; `reshard` joins them",
                "$.stages[0].convert.dtype: expected `dtype` with `to: dolma` alone: megatron has types of its own",
            ],
        ),
    ],
)
def test_token_files(sources: dict[str, Any], stages: list[dict[str, Any]], expected: list[str]) -> None:
    assert messages(stages, sources) == expected


def test_names_become_directories() -> None:
    assert messages([TAG], {"../up": {"documents": "d"}}) == [
        '$.sources["../up"]: expected a name of letters, digits, `_`, `-`, `+` and `.`, found `../up`'
    ]
    assert messages([{"dedupe": {"name": "a b", "documents": {}}}]) == [
        "$.stages[0].dedupe.name: expected a name of letters, digits, `_`, `-`, `+` and `.`, found `a b`"
    ]


@pytest.mark.parametrize(
    ("stages", "message"),
    [
        (
            [{}],
            "$.stages[0]: expected exactly one of `tag`, `dedupe`, `mix`, `stat`, `tokens`, `reshard`, "
            "`convert`, `fertility`, `classifier`, `train`, found none",
        ),
        (
            [TAG | TOKENS],
            "$.stages[0]: expected exactly one of `tag`, `dedupe`, `mix`, `stat`, `tokens`, `reshard`, "
            "`convert`, `fertility`, `classifier`, `train`, found `tag` and `tokens`",
        ),
        (
            [{"tag": {"taggers": ["char_length_v1", "c4_v2", "char_length_v1"]}}],
            "$.stages[0].tag.taggers[2]: expected each tagger once, found `char_length_v1` again",
        ),
        (
            [TAG, {"dedupe": {"name": "base", "documents": {}}}],
            "$.stages[1].dedupe.name: expected a name of its own, found `base`, which "
            "$.stages[0].tag.experiment writes too",
        ),
        (
            [{"tag": {"taggers": ["c4_v2"]}}, {"tag": {"taggers": ["gopher_v2", "c4_v2"]}}],
            "$.stages[1].tag.taggers[1]: expected a name of its own, found `c4_v2`, which "
            "$.stages[0].tag.taggers[0] writes too",
        ),
        (
            [{"dedupe": {"name": "d"}}],
            "$.stages[0].dedupe: expected exactly one of `documents`, `paragraphs`, found none",
        ),
        (
            [{"dedupe": {"name": "d", "documents": {"key": "$.text"}}}],
            "$.stages[0].dedupe.documents.key: expected a dotted path such as `text` or `metadata.url`, found `$.text`",
        ),
        (
            [{"dedupe": {"name": "d", "documents": {}, "bloom": {"read_only": True}}}],
            "$.stages[0].dedupe.bloom: expected the `file` of the filter that is to be read only, found none",
        ),
        (
            [{"mix": {"drop": {"x": " "}}}],
            "$.stages[0].mix.drop.x: expected an expression such as `gopher_v2.word_count < 50`, found none",
        ),
        (
            [{"mix": {"keep_attributes": True, "discard_fields": ["attributes"]}}],
            "$.stages[0].mix.keep_attributes: expected false where `discard_fields` names `attributes`, found true: "
            "nothing would be kept",
        ),
        ([{"mix": {"select": {}}}], "$.stages[0].mix.select: expected `include` or `exclude`, found neither"),
        (
            [{"mix": {"edit": [{"cut": "a", "replace": "b"}]}}],
            "$.stages[0].mix.edit[0]: expected exactly one of `replace`, `cut`, `span`, found `replace` and `cut`",
        ),
        (
            [{"mix": {"edit": [{"cut": "a", "with": "b"}]}}],
            "$.stages[0].mix.edit[0].with: expected `with` beside `replace` alone",
        ),
        (
            [{"mix": {"edit": [{"cut": "a", "replacement": "b"}]}}],
            "$.stages[0].mix.edit[0].replacement: expected `replacement` beside `span` alone",
        ),
        (
            [{"mix": {"edit": [{"cut": "a", "min_score": 0.5, "max_score": 0.5}]}}],
            "$.stages[0].mix.edit[0]: expected min_score < max_score, found 0.5 and 0.5: no span has such a score",
        ),
        (
            [{"mix": {"budget": {}}}],
            "$.stages[0].mix.budget: expected exactly one of `tokens`, `bytes`, found none",
        ),
        (
            [{"mix": {"budget": {"bytes": 5, "weights": {"one": -1, "two": 2}}}}],
            "$.stages[0].mix.budget.weights.one: expected a weight >= 0, found -1",
        ),
        (
            [{"mix": {"budget": {"bytes": 5, "weights": {"one": 0, "two": 0}}}}],
            "$.stages[0].mix.budget.weights: expected a weight above 0, found none",
        ),
        (
            [{"mix": {}}, {"mix": {}}],
            "$.stages[1].mix: expected a place of its own for its files, found that of $.stages[0].mix; give "
            "one another "
            "`name` or `destination`",
        ),
        (
            [TOKENS, TOKENS],
            "$.stages[1].tokens: expected a place of its own for its files, found that of $.stages[0].tokens; give one "
            "another `destination`",
        ),
        (
            [{"tokens": {"tokenizer": {"train": {"weights": {"one": 1, "two": 1, "onne": 1}}}}}],
            "$.stages[0].tokens.tokenizer.train.weights.onne: unknown source `onne`; did you mean `one`? (sources: "
            "`one`, `two`)",
        ),
        (
            [{"fertility": {}}],
            "$.stages[0].fertility: expected `tokenizers`, or a `tokens` stage before it, found neither to measure",
        ),
        (
            [{"tokens": {"tokenizer": {}}}],
            "$.stages[0].tokens.tokenizer: expected exactly one of `path`, `train`, found none",
        ),
        (
            [{"train": {"model": "m", "steps": 1}}, TOKENS],
            "$.stages[0].train: expected a `tokens` stage before it to train on, found none",
        ),
        (
            [{"stat": {"sweeps": [{"expression": "a.b < {t}", "at": [1.0, float("inf")]}]}}],
            "$.stages[0].stat.sweeps[0].at[1]: expected a number, found inf",
        ),
        (
            [{"stat": {}}, {"stat": {}}],
            "$.stages[1].stat: expected a place of its own for its files, found that of $.stages[0].stat; give one "
            "another `destination`",
        ),
        (
            [{"stat": {"destination": "out"}}, {"mix": {"destination": "./x/../out/"}}],
            "$.stages[1].mix: expected a place of its own for its files, found that of $.stages[0].stat; give one "
            "another `name` or `destination`",
        ),
        (
            [{"stat": {}}, {"mix": {"destination": "w/stat"}}],
            "$.stages[1].mix: expected a place of its own for its files, found that of $.stages[0].stat; give one "
            "another `name` or `destination`",
        ),
        (
            [TOKENS | {"tokens": TOKENS["tokens"] | {"destination": "./w"}}],
            "$.stages[0].tokens.destination: expected a directory of its own in the work_dir, found the work_dir `./w` "
            "itself, where the run keeps its own files",
        ),
        (
            [TOKENS, {"train": {"model": "m", "steps": 1, "name": "a"}}, {"train": {"model": "m", "steps": 2}}],
            "$.stages[2].train: expected a `name`, for there are several `train` stages, found none",
        ),
        (
            [TOKENS, *[{"train": {"model": "m", "steps": n, "name": "a"}} for n in (1, 2)]],
            "$.stages[2].train: expected a place of its own for its files, found that of $.stages[1].train; give one "
            "another `name`",
        ),
        (
            [TOKENS, {"train": {"model": "m", "steps": 1, "name": "../a"}}],
            "$.stages[1].train.name: expected a name of letters, digits, `_`, `-`, `+` and `.`, found `../a`",
        ),
        (
            [{"classifier": {"labels": {"a": {"sources": ["webb"]}, "b": {}}}}],
            "$.stages[0].classifier.labels.a.sources[0]: unknown source `webb` (sources: `one`, `two`)",
        ),
        (
            [{"classifier": {"labels": {"a": {}, "b": {}}, "target": "c"}}],
            "$.stages[0].classifier.target: unknown label `c` (known: `a`, `b`)",
        ),
        (
            [{"classifier": {"labels": {"a": {}, "b c": {}}}}],
            '$.stages[0].classifier.labels["b c"]: expected a name of letters, digits, `_`, `-`, `+` and `.`, '
            "found `b c`",
        ),
        (
            [{"classifier": {"labels": {"a": {}, "b": {}}, "fasttext": {"min_n": 3}}}],
            "$.stages[0].classifier.fasttext: expected min_n <= max_n, found 3 and 0",
        ),
        (
            [{"classifier": {"labels": {"a": {}, "b": {}}, "quantize": {"cutoff": 100}}}],
            "$.stages[0].classifier.quantize.cutoff: expected 0 or at least 256, found 100: a byte chooses among 256 "
            "centroids",
        ),
        (
            [{"classifier": {"labels": {"a": {}, "b": {}}, "quantize": {}, "destination": "m.bin"}}],
            "$.stages[0].classifier.destination: expected a file `*.ftz` for a quantised model, found `m.bin`",
        ),
    ],
)
def test_stages(stages: list[dict[str, Any]], message: str) -> None:
    assert messages(stages) == [message]


TRAINED = {"train": {"vocab_size": 400}}
GIVEN = {"path": "tokenizer.json", "eos": "</s>"}


@pytest.mark.parametrize(
    ("pack", "tokenizer", "expected"),
    [
        ({"length": 2048}, TRAINED, []),
        ({"length": 2048}, {**GIVEN, "pad": "</s>"}, []),
        ({"length": 1024, "by": "bucket", "rest": "drop"}, GIVEN, []),
        (
            {"length": 2048},
            GIVEN,
            [
                ": expected `tokenizer.pad`, a token to fill instances with, found none; that of `eos` would do, for "
                "the label mask keeps it from being learnt"
            ],
        ),
        (
            {"length": 1024, "by": "bucket"},
            {"train": {"special_tokens": ["<|endoftext|>"]}},
            [
                ": expected `tokenizer.pad`, a token to fill instances with, found none; that of `eos` would do, for "
                "the label mask keeps it from being learnt; or `rest: drop`"
            ],
        ),
        (
            {"length": 2048, "label_mask": False},
            {**GIVEN, "pad": "</s>"},
            [
                ".label_mask: expected `true` where `pad` is `eos`, found false: padding could not be told from ends "
                "of documents"
            ],
        ),
        (
            {"length": 1_000_000},
            TRAINED,
            [".length: expected at most `max_tokens`, 4000, found 1000000: an instance is in one file"],
        ),
        (
            {"length": 1000, "by": "bucket", "min_length": 48},
            TRAINED,
            [
                ".length: expected a power of two for `bucket`, found 1000; 512 or 1024 would do",
                ".min_length: expected a power of two for `bucket`, found 48; 32 or 64 would do",
            ],
        ),
        ({"length": 128, "by": "bucket"}, TRAINED, [".min_length: expected at most `length`, 128, found 256"]),
        (
            {"length": 128, "min_length": 16, "rest": "drop"},
            TRAINED,
            [
                ".min_length: expected only with `by: bucket`, found with `by: best_fit`",
                ".rest: expected only with `by: bucket`, found with `by: best_fit`",
            ],
        ),
        (
            {"length": 128, "by": "concatenate", "long_documents": "truncate"},
            TRAINED,
            [".long_documents: expected only with `by: best_fit`, found with `by: concatenate`"],
        ),
        (
            {"length": 128, "mask_first": True, "label_mask": False},
            TRAINED,
            [".mask_first: expected `label_mask: true`, found false: it is the mask that says so"],
        ),
    ],
)
def test_packing(pack: dict[str, Any], tokenizer: dict[str, Any], expected: list[str]) -> None:
    stages = [{"tokens": {"tokenizer": tokenizer, "pack": pack, "max_tokens": 4000}}]
    assert messages(stages) == [f"$.stages[0].tokens.pack{text}" for text in expected]


def test_training_on_packed_tokens() -> None:
    def found(pack: dict[str, Any]) -> list[str]:
        train = {"train": {"model": "olmo-1m", "steps": 3, "sequence_length": 512}}
        return messages([{"tokens": {"tokenizer": TRAINED, "pack": pack}}, train])

    assert found({"length": 512}) == []
    assert found({"length": 1024}) == [
        "$.stages[1].train.sequence_length: expected the length that tokens are packed to, 1024, found 512"
    ]
    assert found({"length": 512, "by": "bucket"}) == [
        "$.stages[1].train: expected tokens packed to one length, found buckets of several; `by: best_fit` would do"
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
