"""Special tokens of a tokenizer that is trained here: which there are, and where their ids stand."""

from __future__ import annotations

import re
from typing import NamedTuple

from dolma_pipeline.config.recipe import TrainTokenizer

MASK = re.compile(r"\|\|\|\w+\|\|\|")
"""What a mix puts in the place of personal data. As with OLMo's tokenizers it is text, not control: one token even
where special tokens that stand in a text are encoded as text."""


class SpecialTokens(NamedTuple):
    """Those before all other tokens, from id 0, and those behind them."""

    first: tuple[str, ...]
    last: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        return self.first + self.last


PRESETS = {
    # allenai/eleuther-ai-gpt-neox-20b-pii-special, which OLMo's configurations name.
    "olmo": SpecialTokens(
        ("<|endoftext|>", "<|padding|>"), ("|||EMAIL_ADDRESS|||", "|||PHONE_NUMBER|||", "|||IP_ADDRESS|||")
    ),
    # allenai/gpt-neox-olmo-dolma-v1_5, with which Dolma 1.5 to 1.7 were tokenized.
    "dolma_v1_5": SpecialTokens(
        ("|||IP_ADDRESS|||", "<|padding|>"), ("|||EMAIL_ADDRESS|||", "|||PHONE_NUMBER|||", "<|endoftext|>")
    ),
}


def special_tokens(train: TrainTokenizer) -> SpecialTokens:
    """Those that `train` asks for; with a vocabulary of 50,280, those of a preset have the ids of OLMo's tokenizers."""
    asked = train.special_tokens
    return PRESETS[asked] if isinstance(asked, str) else SpecialTokens(tuple(asked))
