"""Dolma's `Tokenizer` and `tokenize_in_parallel` by our engine and our `tokens` command."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer as Library

from dolma.cli.__main__ import main
from dolma_pipeline.tokens.engine import load_engine, tokenizer_file


class Tokenizer:
    """A tokenizer and the ids it puts around a text."""

    def __init__(self, path: str, bos: int | None, eos: int | None, **options: Any) -> None:
        self._engine = load_engine(
            path,
            encode_special_tokens=options.get("encode_special_tokens", False),
            segment=options.get("segment_before_tokenization", False),
            choice="reference",
        )
        self._library = Library.from_file(str(tokenizer_file(path)))
        self._bos, self._eos = bos, eos

    @classmethod
    def from_file(
        cls, filename: str, bos_token_id: int | None = None, eos_token_id: int | None = None, **options: Any
    ) -> Tokenizer:
        return cls(filename, bos_token_id, eos_token_id, **options)

    @classmethod
    def from_pretrained(
        cls, identifier: str, bos_token_id: int | None = None, eos_token_id: int | None = None, **options: Any
    ) -> Tokenizer:
        return cls(identifier, bos_token_id, eos_token_id, **options)

    def encode(self, text: str, add_special_tokens: bool = True) -> list[int]:
        ids = [int(i) for i in self._engine.encode_batch([text])[0]]
        if not add_special_tokens:
            return ids
        before = [self._bos] if self._bos is not None and ids[:1] != [self._bos] else []
        after = [self._eos] if self._eos is not None and ids[-1:] != [self._eos] else []
        return [*before, *ids, *after]

    def decode(self, ids: Any, skip_special_tokens: bool = True) -> str:
        return str(self._library.decode([int(i) for i in ids], skip_special_tokens=skip_special_tokens))


def tokenize_in_parallel(
    *,
    sources: list[str],
    destination: str,
    tokenizer_name_or_path: str,
    bos_token_id: int | None,
    eos_token_id: int | None,
    pad_token_id: int | None,
    seed: int,
    debug: bool = False,
    num_writers: int = 1,
    ring_size: int = 8,
    local_shuffle: int = 10_000,
) -> None:
    config = {
        "documents": sources,
        "destination": destination,
        "seed": seed,
        "processes": num_writers,
        "debug": debug,
        "ring_size": ring_size,
        "batch_size": local_shuffle,
        "tokenizer": {
            "name_or_path": tokenizer_name_or_path,
            "bos_token_id": bos_token_id,
            "eos_token_id": eos_token_id,
            "pad_token_id": pad_token_id,
        },
    }
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory) / "tokens.json"
        file.write_text(json.dumps(config))
        main(["-c", str(file), "tokens"])
