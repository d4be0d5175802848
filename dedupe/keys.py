"""The keys of a shard's documents, paragraphs or n-grams."""

from __future__ import annotations

from typing import Any

from dolma_pipeline import _native
from dolma_pipeline.config.recipe import Dedupe
from dolma_pipeline.engine.task import Output
from dolma_pipeline.errors import ConfigError
from dolma_pipeline.formats.documents import Documents

BUFFER_BYTES = 64 << 20
"""Keys and items up to this size are held in memory; what is over goes to a file without a name beside the output."""


class KeyOp:
    """Writes the key file `path` of one shard, a batch of documents at a time; there is no file before `finish`.

    A text takes part unless it is white space only (`skip_empty`), shorter than `min_length` code points, or has fewer
    than `min_words` words. A document without a string at the key's path has no key, and is never a duplicate.
    """

    def __init__(self, config: Dedupe, path: str) -> None:
        documents, paragraphs = config.documents, config.paragraphs
        if (documents is None) == (paragraphs is None):
            raise ConfigError(f"dedupe `{config.name}`: expected exactly one of `documents` and `paragraphs`")
        self.path = path
        self._field = documents.key if documents is not None else None
        options: dict[str, Any] = {"mode": "documents"}
        if paragraphs is not None:
            options = {"mode": "paragraphs", "separator": paragraphs.separator}
            if paragraphs.ngrams is not None:
                options["mode"] = "ngrams"
                options["ngram_length"] = paragraphs.ngrams.length
                options["ngram_stride"] = paragraphs.ngrams.stride
                options["skip_short"] = paragraphs.ngrams.skip_short_paragraphs
        self._writer = _native.KeyWriter(
            path,
            partitions=config.partitions,
            skip_empty=config.skip_empty,
            min_length=config.min_length,
            min_words=config.min_words,
            part=(config.part.index, config.part.of) if config.part is not None else None,
            buffer_bytes=BUFFER_BYTES,
            **options,
        )

    def add(self, documents: Documents) -> None:
        if self._field in ("id", "$.id") and documents.raw is not None:
            # The column also has ids that are no strings, and so no keys.
            self._writer.add(_native.string_field(documents.raw, "id"))
        else:
            self._writer.add(documents.text if self._field is None else documents.field(self._field))

    def finish(self) -> tuple[Output, dict[str, int]]:
        """The file, and how many `rows` (documents), `items` (of those compared) and `keys` it has."""
        size, digest, counts = self._writer.finish()
        return Output(path=self.path, bytes=size, blake3=digest), counts

    def abort(self) -> None:
        self._writer.abort()
