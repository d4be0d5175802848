"""What is wrong with a recipe."""

from __future__ import annotations

from typing import Any

import msgspec

from dolma_pipeline.config.recipe import Recipe
from dolma_pipeline.config.validation import validate
from dolma_pipeline.errors import ConfigError

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
