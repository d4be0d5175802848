"""The kernels of MinHash: those of the extension, or slow ones in Python where it has none."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from dolma_pipeline import _native

NATIVE = hasattr(_native, "minhash_bands")
MINHASH_VERSION: int = getattr(_native, "MINHASH_VERSION", 1)
"""Raised with any change to a hash."""
_WORD = re.compile(r"\w+")
_U64 = npt.NDArray[np.uint64]


def bands(texts: Any, *, unit: str, ngram: int, bands: int, rows: int, seed: int) -> Any:
    """A key for each band of each text: fixed_size_list<uint64>, null for a text without a token."""
    if NATIVE:
        return _native.minhash_bands(  # type: ignore[attr-defined]
            texts, unit=unit, ngram=ngram, bands=bands, rows=rows, seed=seed
        )
    rng = np.random.default_rng(seed)
    a = rng.integers(0, 1 << 32, bands * rows, np.uint64) | np.uint64(1)
    b = rng.integers(0, 1 << 32, bands * rows, np.uint64)
    keys: list[list[int] | None] = []
    for found in tokens(texts, unit=unit).to_pylist():
        if not found:
            keys.append(None)
            continue
        shingles = _ngrams(np.array(found, np.uint64), ngram)
        minima = ((shingles[:, None] & np.uint64(0xFFFFFFFF)) * a + b & np.uint64(0xFFFFFFFF)).min(axis=0)
        parts = [f"{n} {band.tolist()}" for n, band in enumerate(minima.reshape(bands, rows))]
        keys.append(_hashes(parts).tolist())
    return pa.array(keys, pa.list_(pa.uint64(), bands))


def tokens(texts: Any, *, unit: str) -> Any:
    """The hash of every token of each text, in order: list<uint64>."""
    if NATIVE:
        return _native.minhash_tokens(texts, unit=unit)  # type: ignore[attr-defined]
    rows = []
    for text in texts.to_pylist():
        lower = (text or "").lower()
        words = _WORD.findall(lower) if unit == "words" else list(" ".join(lower.split()))
        rows.append(_hashes(words).tolist())
    return pa.array(rows, pa.list_(pa.uint64()))


def resolve(tokens: Any, groups: Any, *, rule: str, ngram: int, threshold: float, large: int) -> tuple[Any, int]:
    """For each row the row of its group that stays in its place: kept (int64), similarity, containment (float64).

    Rows are sorted by group, and in a group the best to keep is first. Beside the batch, the number of comparisons.
    """
    if NATIVE:
        found = _native.minhash_resolve(  # type: ignore[attr-defined]
            tokens, groups, rule=rule, ngram=ngram, threshold=threshold, large=large
        )
        return found if isinstance(found, tuple) else (found, 0)
    rows = [np.array(row, np.uint64) for row in tokens.to_pylist()]
    sets = [set(_ngrams(row, ngram).tolist()) for row in rows]
    kept: list[int] = []
    values: list[tuple[float, float] | None] = []
    stays: list[int] = []
    compared, last = 0, None
    for n, group in enumerate(groups.to_pylist()):
        if group != last:
            stays, last = [], group
        for other in stays:
            compared += 1
            common = len(sets[n] & sets[other])
            jaccard, contained = common / (len(sets[n]) + len(sets[other]) - common), common / len(sets[n])
            longer = len(rows[other]) >= len(rows[n])
            if jaccard >= threshold if rule == "jaccard" else longer and contained == 1.0:
                kept.append(other)
                values.append((jaccard, contained))
                break
        else:
            kept.append(n)
            values.append(None)
            stays.append(n)
    columns = {
        "kept": pa.array(kept, pa.int64()),
        "similarity": pa.array([v and v[0] for v in values], pa.float64()),
        "containment": pa.array([v and v[1] for v in values], pa.float64()),
    }
    return pa.RecordBatch.from_pydict(columns), compared


def _hashes(words: list[str]) -> _U64:
    found: _U64 = np.asarray(_native.keyed_hash(pa.array(words, pa.large_string()), 0).to_numpy(zero_copy_only=False))
    return found


def _ngrams(row: _U64, ngram: int) -> _U64:
    n = min(ngram, len(row))
    mixed = np.zeros(len(row) - n + 1, np.uint64)
    for i in range(n):
        mixed = mixed * np.uint64(0x9E3779B97F4A7C15) + row[i : len(row) - n + 1 + i]
        mixed ^= mixed >> np.uint64(29)
    return np.unique(mixed)
