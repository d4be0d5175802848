"""Accuracy of language identification by language, on documents whose language is known.

    python scripts/language_id_accuracy.py [DATA] [--model FILE]

DATA (default: $DOLMA_TEST_DATA) holds `SOURCE/documents/*.jsonl.gz` in Dolma's format with `metadata.lang`. Documents
that are untranslated to a tenth or more (`metadata.untranslated`) and those without a language are left out. A regional
variant counts as its language: `pt_BR` as `pt`.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa

from dolma_pipeline import _native
from dolma_pipeline.models import LANGUAGE_ID, find_model

BATCH = 1000
MAX_UNTRANSLATED = 0.1
WRITTEN_AS = {"nb": "no"}
"""Labels that the model has under another name."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="?", default=os.environ.get("DOLMA_TEST_DATA"))
    parser.add_argument("--model", help="a .bin or .ftz file; default: the one that is found")
    options = parser.parse_args()
    if options.data is None:
        parser.error("expected a directory of documents: give DATA or set DOLMA_TEST_DATA")
    path = find_model(LANGUAGE_ID, options.model)
    print(f"model {path.name}")
    for source in sorted(p for p in Path(options.data).iterdir() if (p / "documents").is_dir()):
        report(source, _native.FastText(str(path)))


def report(source: Path, model: _native.FastText) -> None:
    """Prints a line per language of `source`: documents, the right ones, what the wrong ones were taken for."""
    found: dict[str, Counter[str]] = {}
    for batch in _batches(labelled(source)):
        texts = pa.array([text for _, text in batch], pa.large_string())
        best = model.predict(texts, 1, lower=True, strip=True).column("label").to_pylist()
        for (language, _), ids in zip(batch, best, strict=True):
            guess = model.labels[ids[0]].removeprefix("__label__") if ids else "-"
            found.setdefault(language, Counter())[guess] += 1
    total = sum(sum(guesses.values()) for guesses in found.values())
    if not total:
        return
    right = sum(guesses[language] for language, guesses in found.items())
    print(f"\n{source.name}: {total} documents, {right / total:.2%} right")
    for language, guesses in sorted(found.items()):
        documents = sum(guesses.values())
        wrong = [(guess, n) for guess, n in guesses.most_common(4) if guess != language][:3]
        taken = ", ".join(f"{guess} {n}" for guess, n in wrong)
        print(f"  {language:8} {documents:7} {guesses[language] / documents:8.2%}  {taken}")


def labelled(source: Path) -> Iterator[tuple[str, str]]:
    """(language, text) of the documents whose language is known."""
    for file in sorted((source / "documents").glob("*.jsonl.gz")):
        with gzip.open(file, "rt", encoding="utf-8") as lines:
            for line in lines:
                document = json.loads(line)
                language = _language(document.get("metadata") or {})
                if language:
                    yield language, document["text"]


def _language(metadata: dict[str, Any]) -> str | None:
    language = metadata.get("lang")
    if not language or (metadata.get("untranslated") or 0.0) >= MAX_UNTRANSLATED:
        return None
    base = str(language).replace("-", "_").split("_")[0].split("@")[0].lower()
    return WRITTEN_AS.get(base, base)


def _batches(rows: Iterator[tuple[str, str]]) -> Iterator[list[tuple[str, str]]]:
    batch: list[tuple[str, str]] = []
    for row in rows:
        batch.append(row)
        if len(batch) == BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


if __name__ == "__main__":
    main()
