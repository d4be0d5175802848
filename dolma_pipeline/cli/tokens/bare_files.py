"""Options of token files without a manifest: the tokenizer that they were made with, and what nothing else says."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from msgspec import Meta

from dolma_pipeline.config.recipe import Tokenizer
from dolma_pipeline.errors import ConfigError

Dtype: TypeAlias = Literal["uint8", "uint16", "uint32", "uint64"]
TokenId: TypeAlias = Annotated[int, Meta(ge=0)]
BareTokenizer: TypeAlias = Annotated[str | None, Meta(description="the tokenizer.json of files that have no manifest")]
BareId: TypeAlias = Annotated[TokenId | None, Meta(description="the id of this token in files that have no manifest")]
SPECIAL = ("bos", "eos", "pad")


def tokenizer_of(path: str | None, bos: int | None, eos: int | None, pad: int | None) -> Tokenizer | None:
    """The tokenizer of files without a manifest; raises ConfigError for ids without it."""
    if path is not None:
        return Tokenizer(path=path, bos=bos, eos=eos, pad=pad)
    for name, value in zip(SPECIAL, (bos, eos, pad), strict=True):
        if value is not None:
            raise ConfigError(f"$.{name}_token_id: expected `tokenizer_name_or_path` beside it, found none")
    return None


def tokenizer_keys(stage: str) -> dict[str, str]:
    """Which options the tokenizer of a `stage` of a recipe, or of its sources, is made of."""
    places = (f"{stage}.tokenizer", "sources.*.tokens.tokenizer", "tokenizer")
    keys = {f"{place}.**": "tokenizer_name_or_path" for place in places}
    return keys | {f"{place}.{name}": f"{name}_token_id" for place in places for name in SPECIAL}
