"""Documents with near copies, and runs of a near-duplicate stage on them."""

from __future__ import annotations

import gzip
import json
import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from dolma_pipeline.config.load import decode
from dolma_pipeline.config.recipe import Recipe
from dolma_pipeline.engine.manifest import RunManifest
from dolma_pipeline.engine.run import RunOptions, run_recipe

Document = dict[str, Any]


def words(seed: int, count: int) -> list[str]:
    """Words of a text that shares next to nothing with those of another seed."""
    rng = random.Random(seed)
    return [f"w{rng.randrange(100_000)}" for _ in range(count)]


def text(seed: int, count: int = 150, *, changed: Sequence[int] = ()) -> str:
    """A text of `count` words; those at the places `changed` are others."""
    found = words(seed, count)
    for place in changed:
        found[place] = f"other{seed}x{place}"
    return " ".join(found)


def similarity(one: str, two: str, n: int = 3) -> float:
    """The Jaccard similarity of the n-grams of words."""
    a, b = (
        {tuple(found[i : i + n]) for i in range(len(found) - n + 1)}
        for found in (one.lower().split(), two.lower().split())
    )
    return len(a & b) / len(a | b)


def write(path: Path, documents: Sequence[Document]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(list(documents)), path)
        return
    lines = "".join(f"{json.dumps(document)}\n" for document in documents).encode()
    path.write_bytes(gzip.compress(lines, mtime=0) if path.suffix == ".gz" else lines)


def make_corpus(directory: Path) -> Path:
    """Two sources of several formats: chains of copies across files, a file without documents, one without a word."""
    groups: dict[int, list[Document]] = {}
    for seed in range(40):
        for copy in range(1 + seed % 4):
            changed = range(0, 3 * copy, 3)
            document = {"id": f"{seed}-{copy}", "text": text(seed, 120 + seed + copy, changed=changed), "source": "s"}
            groups.setdefault((seed + copy) % 4, []).append(document)
    for name, number in (("a/1.jsonl", 0), ("a/2.parquet", 1), ("a/3.jsonl.gz", 2), ("b/1.jsonl", 3)):
        source, _, file = name.partition("/")
        write(directory / source / "documents" / file, groups[number])
    write(directory / "a" / "documents" / "4.jsonl", [])
    write(directory / "b" / "documents" / "2.jsonl", [{"id": f"none-{i}", "text": " ... \n"} for i in range(3)])
    return directory


def recipe(
    directory: Path,
    work_dir: Path,
    *,
    minhash: Mapping[str, Any] | None = None,
    priority: Mapping[str, int] | None = None,
    stages: Sequence[Mapping[str, Any]] = (),
    before: Sequence[Mapping[str, Any]] = (),
    columns: Mapping[str, Any] | None = None,
    piece_bytes: int | None = None,
    **dedupe: Any,
) -> dict[str, Any]:
    """A recipe with a source for each directory in `directory`, and a dedupe stage `near`."""
    sources: dict[str, Any] = {}
    for path in sorted(directory.iterdir()):
        if (path / "documents").is_dir():
            sources[path.name] = {
                "documents": str(path / "documents" / "*"),
                "priority": (priority or {}).get(path.name, 0),
            }
            if columns is not None:
                sources[path.name]["columns"] = dict(columns)
    stage = {"dedupe": {"name": "near", "minhash": dict(minhash or {}), **dedupe}}
    settings: dict[str, Any] = {
        "name": "near",
        "work_dir": str(work_dir),
        "sources": sources,
        "stages": [*map(dict, before), stage, *map(dict, stages)],
    }
    if piece_bytes is not None:
        settings["piece_bytes"] = piece_bytes
    return settings


def run(settings: Mapping[str, Any], **options: Any) -> RunManifest:
    return run_recipe(decode(Recipe, dict(settings)), RunOptions(progress="none", **options))


def attributes(work_dir: Path) -> dict[str, Document]:
    """The attributes of each document, by its id."""
    rows: dict[str, Document] = {}
    for path in sorted((work_dir / "attributes" / "near").rglob("*.parquet")):
        for row in pq.read_table(path).to_pylist():
            rows[row.pop("id")] = row
    return rows


def files(work_dir: Path) -> dict[str, bytes]:
    """The bytes of every attribute file."""
    below = work_dir / "attributes"
    return {p.relative_to(below).as_posix(): p.read_bytes() for p in sorted(below.rglob("*")) if p.is_file()}


def details(manifest: RunManifest) -> dict[str, Any]:
    """What the near-duplicate stage tells of itself."""
    found: dict[str, Any] = msgspec.to_builtins(next(s for s in manifest.stages if s.id.endswith("-near")).details)
    return found
