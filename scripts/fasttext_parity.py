"""Native fastText beside its C++ library on every document: labels, scores, and the speed of both.

    python scripts/fasttext_parity.py [--model FILE ...] "data/*/documents/*.jsonl.gz"

Without a model the one for language identification that is found. Compared are all labels (k = -1) of each text as it
stands, line breaks as spaces; hierarchical softmax leaves out what is below 1e-5, where a rounding error decides, so a
label that one side lacks counts as 1e-5. Exit code 1 where a best label differs, or a score by more than 1e-5.
"""

from __future__ import annotations

import argparse
import glob
import sys
import time
from pathlib import Path
from typing import Any

import fasttext

from dolma_pipeline import _native
from dolma_pipeline.formats.documents import read_documents
from dolma_pipeline.models import LANGUAGE_ID, find_model

LEAST = 1e-5


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("documents", nargs="+", help="globs of document files")
    parser.add_argument("--model", nargs="*", type=Path, help=".bin or .ftz files")
    options = parser.parse_args()
    files = [Path(p) for pattern in options.documents for p in sorted(glob.glob(pattern, recursive=True))]
    return max(compare(model, files) for model in options.model or [find_model(LANGUAGE_ID)])


def compare(model: Path, files: list[Path]) -> int:
    native, reference = _native.FastText(str(model)), fasttext.FastText._FastText(str(model))
    documents = best = over = size = 0
    largest = ours = theirs = 0.0
    for file in files:
        for batch in read_documents(file):
            texts = batch.text
            size += batch.text_bytes
            start = time.process_time()
            found = native.predict(texts, -1, 0.0)
            ours += time.process_time() - start
            rows = zip(found.column("label").to_pylist(), found.column("score").to_pylist(), strict=True)
            lines = [text.replace("\n", " ") + "\n" for text in texts.to_pylist()]
            start = time.process_time()
            expected = [reference.f.predict(line, -1, 0.0, "strict") for line in lines]
            theirs += time.process_time() - start
            for (labels, scores), wanted in zip(rows, expected, strict=True):
                documents += 1
                mine = {native.labels[i]: score for i, score in zip(labels, scores, strict=True)}
                difference = largest_difference(mine, {label: score for score, label in wanted})
                over += difference > LEAST
                largest = max(largest, difference)
                best += bool(wanted) and native.labels[labels[0]] != wanted[0][1] and scores[0] != wanted[0][0]
    mb = size / 1e6
    print(
        f"{model.name}: {documents} documents of {mb:.0f} MB, best label different: {best}, scores over 1e-5 apart: "
        f"{over}, at most {largest:.1e} apart; {mb / ours:.1f} MB/s natively, {mb / theirs:.1f} MB/s in C++"
    )
    return int(bool(best or over))


def largest_difference(mine: dict[str, Any], wanted: dict[str, Any]) -> float:
    labels = mine.keys() | wanted.keys()
    return max((abs(mine.get(label, LEAST) - wanted.get(label, LEAST)) for label in labels), default=0.0)


if __name__ == "__main__":
    sys.exit(main())
