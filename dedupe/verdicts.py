"""The attribute column of a shard, from the verdicts on its keys."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

from dolma_pipeline import _native
from dolma_pipeline.config.recipe import Dedupe


class VerdictColumns:
    """Yields the column of a shard's documents in order, as many rows at a time as the reader of the documents has.

    Of documents: float64, 1.0 for a duplicate, else null, or `skipped` for one that took no part. Of paragraphs:
    list<struct<start, end, score>>, code points, half-open, the separator included; the score is 1.0 or, by n-grams,
    the share of them seen before, if that is at least `overlap_threshold`. Raises DataError if the files do not belong
    together, or are damaged.
    """

    def __init__(
        self,
        config: Dedupe,
        key_file: str,
        verdict_files: Sequence[str],
        shard_index: int,
        *,
        skipped: float | None = None,
    ) -> None:
        ngrams = config.paragraphs.ngrams if config.paragraphs is not None else None
        threshold = ngrams.overlap_threshold if ngrams is not None else 1.0
        self._columns = _native.VerdictColumns(
            key_file, verdict_files, shard_index, overlap_threshold=threshold, skipped=skipped
        )

    @property
    def rows_left(self) -> int:
        return self._columns.rows_left

    def next_rows(self, rows: int) -> pa.Array:
        return self._columns.next_rows(rows)
