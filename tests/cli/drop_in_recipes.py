"""What the drop-in commands make of a configuration."""

from __future__ import annotations

from typing import Any

import pytest

from dolma_pipeline.cli.drop_in import dedupe, mix, tag, tokens
from dolma_pipeline.config.load import decode
from dolma_pipeline.config.recipe import (
    Recipe,
)
from dolma_pipeline.config.validation import validate
from dolma_pipeline.errors import ConfigError

FORMS: dict[Any, Any] = {
    tag: tag.TagConfig,
    dedupe: dedupe.DeduperConfig,
    mix: mix.MixerConfig,
    tokens: tokens.TokensConfig,
}


def recipes(module: Any, config: dict[str, Any]) -> list[Recipe]:
    found: list[Recipe] = module.to_recipes(decode(FORMS[module], config, lax=True))
    for recipe in found:
        validate(recipe)
    return found


def message(module: Any, config: dict[str, Any]) -> str:
    with pytest.raises(ConfigError) as error:
        recipes(module, config)
    return str(error.value)


TOKENS = {
    "documents": ["/d/a/documents/*.gz"],
    "destination": "/out/tokens",
    "tokenizer": {"name_or_path": "tokenizer.json", "eos_token_id": 0, "pad_token_id": 1},
}
