"""MinHash on one core: python -m bench.minhash DOCUMENTS... [--bytes N]

CPU time of each kernel on texts in memory: token hashes, signatures of 112 permutations, keys of 14 bands of 8 rows;
then of `minhash_resolve`, by both rules, on the groups of texts that share keys, chained. `rensa`, where it is there,
gets shingles that Python makes, and its time is told with and without them.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from dolma_pipeline import _native
from dolma_pipeline.formats.documents import read_documents

PERMUTATIONS = 112
NGRAM = 5
SCHEME: dict[str, Any] = {"unit": "words", "ngram": NGRAM, "seed": 42}
RUNS = 3
Numbers = npt.NDArray[np.int64]


def texts_of(paths: list[str], most: int) -> list[Any]:
    """A column of texts per batch, `most` bytes of text in all."""
    columns: list[Any] = []
    taken = 0
    for path in paths:
        for batch in read_documents(path):
            if taken >= most:
                return columns
            columns.append(batch.text)
            taken += batch.text_bytes
    return columns


def run(kernel: Callable[[Any], Any], columns: list[Any]) -> None:
    """Calls the kernel on one batch after the other, as a stage does, and keeps nothing."""
    for column in columns:
        kernel(column)


def seconds(work: Callable[[], Any]) -> float:
    """CPU seconds, the median of several runs."""
    times = []
    for _ in range(RUNS):
        start = time.process_time()
        work()
        times.append(time.process_time() - start)
    return statistics.median(times)


def show(name: str, took: float, documents: int, size: float, shingles: int) -> None:
    speeds = f"{documents / took:>9,.0f} docs/s {size / took:>7.1f} MB/s"
    if shingles:
        speeds += f" {shingles / took / 1e6:>6.1f} M shingles/s"
    print(f"{name:<32} {took:>7.2f} s {speeds}", flush=True)


def components(keys: npt.NDArray[Any]) -> Numbers:
    """The smallest row of each row's component: rows that share the key of a band, and so on."""
    parent = np.arange(len(keys), dtype=np.int64)

    def root(row: int) -> int:
        while parent[row] != row:
            parent[row] = parent[parent[row]]
            row = int(parent[row])
        return row

    for band in keys.T:
        order = np.argsort(band, kind="stable")
        equal = np.flatnonzero(band[order][1:] == band[order][:-1])
        for a, b in zip(order[equal].tolist(), order[equal + 1].tolist(), strict=True):
            first, second = sorted((root(a), root(b)))
            parent[second] = first
    return np.array([root(row) for row in range(len(keys))], np.int64)


def near_duplicates(columns: list[Any]) -> tuple[Any, Any]:
    """(tokens, group) of the rows that are not alone in their component, sorted by group, the longest first."""
    keys = [_native.minhash_bands(column, bands=14, rows=8, **SCHEME) for column in columns]
    valid = np.concatenate([np.asarray(pc.is_valid(key)) for key in keys])
    found = components(np.asarray(pa.concat_arrays([key.values for key in keys])).reshape(-1, 14))
    rows = np.flatnonzero(valid)
    _, numbers, counts = np.unique(found[rows], return_inverse=True, return_counts=True)
    rows = rows[counts[numbers] > 1]
    tokens = pa.concat_arrays([_native.minhash_tokens(column, unit="words") for column in columns]).take(rows)
    lengths = np.asarray(pc.list_value_length(tokens)).astype(np.int64)
    order = np.lexsort((rows, -lengths, found[rows]))
    print(f"{len(rows):,} texts in {(counts > 1).sum():,} groups, the largest of {counts.max():,}")
    return tokens.take(order), pa.array(found[rows][order])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("documents", nargs="+")
    parser.add_argument("--bytes", type=int, default=1 << 40, help="bytes of text in all")
    arguments = parser.parse_args()
    columns = texts_of(arguments.documents, arguments.bytes)
    documents = sum(map(len, columns))
    tokens = [_native.minhash_tokens(column, unit="words") for column in columns]
    counts = np.concatenate([np.asarray(pc.list_value_length(row).fill_null(0)) for row in tokens])
    shingles = int(np.where(counts > 0, np.maximum(counts - NGRAM + 1, 1), 0).sum())
    size = sum(pc.sum(pc.binary_length(column)).as_py() or 0 for column in columns) / 1e6
    print(f"{documents:,} documents, {size:.1f} MB, {counts.sum():,} words, {shingles:,} shingles")
    kernels: dict[str, Callable[[Any], Any]] = {
        "tokens": lambda column: _native.minhash_tokens(column, unit="words"),
        "signatures (112)": lambda column: _native.minhash_signatures(column, permutations=PERMUTATIONS, **SCHEME),
        "bands (14 x 8)": lambda column: _native.minhash_bands(column, bands=14, rows=8, **SCHEME),
        "signatures (112), characters": lambda column: _native.minhash_signatures(
            column, permutations=PERMUTATIONS, **SCHEME | {"unit": "chars"}
        ),
    }
    for name, kernel in kernels.items():
        took = seconds(partial(run, kernel, columns))
        show(name, took, documents, size, shingles if "char" not in name else 0)
    peer(columns, documents, size)
    rows, groups = near_duplicates(columns)
    for rule, large in (("jaccard", 500), ("contained", 500), ("jaccard", 1 << 40), ("contained", 1 << 40)):
        start = time.process_time()
        found, comparisons = _native.minhash_resolve(rows, groups, rule=rule, ngram=3, threshold=0.8, large=large)
        took = time.process_time() - start
        removed = len(found) - found.column("similarity").null_count
        told = f"{removed:,} of {len(found):,} go, {comparisons:,} comparisons"
        print(f"resolve, {rule:<10} {'large groups apart' if large == 500 else 'all pairs':<20} {took:.2f} s, {told}")


def peer(columns: list[Any], documents: int, size: float) -> None:
    try:
        from rensa import RMinHash  # type: ignore[import-not-found, unused-ignore]
    except ImportError:
        print("rensa is not installed: pip install rensa")
        return

    texts = [text for column in columns for text in column.to_pylist()]
    shingled: list[list[str]] = []

    def shingle() -> None:
        shingled.clear()
        for text in texts:
            words = text.lower().split()
            last = max(1, len(words) - NGRAM + 1)
            shingled.append([" ".join(words[i : i + NGRAM]) for i in range(last)])

    def hashes() -> None:
        for shingles in shingled:
            sketch = RMinHash(num_perm=PERMUTATIONS, seed=42)
            sketch.update(shingles)
            sketch.digest()

    start = time.process_time()
    shingle()
    made = time.process_time() - start
    took, count = seconds(hashes), sum(map(len, shingled))
    show("rensa, its hashing", took, documents, size, count)
    show("rensa, with shingles in Python", took + made, documents, size, count)


if __name__ == "__main__":
    main()
