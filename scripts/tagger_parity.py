"""Every native tagger beside Dolma 1.2.1's on every document, a piece of a file at a time; a table, and what differs.

    DOLMA_PEER_VENV=/path/to/venv/with/dolma python -m scripts.tagger_parity "data/*/documents/*.jsonl.gz"

Dolma's slow taggers (repetitions, UAX-29 words, tokenizers: 0.05 to 0.2 MB/s) are given the first `--characters` of
each piece. Ends with 1 where an attribute differs.
"""

from __future__ import annotations

import argparse
import glob
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from dolma_pipeline.formats.documents import read_documents
from tests.taggers.test_parity import COMPARED, dolma, in_the_shape_of_dolma
from tests.taggers.test_source_parity import as_dolma_counts

PIECE = 8_000_000
"""Characters: both sides hold the attributes of a piece as Python objects."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("documents", nargs="+", help="globs of document files")
    parser.add_argument("--characters", type=int, default=100_000, help="length of each piece that slow taggers get")
    parser.add_argument("--taggers", nargs="*", default=COMPARED, help="names; default: all native ones that Dolma has")
    options = parser.parse_args()
    compared: Counter[str] = Counter()
    different: Counter[str] = Counter()
    for path in sorted(p for pattern in options.documents for p in glob.glob(pattern, recursive=True)):
        for number, texts in enumerate(pieces(Path(path))):
            theirs = dolma(options.taggers, texts, options.characters)
            ours = in_the_shape_of_dolma(options.taggers, texts)
            if name := next((n for n in options.taggers if n == "code_copyright_comments_v1"), None):
                ours[name] = [row and as_dolma_counts(text, row) for text, row in zip(texts, ours[name], strict=True)]
            for name in options.taggers:
                both = zip(texts, theirs[name], ours[name], strict=False)
                rows = [(text, t == o) for text, t, o in both if t is not None]
                wrong = [text for text, same in rows if not same]
                compared[name] += len(rows)
                different[name] += len(wrong)
                for text in wrong[:3]:
                    print(f"{path}, piece {number}: {name}: {text[:80]!r}", flush=True)
        print(f"{path}: {sum(compared.values())} comparisons, {sum(different.values())} different", flush=True)
    for name in options.taggers:
        print(f"{name:<48}{compared[name]:>9} documents{different[name]:>6} different")
    return 1 if different.total() else 0


def pieces(path: Path) -> Iterator[list[str]]:
    """Texts of a file, so many characters at a time, without those whose offsets Dolma counts in another text."""
    texts: list[str] = []
    size = 0
    for documents in read_documents(path):
        for text in documents.text.to_pylist():
            if "\u0130" in text:
                continue
            texts.append(text)
            size += len(text)
            if size >= PIECE:
                yield texts
                texts, size = [], 0
    if texts:
        yield texts


if __name__ == "__main__":
    sys.exit(main())
