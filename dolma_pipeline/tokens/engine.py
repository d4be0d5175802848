"""Engines turn texts into token ids; every one of them gives exactly the ids of the `tokenizers` library."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, Protocol, TypeAlias

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from dolma_pipeline.engine.task import Context
from dolma_pipeline.errors import ConfigError
from dolma_pipeline.io import fs
from dolma_pipeline.tokens.coverage import Coverage
from dolma_pipeline.tokens.encoded import Encoded
from dolma_pipeline.tokens.fast import FastEngine, Unsupported
from dolma_pipeline.tokens.hub import cached_tokenizer, is_hub_name
from dolma_pipeline.tokens.reference import ReferenceEngine

EngineChoice: TypeAlias = Literal["auto", "fast", "reference"]


class Engine(Protocol):
    """What the stages need of a tokenizer."""

    name: str
    """For the account: which engine it is."""
    warning: str | None
    """Why it is not the fast one, where that was wanted."""
    vocab_size: int
    """One more than the largest id: what a token's type must hold."""
    special_tokens: list[str]
    coverage: Coverage
    """What it does with text that its vocabulary cannot spell."""

    def encode(self, texts: pa.LargeStringArray, *, bos: int | None = None, eos: int | None = None) -> Encoded:
        """Each text stripped and encoded, between BOS and EOS unless it begins or ends with them already.

        Raises CannotEncodeError, with the row of the text, for one that the tokenizer refuses.
        """
        ...

    def encode_batch(self, texts: list[str]) -> list[NDArray[np.uint32]]:
        """The ids of each text as it stands."""
        ...

    def agrees(self, texts: list[str]) -> str | None:
        """None where the ids of `texts` are those of the reference, else what is different."""
        ...

    def reference(self, warning: str) -> Engine:
        """The reference for the same tokenizer, with the reason why it is taken."""
        ...

    def decode(self, ids: Sequence[int]) -> str:
        """The text of `ids`, special tokens included."""
        ...

    def token_id(self, token: str) -> int | None:
        """The id of a token of the vocabulary; None where there is none."""
        ...

    def vocabulary(self) -> dict[str, int]: ...


def tokenizer_file(path: str) -> Path:
    """The tokenizer.json that `path` names: the file, the one in that directory, or one from the Hub on this machine.

    Raises ConfigError if there is none.
    """
    found = Path(path).expanduser()
    if not fs.exists(found) and is_hub_name(path):
        return cached_tokenizer(path)
    if fs.is_directory(found):
        found = found / "tokenizer.json"
    if not fs.is_file(found):
        raise ConfigError(
            f"tokenizer `{path}`: expected a tokenizer.json or a directory that holds one, found no {found}; "
            "download it first, or have one trained with `tokenizer: {train: {}}`"
        )
    return found


def load_engine(
    path: str, *, encode_special_tokens: bool = False, segment: bool = False, choice: EngineChoice = "auto"
) -> Engine:
    """The engine for the tokenizer at `path` (see `tokenizer_file`).

    `encode_special_tokens`: special tokens that stand in a text are taken as text. `segment`: lines are encoded one
    by one, which is faster for tokenizers that do not split at white space and differs where a token spans lines.
    `choice`: `auto` takes the fast engine where it can do this tokenizer and passes its self-test, else the reference
    with a warning; `fast` raises ConfigError then.
    """
    file = tokenizer_file(path)
    reference = ReferenceEngine(file, encode_special_tokens=encode_special_tokens, segment=segment)
    return _chosen(reference, file, encode_special_tokens=encode_special_tokens, segment=segment, choice=choice)


def _chosen(
    reference: ReferenceEngine, file: Path, *, encode_special_tokens: bool, segment: bool, choice: EngineChoice
) -> Engine:
    if choice == "reference":
        return reference
    try:
        return FastEngine(file, reference, encode_special_tokens=encode_special_tokens, segment=segment)
    except Unsupported as reason:
        if choice == "fast":
            raise ConfigError(
                f"engine: expected a tokenizer that the fast engine can do exactly, found {file}: {reason}; "
                "`auto` or `reference` would do"
            ) from None
        return reference.reference(f"{file}: encoded by the `tokenizers` library, which is slower: {reason}")


def loaded_engine(
    context: Context,
    path: str,
    *,
    encode_special_tokens: bool = False,
    segment: bool = False,
    choice: EngineChoice = "auto",
) -> Engine:
    """The same, loaded once in a process for as long as the file does not change."""
    file = tokenizer_file(path)
    key = (path, *fs.stat(file), encode_special_tokens, segment)
    reference = context.load(
        ("reference tokenizer", *key),
        lambda: ReferenceEngine(file, encode_special_tokens=encode_special_tokens, segment=segment),
    )
    return context.load(
        ("tokenizer", *key, choice),
        lambda: _chosen(reference, file, encode_special_tokens=encode_special_tokens, segment=segment, choice=choice),
    )
