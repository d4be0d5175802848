"""What near-duplicate detection finds: python -m bench.near_duplicates DOCUMENTS... [--documents 3000]

Real documents get copies of known kinds, and the pipeline marks near-duplicates among all of them. The table says of
each kind how many pairs there are whose similarity is at least 0.8, and of how many of these one document is marked.
The similarity is computed here, in sets of 3-grams of the tokens that the stage compares. `--minhash` takes settings of
the stage in JSON; `--keep DIR` leaves the run there.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import resource
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from dolma_pipeline import _native
from dolma_pipeline.config.load import decode
from dolma_pipeline.config.recipe import Recipe
from dolma_pipeline.engine.manifest import Timings
from dolma_pipeline.engine.run import RunOptions, run_recipe
from dolma_pipeline.formats.documents import read_documents
from dolma_pipeline.io.atomic import read_json
from dolma_pipeline.report.summary import table

WORD = re.compile(r"\w+")
Shingles = set[tuple[int, ...]]
THRESHOLD = 0.8
LEAST_WORDS = 100
"""Words that an original must have."""
MOST_WORDS = 3000

Edit = Callable[[list[str], random.Random, list[str]], list[str]]


def replaced(share: float) -> Edit:
    """Replaces a share of the words by words of other documents."""

    def edit(words: list[str], rng: random.Random, others: list[str]) -> list[str]:
        found = list(words)
        for place in rng.sample(range(len(words)), max(1, round(share * len(words)))):
            found[place] = rng.choice(others)
        return found

    return edit


def truncated(share: float) -> Edit:
    """Keeps the beginning."""
    return lambda words, rng, others: words[: round(share * len(words))]


def longer(share: float) -> Edit:
    """Puts words of other documents before and behind the text; `share` of the result is the text."""

    def edit(words: list[str], rng: random.Random, others: list[str]) -> list[str]:
        more = round(len(words) / share) - len(words)
        begin = rng.randrange(len(others) - more) if more < len(others) else 0
        added = others[begin : begin + more]
        return [*added[: more // 2], *words, *added[more // 2 :]]

    return edit


def template(share: float) -> Edit:
    """Keeps a share of the text as boilerplate, and has other words for the rest: a near miss."""

    def edit(words: list[str], rng: random.Random, others: list[str]) -> list[str]:
        kept = round(share * len(words))
        begin = rng.randrange(len(others) - len(words))
        return [*words[:kept], *others[begin : begin + len(words) - kept]]

    return edit


KINDS: dict[str, Edit] = {
    "exact copy": lambda words, rng, others: list(words),
    **{f"{share} % of words replaced": replaced(share / 100) for share in (1, 2, 3, 4, 5, 10, 20)},
    **{f"truncated to {share} %": truncated(share / 100) for share in (95, 85, 70, 50)},
    **{f"{share} % of a longer text": longer(share / 100) for share in (95, 85, 70, 50)},
    **{f"boilerplate of {share} %": template(share / 100) for share in (30, 50, 70)},
}


def shingles(text: str) -> Shingles:
    (tokens,) = _native.minhash_tokens(pa.array([text], pa.large_string()), unit="words").to_pylist()
    return {tuple(tokens[i : i + 3]) for i in range(max(1, len(tokens) - 2))}


def jaccard(one: Shingles, two: Shingles) -> float:
    return len(one & two) / max(1, len(one | two))


def originals(paths: Sequence[str], wanted: int) -> list[str]:
    """Texts of a fair length, an equal number of each file."""
    found: list[str] = []
    for path in paths:
        mine = 0
        for batch in read_documents(path):
            for text in batch.text.to_pylist():
                if mine < -(-wanted // len(paths)) and LEAST_WORDS <= len(WORD.findall(text)) <= MOST_WORDS:
                    found.append(text)
                    mine += 1
    return found[:wanted]


def make(directory: Path, texts: list[str], seed: int = 1) -> dict[str, tuple[str, str, float]]:
    """Writes originals and copies; returns for each copy its kind, its original, and their similarity."""
    rng = random.Random(seed)
    others = [word for text in rng.sample(texts, min(300, len(texts))) for word in text.split()]
    pairs: dict[str, tuple[str, str, float]] = {}
    rows = [{"id": f"o{n}", "text": text} for n, text in enumerate(texts)]
    kinds = list(KINDS)
    for n, text in enumerate(texts):
        kind = kinds[n % len(kinds)]
        copy = " ".join(KINDS[kind](text.split(), rng, others))
        rows.append({"id": f"c{n}", "text": copy})
        pairs[f"c{n}"] = (kind, f"o{n}", jaccard(shingles(text), shingles(copy)))
    rng.shuffle(rows)
    (directory / "documents").mkdir(parents=True)
    size = -(-len(rows) // 8)
    for number in range(8):
        lines = "".join(f"{json.dumps(row)}\n" for row in rows[number * size : (number + 1) * size])
        (directory / "documents" / f"{number}.jsonl").write_text(lines)
    return pairs


def measure(directory: Path, minhash: dict[str, Any]) -> tuple[dict[str, dict[str, Any]], str]:
    """The attributes of each document by its id, and what the run cost."""
    sources = {"s": {"documents": str(directory / "documents" / "*.jsonl")}}
    settings = {
        "name": "near",
        "work_dir": str(directory / "run"),
        "sources": sources,
        "stages": [{"dedupe": {"name": "near", "minhash": minhash}}],
    }
    before = resource.getrusage(resource.RUSAGE_SELF)
    run_recipe(decode(Recipe, settings), RunOptions(progress="none"))
    after = resource.getrusage(resource.RUSAGE_SELF)
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    rows: dict[str, dict[str, Any]] = {}
    for path in sorted((directory / "run" / "attributes").rglob("*.parquet")):
        rows |= {row["id"]: row for row in pq.read_table(path).to_pylist()}
    timings: Timings = read_json(directory / "run" / "timings.json", Timings)
    size = max(phase.bytes for phase in timings.phases) / 1e6
    phases = ", ".join(f"{phase.phase} {phase.cpu_seconds:.1f} s" for phase in timings.phases if phase.tasks)
    peak = after.ru_maxrss / 1e3
    return rows, f"{size:.1f} MB in {seconds:.1f} s of CPU ({size / seconds:.1f} MB/s), peak {peak:.0f} MB; {phases}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("paths", nargs="+")
    parser.add_argument("--documents", type=int, default=3000)
    parser.add_argument("--minhash", type=json.loads, default={}, help="settings of the stage, in JSON")
    parser.add_argument("--keep", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        directory = options.keep or Path(temporary)
        texts = originals(options.paths, options.documents)
        pairs = make(directory, texts)
        rows, cost = measure(directory, options.minhash)
        print(cost)
        print(show(pairs, rows))
        print(precision(directory, rows))


def show(pairs: dict[str, tuple[str, str, float]], rows: dict[str, dict[str, Any]]) -> str:
    """A line for each kind."""
    lines: list[list[str]] = [["", "pairs", "similarity", f"of >= {THRESHOLD}", "found", "recall", "found of all"]]
    marked = {id for id, row in rows.items() if row["duplicate"] is not None}
    together = {copy: not marked.isdisjoint((copy, original)) for copy, (_, original, _) in pairs.items()}
    for kind in [*KINDS, "all"]:
        mine = {copy: s for copy, (k, _, s) in pairs.items() if kind in (k, "all")}
        alike = [copy for copy, similarity in mine.items() if similarity >= THRESHOLD]
        found = sum(together[copy] for copy in alike)
        mean = sum(mine.values()) / max(1, len(mine))
        recall = f"{found / len(alike):.1%}" if alike else ""
        every = f"{sum(together[copy] for copy in mine) / max(1, len(mine)):.1%}"
        lines.append([kind, str(len(mine)), f"{mean:.3f}", str(len(alike)), str(found), recall, every])
    return table(lines)


def precision(directory: Path, rows: dict[str, dict[str, Any]]) -> str:
    """How many of the documents that are marked are as similar to the one that stays as they must be."""
    marked = {id: row["duplicate_of"] for id, row in rows.items() if row["duplicate"] is not None}
    wanted = {*marked, *marked.values()}
    texts = {}
    for path in sorted((directory / "documents").iterdir()):
        for line in path.read_text().splitlines():
            row = json.loads(line)
            if row["id"] in wanted:
                texts[row["id"]] = shingles(row["text"])
    similar = {id: jaccard(texts[id], texts[other]) for id, other in marked.items()}
    right = sum(similarity >= THRESHOLD for similarity in similar.values())
    own = sum(id[1:] == other[1:] for id, other in marked.items())
    return (
        f"marked: {len(marked)}, of which {own} are a copy and its original; {right} have a similarity of {THRESHOLD} "
        f"or more to the document that stays: precision {right / max(1, len(marked)):.4f}; the least is "
        f"{min(similar.values(), default=1.0):.3f}"
    )


if __name__ == "__main__":
    main()
