"""What the types cannot say of recipes that make, read and train on token files."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from tests.recipe_messages import TAG, messages


@pytest.mark.parametrize("rate", [-0.1, 10_000.5, float("inf"), float("nan")])
def test_rates_that_no_sample_has(rate: float) -> None:
    with pytest.raises(msgspec.ValidationError, match=r"`float` [<>]= \d+\.0 - at `\$\.stages\[0\]\.reshard\.rates"):
        messages([{"reshard": {"rates": {"a": rate}}}], {"a": {"tokens": "t"}})


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
