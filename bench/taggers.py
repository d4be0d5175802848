"""`python -m bench.taggers [NAME ...]`: MB of text per CPU second of each native tagger, one core, texts in memory.

The last line has all of them in one pass, where they share their views of a text. Documents: $DOLMA_TEST_DATA.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import pyarrow as pa

from dolma_pipeline import _native
from dolma_pipeline.formats.documents import read_documents

ROOT = Path(__file__).resolve().parent.parent
LEAST = 0.5
"""CPU seconds: a quick tagger is run again until it has had as many."""


def main(names: list[str]) -> int:
    data = Path(os.environ.get("DOLMA_TEST_DATA", ROOT.parent / "shared" / "data"))
    files = sorted(data.glob("*/documents/*.jsonl.gz"))
    if not files:
        print(f"no documents at {data}; set DOLMA_TEST_DATA", file=sys.stderr)
        return 2
    batches = [documents.text for file in files for documents in read_documents(file)]
    size = sum(pa.compute.binary_length(texts).cast(pa.int64()).to_numpy().sum() for texts in batches) / 1e6
    print(f"{sum(map(len, batches))} documents, {size:.0f} MB of text")
    for name in names or _native.tagger_names():
        print(f"{name:<46}{size / seconds(batches, [name]):>9.1f} MB/s", flush=True)
    print(f"{'together':<46}{size / seconds(batches, names or _native.tagger_names()):>9.1f} MB/s")
    return 0


def seconds(batches: list[pa.LargeStringArray], names: list[str]) -> float:
    """CPU time of one run over all texts."""
    started, runs = time.process_time(), 0
    while runs == 0 or time.process_time() - started < LEAST:
        for texts in batches:
            _native.tag_texts(texts, names)
        runs += 1
    return (time.process_time() - started) / runs


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
