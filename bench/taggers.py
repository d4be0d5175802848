"""MB/s of text per core for each tagger: python -m bench.taggers DOCUMENTS... [--write]

CPU time of `tag` on documents in memory, model and lists loaded, the median of three. URL taggers are measured with
made-up lists of 100,000 domains, licences with the texts as pages. `--write` puts the figures in taggers/speeds.json,
from which `dolma list` has them; those of taggers that could not be loaded stay.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from pathlib import Path

import pyarrow as pa

from dolma_pipeline.errors import ConfigError
from dolma_pipeline.formats.documents import Documents, read_documents
from dolma_pipeline.taggers.base import Tagger
from dolma_pipeline.taggers.registry import built_in
from dolma_pipeline.taggers.url_lists import LISTS, WIKIDATA

SPEEDS = Path(__file__).resolve().parent.parent / "taggers" / "speeds.json"
SLOW = {"cld2_": 10, "lingua_": 100}
"""Measured on so small a part of the documents."""
RUNS = 3


def sample(paths: list[str], per_file: int) -> Documents:
    """The first documents of each file, `per_file` bytes of text from each, with metadata for every tagger."""
    ids, texts, raws = [], [], []
    for path in paths:
        taken = 0
        for batch in read_documents(path):
            for identity, text in zip(batch.id.to_pylist(), batch.text.to_pylist(), strict=True):
                if taken >= per_file:
                    break
                taken += len(text.encode())
                ids.append(identity)
                texts.append(text)
                ext = ("py", "html", "js", "go")[len(ids) % 4]
                metadata = {"url": f"https://www.d{len(ids)}.example/p?q", "html": text, "ext": ext}
                raws.append(json.dumps({"id": identity, "text": text, "metadata": metadata}).encode())
            if taken >= per_file:
                break
    strings = pa.large_string()
    columns = {
        "id": pa.array(ids, strings),
        "text": pa.array(texts, strings),
        "source": pa.nulls(len(ids), strings),
        "raw": pa.array(raws, pa.large_binary()),
    }
    return Documents(pa.RecordBatch.from_pydict(columns))


def make_lists(directory: Path) -> None:
    domains = "".join(f"d{i * 7}.example\n" for i in range(100_000))
    for mode, names, _ in LISTS.values():
        for name in names:
            path = directory / name.removesuffix(".gz")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(domains if mode != "adblock" else "".join(f"||{d}^\n" for d in domains.split()))
    for name in WIKIDATA:
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).write_text(json.dumps([{"url": d, "description": "a paper"} for d in domains.split()]))


def megabytes_per_second(tagger: Tagger, documents: Documents) -> float:
    times = []
    for _ in range(RUNS):
        start = time.process_time()
        tagger.tag(documents)
        times.append(time.process_time() - start)
    return documents.text_bytes / 1e6 / statistics.median(times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("documents", nargs="+")
    parser.add_argument("--only", default="", help="taggers whose names begin so")
    parser.add_argument("--bytes", type=int, default=1_000_000, help="bytes of text from each file")
    parser.add_argument("--write", action="store_true")
    arguments = parser.parse_args()
    documents = sample(arguments.documents, arguments.bytes)
    found: dict[str, float] = json.loads(SPEEDS.read_text("utf-8"))["mb_per_second"]
    with tempfile.TemporaryDirectory() as directory:
        make_lists(Path(directory))
        os.environ["DOLMA_LISTS"] = directory
        for name, entry in built_in().items():
            if not name.startswith(arguments.only):
                continue
            try:
                tagger = entry.load()
            except ConfigError as error:
                print(f"{name:<45} not measured: {str(error)[:80]}")
                continue
            part = next((n for prefix, n in SLOW.items() if name.startswith(prefix)), 1)
            speed = megabytes_per_second(tagger, documents.slice(0, max(1, len(documents) // part)))
            found[name] = float(f"{speed:.3g}")
            print(f"{name:<45} {found[name]:>8} MB/s", flush=True)
    if arguments.write:
        lines = ",\n".join(f'    "{name}": {found[name]:g}' for name in sorted(found))
        SPEEDS.write_text(f'{{\n  "mb_per_second": {{\n{lines}\n  }}\n}}\n', "utf-8")


if __name__ == "__main__":
    main()
