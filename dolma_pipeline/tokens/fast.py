"""Our own byte-level BPE as an engine, for the tokenizers that it can do exactly; a self-test sees to `exactly`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from dolma_pipeline import _native
from dolma_pipeline.errors import DataError
from dolma_pipeline.tokens.coverage import Coverage
from dolma_pipeline.tokens.encoded import Encoded
from dolma_pipeline.tokens.reference import ReferenceEngine

SELF_TEST = (
    "It's the dog's, they'll say: I'm 'S 'LL 'Re 'ſ 've'd don'T x'y ''s '",
    "3 12 123 1234567 ½²Ⅷ ٣٤ 1a2 a1 $3.50 (1,000)",
    "a  b   c\t\td \n e\n\n\nf\r\n\r\ng \n\n \n h\u00a0i\u3000 j\u2028k\u0085l\u001cm \t\n",
    "    if (x==y) {\n\t\treturn a[i]->b;;;\n    }\n\n\n        /* --- === */\r\n\r\n",
    "naïve café ÅÅÅ e\u0301 o\u0308\u0323 \u0344 ﬁ ﬃ \u1e9b\u0323 \u0958 \u0915\u093c \u0e33 \u0e4d\u0e32",
    "한글 \u1112\u1161\u11ab が か\u3099 \u0b47\u0b3e \U000105d2\u0307 \U00011935\U00011930 a\u0897\u0323",
    "中文字符和日本語、한국어。ไทยภาษา العربية עברית हिन्दी",
    "👩\u200d👩\u200d👧 🇩🇪 👍🏽 \u2764\ufe0f \U0001f9d1\u200d\U0001f680 \ufeff\u200b\u00ad \u202e \ue000 \U0010ffff",
    "\x00\x01\x07\x0b\x0c\x1b\x1f\x7f\u0080\u009f \u0300 \u0345a\u0300\u0323\u0300",
    "|||EMAIL_ADDRESS||| |||PHONE_NUMBER|||x|||IP_ADDRESS|||| <|endoftext|> <|endoftext| <|padding|> <|pad|>",
    "a" * 300 + " " * 300 + "x" + "\n" * 300 + "=" * 300 + "9" * 300 + "é" * 150 + "字" * 100 + " x" * 100,
    "antidisestablishmentarianism pneumonoultramicroscopicsilicovolcanoconiosis https://www.example.org/a/b?c=d&e=%20f",
)


class Unsupported(Exception):
    """The reason why the fast engine cannot do a tokenizer."""


class FastEngine:
    """An `Engine` beside the reference for the same file, from which it has everything but the encoding.

    Loading compares the two on SELF_TEST, on each added token, and on every character at which a class of characters
    begins or ends; a difference is `Unsupported`. It costs about 50 ms.
    """

    name = "fast"
    warning: str | None = None
    coverage = Coverage(fate="none")
    """Tokenizers that lack a byte of UTF-8 are `Unsupported`."""

    def __init__(
        self, path: Path, reference: ReferenceEngine, *, encode_special_tokens: bool = False, segment: bool = False
    ) -> None:
        self._reference = reference
        self.vocab_size = reference.vocab_size
        self.special_tokens = reference.special_tokens
        try:
            self._encoder = _native.BytePairEncoder(
                str(path), encode_special_tokens=encode_special_tokens, segment=segment
            )
        # The library may read a file that this parser does not.
        except (ValueError, DataError) as reason:
            raise Unsupported(str(reason).removeprefix(f"{path}: ")) from None
        added = dict(self._encoder.added)
        if added != reference.added_tokens:
            name = sorted(added.items() ^ reference.added_tokens.items())[0][0]
            raise Unsupported(f"expected added tokens with the ids of the file, found another for `{name}`")
        around = [f"a{t}b {t} {t}{t}\n{t[:-1]}{t}" for t in added]
        if difference := self.agrees([*SELF_TEST, *around, _native.word_probe()]):
            raise Unsupported(f"expected the ids of `tokenizers` in the self-test, found {difference}")

    def encode(self, texts: pa.LargeStringArray, *, bos: int | None = None, eos: int | None = None) -> Encoded:
        columns = self._encoder.encode(texts, bos=bos, eos=eos)
        ids, lengths, text_bytes = (column.to_numpy() for column in columns)
        return Encoded(ids, lengths, text_bytes)

    def encode_batch(self, texts: list[str]) -> list[NDArray[np.uint32]]:
        ids, lengths, _ = self._encoder.encode(pa.array(texts, pa.large_string()), strip=False)
        split: list[NDArray[np.uint32]] = np.split(ids.to_numpy(), np.cumsum(lengths.to_numpy())[:-1])
        return split if texts else []

    def agrees(self, texts: list[str]) -> str | None:
        expected = self._reference.encode_batch(texts)
        for text, mine, right in zip(texts, self.encode_batch(texts), expected, strict=True):
            if not np.array_equal(mine, right):
                return _difference(text, mine, right)
        return None

    def reference(self, warning: str) -> ReferenceEngine:
        return self._reference.reference(warning)

    def decode(self, ids: Sequence[int]) -> str:
        return self._reference.decode(ids)

    def token_id(self, token: str) -> int | None:
        return self._reference.token_id(token)

    def vocabulary(self) -> dict[str, int]:
        return self._reference.vocabulary()


def _difference(text: str, mine: NDArray[np.uint32], right: NDArray[np.uint32]) -> str:
    length = min(len(mine), len(right))
    at = next(iter(np.flatnonzero(mine[:length] != right[:length]).tolist()), length)
    return (
        f"{mine[at : at + 3].tolist()} instead of {right[at : at + 3].tolist()} at token {at} of the text {text[:40]!r}"
    )
