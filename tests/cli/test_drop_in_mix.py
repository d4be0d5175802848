"""`dolma mix` as the recipe it stands for."""

from __future__ import annotations

import re
from typing import Any

import pytest

from dolma_pipeline.cli.drop_in import mix
from dolma_pipeline.config.recipe import Edit, Mix, Select, Source, Stage
from dolma_pipeline.formats.columns import AS_DOLMA, Columns
from tests.cli.drop_in_recipes import message, recipes

STREAM = {
    "name": "web",
    "documents": ["/d/a/documents/*.gz", "/d/b/documents/*.gz"],
    "attributes": ["base", "dups"],
    "filter": {"include": ["$.attributes[?(@.x)]"], "exclude": ["$.attributes[?(@.y)]"]},
    "span_replacement": [
        {"span": "$.attributes.e", "min_score": 0.5, "replacement": "|||E|||"},
        {"span": ".attributes.p", "max_score": 2, "syntax": "jq"},
    ],
    "output": {"path": "/out/web", "max_size_in_bytes": 1000, "discard_fields": ["attributes"], "min_text_length": 5},
}


def test_mix() -> None:
    first, second = recipes(mix, {"streams": [STREAM, {**STREAM, "name": "other", "compression": {"output": "zst"}}]})
    assert first.sources == {
        "web": Source(
            documents=["/d/a/documents/*.gz", "/d/b/documents/*.gz"],
            columns=AS_DOLMA,
            attributes=["base", "dups"],
            order="given",
        )
    }
    assert first.stages == [
        Stage(
            mix=Mix(
                name="web",
                select=Select(include=["$.attributes[?(@.x)]"], exclude=["$.attributes[?(@.y)]"]),
                edit=[
                    Edit(span="$.attributes.e", min_score=0.5, replacement="|||E|||"),
                    Edit(span=".attributes.p", max_score=2, syntax="jq"),
                ],
                min_text_length=5,
                discard_fields=["attributes"],
                destination="/out/web",
                max_size_in_bytes=1000,
                format="jsonl.gz",
                as_dolma=True,
            )
        )
    ]
    assert re.fullmatch(r"/out/\.dolma/mix-web-web-[0-9a-f]{8}", first.work_dir)
    assert isinstance(second.stages[0].mix, Mix)
    assert (second.stages[0].mix.name, second.stages[0].mix.format) == ("other", "jsonl.zst")
    assert first.work_dir != second.work_dir


def test_a_stream_has_columns() -> None:
    (recipe,) = recipes(mix, {"streams": [{**STREAM, "columns": {"text": "body"}}]})
    assert [s.columns for s in recipe.sources.values()] == [Columns(text="body")]


def test_mix_keeps_attributes_unless_they_are_discarded() -> None:
    (discarded,) = recipes(mix, {"streams": [STREAM]})
    (kept,) = recipes(mix, {"streams": [{**STREAM, "output": {"path": "/o", "discard_fields": ["text"]}}]})
    assert isinstance(discarded.stages[0].mix, Mix)
    assert isinstance(kept.stages[0].mix, Mix)
    assert (discarded.stages[0].mix.keep_attributes, kept.stages[0].mix.keep_attributes) == (False, True)


def test_mix_attributes_named_twice_count_where_they_are_last() -> None:
    (recipe,) = recipes(mix, {"streams": [{**STREAM, "attributes": ["base", "dups", "base"]}]})
    assert recipe.sources["web"].attributes == ["dups", "base"]


def test_mix_without_shuffle_has_one_output_per_input() -> None:
    (recipe,) = recipes(mix, {"streams": [STREAM], "shuffle": False})
    assert isinstance(recipe.stages[0].mix, Mix)
    assert recipe.stages[0].mix.max_size_in_bytes == 0
    assert recipe.stages[0].mix.destination == "/out/web"
    assert recipe.stages[0].mix.format == "input"
    zst = {**STREAM, "compression": {"output": "zst"}}
    (recipe,) = recipes(mix, {"streams": [zst], "shuffle": False})
    assert isinstance(recipe.stages[0].mix, Mix)
    assert recipe.stages[0].mix.format == "jsonl.zst"


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({}, "$.streams: expected at least one stream, found none; give a file with `-c FILE`"),
        ({"streams": [{**STREAM, "output": {}}]}, "$.streams[0].output.path: expected a directory, found none"),
        ({"streams": [{**STREAM, "documents": []}]}, "$.streams[0].documents: expected globs of document files, "
         "found none"),
        ({"streams": [STREAM, {**STREAM, "filter": {}}]},
         "$.streams[1]: expected another name or output.path than $.streams[0] has: both would write "
          "/out/web/web-0000"),
        ({"streams": [{**STREAM, "filter": {}}]}, "$.streams[0].filter: expected `include` or `exclude`, found "
         "neither"),
        ({"streams": [{**STREAM, "filters": {}}]},
         "$.streams[0].filters: unknown key; did you mean `filter`? (allowed: `name`, `documents`, `columns`, "
         "`output`, `attributes`, `filter`, `span_replacement`, `compression`)"),
    ],
)  # fmt: skip
def test_mix_mistakes(config: dict[str, Any], expected: str) -> None:
    assert message(mix, config) == expected
