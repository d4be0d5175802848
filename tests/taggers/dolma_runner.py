"""Runs taggers of Dolma 1.2.1 for the interpreter that has it; this project's own cannot import Dolma.

In: {"taggers": {name: characters}, "texts": [...]}, out: {name: [attributes of each text]}, both JSON. A tagger is
given texts until it has had as many characters; a text that makes it fail has null. Tokenizers: $DOLMA_MODELS.
"""

import functools
import json
import os
import sys
from typing import Any

import tokenizers
import uniseg.wordbreak
from dolma.core.data_types import InputSpec
from dolma.core.registry import TaggerRegistry

FILES = {"allenai/dolma2-tokenizer": "allenai_dolma2"}


class Tokenizer:
    """What the taggers load by its name on the Hugging Face hub."""

    @staticmethod
    def from_pretrained(name: str) -> tokenizers.Tokenizer:
        file = FILES.get(name, name.replace("/", "_"))
        return tokenizers.Tokenizer.from_file(f"{os.environ['DOLMA_MODELS']}/{file}.json")


def patch(tagger: Any) -> None:
    module: Any = sys.modules[tagger.__module__]
    if hasattr(module, "Tokenizer"):
        module.Tokenizer = Tokenizer


def tag(name: str, limit: int, texts: list[str]) -> list[Any]:
    kind = TaggerRegistry.get(name)
    patch(kind)
    for base in kind.__mro__[1:-1]:
        patch(base)
    tagger = kind()
    found: list[Any] = []
    seen = 0
    for number, text in enumerate(texts):
        if seen > limit:
            break
        seen += len(text)
        try:
            found.append(tagger.tag(InputSpec(id=str(number), text=text)))
        except ZeroDivisionError:
            found.append(None)
    return found


def remember_words() -> None:
    """Four taggers cut the same paragraphs, 0.1 MB/s each: what uniseg gives depends on nothing but the text."""
    words, of_character = uniseg.wordbreak.words, functools.lru_cache(None)(uniseg.wordbreak.word_break)
    uniseg.wordbreak.words = functools.lru_cache(None)(lambda text: tuple(words(text, property=of_character)))


remember_words()
asked = json.load(sys.stdin)
json.dump({name: tag(name, limit, asked["texts"]) for name, limit in asked["taggers"].items()}, sys.stdout)
