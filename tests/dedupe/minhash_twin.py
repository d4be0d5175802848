"""Slow twins of the kernels of MinHash, written from what core/src/minhash says of its hashes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import pyarrow as pa

from dolma_pipeline import _native
from tests.dedupe.xxh3_twin import xxh3_64

MASK = (1 << 64) - 1
MULTIPLIER = 0x9E3779B97F4A7C15
LENGTH = 0xD1B54A32D192ED03
BAND_SEED = 0x6D69_6E68_6173_6801


def tokens(text: str, unit: str) -> list[str]:
    """The tokens of a text; where its words are is asked of the kernel that rests on another segmenter."""
    if unit == "chars":
        return list(" ".join(text.lower().split()))
    _, starts, ends = _native.word_spans(pa.array([text], pa.large_string()))
    encoded = text.encode()
    spans = zip(starts.to_pylist(), ends.to_pylist(), strict=True)
    return [encoded[start:end].decode().lower() for start, end in spans]


def token_hashes(text: str, unit: str) -> list[int]:
    return [xxh3_64(token.encode()) for token in tokens(text, unit)]


def windows(row: Sequence[int], ngram: int) -> list[tuple[int, ...]]:
    """The n-grams of a row; of fewer than n tokens all of it as one, of none nothing."""
    if not row:
        return []
    return [tuple(row[i : i + ngram]) for i in range(max(1, len(row) - ngram + 1))]


def finalised(x: int) -> int:
    """The finaliser of murmur3."""
    x ^= x >> 33
    x = x * 0xFF51AFD7ED558CCD & MASK
    x ^= x >> 33
    x = x * 0xC4CEB9FE1A85EC53 & MASK
    return x ^ x >> 33


def ngram_hash(window: Sequence[int]) -> int:
    powers = [pow(MULTIPLIER, len(window) - 1 - i, 1 << 64) for i in range(len(window))]
    total = sum(token * power for token, power in zip(window, powers, strict=True))
    return finalised((total + len(window) * LENGTH) & MASK)


def splitmix64(state: int) -> Iterator[int]:
    while True:
        state = state + 0x9E3779B97F4A7C15 & MASK
        z = state
        z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9 & MASK
        z = (z ^ z >> 27) * 0x94D049BB133111EB & MASK
        yield z ^ z >> 31


def signature(text: str, unit: str, ngram: int, permutations: int, seed: int) -> list[int] | None:
    """The least value of each permutation of the upper half of the hashes."""
    hashes = {ngram_hash(window) >> 32 for window in windows(token_hashes(text, unit), ngram)}
    if not hashes:
        return None
    numbers = splitmix64(seed)
    drawn = [(next(numbers) >> 32 | 1, next(numbers) >> 32) for _ in range(permutations)]
    return [min((a * x + b) % (1 << 32) for x in hashes) for a, b in drawn]


def band_keys(signature: Sequence[int], bands: int, rows: int) -> list[int]:
    keys = []
    for band in range(bands):
        values = [band, *signature[band * rows : (band + 1) * rows]]
        encoded = b"".join(value.to_bytes(4, "little") for value in values)
        keys.append(xxh3_64(encoded, BAND_SEED))
    return keys


def shares(left: Sequence[int], right: Sequence[int], ngram: int) -> tuple[float, float] | None:
    """(Jaccard similarity, share of the left n-grams that the right row has)."""
    a, b = set(windows(left, ngram)), set(windows(right, ngram))
    return (len(a & b) / len(a | b), len(a & b) / len(a)) if a and b else None


def similar(threshold: float, ngram: int) -> Callable[[Sequence[int], Sequence[int]], bool]:
    def rule(text: Sequence[int], kept: Sequence[int]) -> bool:
        found = shares(text, kept, ngram)
        return found is not None and found[0] >= threshold

    return rule


def contained(ngram: int) -> Callable[[Sequence[int], Sequence[int]], bool]:
    def repetitive(row: Sequence[int]) -> bool:
        grams = windows(row, ngram)
        return len(set(grams)) / len(grams) < 0.9

    def rule(text: Sequence[int], kept: Sequence[int]) -> bool:
        if not text or len(text) > len(kept):
            return False
        if len(text) < ngram:
            return list(text) == list(kept)
        if repetitive(text) or repetitive(kept):
            return tuple(text) in windows(kept, len(text))
        return set(windows(text, ngram)) <= set(windows(kept, ngram))

    return rule


def resolve(
    rows: Sequence[Sequence[int]],
    groups: Sequence[int],
    rule: Callable[[Sequence[int], Sequence[int]], bool],
    ngram: int,
) -> list[tuple[int, float | None, float | None]]:
    """(kept, similarity, containment) of each row: every kept row of the group is tried in order."""
    verdicts: list[tuple[int, float | None, float | None]] = []
    for at, row in enumerate(rows):
        before = [k for k in range(at) if groups[k] == groups[at] and verdicts[k][0] == k]
        first = next((k for k in before if rule(row, rows[k])), None)
        found = None if first is None else shares(row, rows[first], ngram)
        verdicts.append((at, None, None) if first is None or found is None else (first, *found))
    return verdicts
