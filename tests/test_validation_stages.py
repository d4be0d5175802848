"""What the types of a stage cannot say."""

from __future__ import annotations

from typing import Any

import pytest

from tests.recipe_messages import TAG, TOKENS, messages


@pytest.mark.parametrize(
    ("stages", "message"),
    [
        (
            [{}],
            "$.stages[0]: expected exactly one of `tag`, `dedupe`, `decontaminate`, `mix`, `stat`, `tokens`, "
            "`reshard`, "
            "`convert`, `fertility`, `classifier`, `train`, found none",
        ),
        (
            [TAG | TOKENS],
            "$.stages[0]: expected exactly one of `tag`, `dedupe`, `decontaminate`, `mix`, `stat`, `tokens`, "
            "`reshard`, "
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
            "$.stages[0].dedupe: expected exactly one of `documents`, `paragraphs`, `minhash`, found none",
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
