"""`make bench`: MB of text per CPU second and peak memory of every stage, beside dolma 1.2.1 in the same run.

Both tools are started as commands on the same files with one process; start-up is part of the cost of both, and also
shown apart. Documents: $DOLMA_TEST_DATA, `SOURCE/documents/*.jsonl.gz`.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
from pathlib import Path

from bench.cases import CASES, Case
from bench.limits import limits
from bench.measure import Cost, measure
from bench.peer import peer, with_model
from dolma_pipeline.formats.documents import read_documents

ROOT = Path(__file__).resolve().parent.parent
CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "dolma_pipeline"


def main() -> int:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    data = os.environ.get("DOLMA_TEST_DATA", str(ROOT.parent / "shared" / "data"))
    parser.add_argument("--data", type=Path, default=Path(data), help="directory of SOURCE/documents/*.jsonl.gz")
    parser.add_argument("--no-peer", action="store_true", help="only ours")
    parser.add_argument("--only", default="", help="cases whose name holds this")
    parser.add_argument("--output", type=Path, help="also write the figures as JSON")
    options = parser.parse_args()
    files = sorted(options.data.glob("*/documents/*.jsonl.gz"))
    if not files:
        print(f"no documents at {options.data}; set DOLMA_TEST_DATA", file=sys.stderr)
        return 2
    ours = Path(sys.executable).with_name("dolma")
    theirs = None if options.no_peer else peer(CACHE)
    rows = []
    with tempfile.TemporaryDirectory() as temporary:
        work = Path(temporary)
        tokenizer = make_tokenizer(files, work)
        print_limits(files)
        print(f"{'':<26}{'ours':>22}{'dolma 1.2.1':>26}{'ratio':>8}")
        for case in CASES:
            if options.only in case.name:
                rows.append(compare(case, files, work, ours, theirs, tokenizer))
    startup(ours, theirs)
    if options.output is not None:
        options.output.parent.mkdir(parents=True, exist_ok=True)
        options.output.write_text(json.dumps(rows, indent=1) + "\n")
    return 0


Row = dict[str, str | float]


def compare(case: Case, files: list[Path], work: Path, ours: Path, theirs: Path | None, tokenizer: Path) -> Row:
    """Runs one case with both and prints its line."""
    mine = prepared(work / "ours", files, 1.0, tokenizer, case, ours)
    cost, size = measure([str(ours), *case.arguments(mine)], mine), text_size(mine)
    row: Row = {"case": case.name, "mb": size, "mb_per_cpu_s": size / cost.cpu, "peak_mb": cost.peak / 1e6}
    line = f"{case.name:<26}{show(size, cost)}"
    if theirs is not None and case.peer:
        their = prepared(work / "theirs", files, case.fraction, tokenizer, case, ours)
        arguments, environment = with_model(case.arguments(their), their)
        other, amount = measure([str(theirs), *arguments], their, environment), text_size(their)
        ratio = (size / cost.cpu) / (amount / other.cpu)
        row |= {"peer_mb": amount, "peer_mb_per_cpu_s": amount / other.cpu}
        row |= {"peer_peak_mb": other.peak / 1e6, "ratio": ratio}
        line += f"  {show(amount, other)}{ratio:>7.1f}x"
    print(line, flush=True)
    return row


def show(size: float, cost: Cost) -> str:
    return f"{size / cost.cpu:>8.1f} MB/s {cost.peak / 1e6:>6.0f} MB"


def prepared(directory: Path, files: list[Path], fraction: float, tokenizer: Path, case: Case, ours: Path) -> Path:
    """A fresh directory with the documents (every n-th file of a fraction), and what the case needs beside them."""
    shutil.rmtree(directory, ignore_errors=True)
    (directory / "documents").mkdir(parents=True)
    step = max(1, round(1 / fraction))
    for file in files[::step]:
        shutil.copy(file, directory / "documents" / file.name)
    shutil.copy(tokenizer, directory / "tokenizer.json")
    if case.name == "mix":
        documents = str(directory / "documents" / "*.gz")
        command = ["tag", "--documents", documents, "--experiment", "bench", "--taggers", "gopher_v2", "c4_v2"]
        measure([str(ours), *command], directory)
    return directory


def text_size(directory: Path) -> float:
    """MB of text in the documents."""
    files = sorted((directory / "documents").glob("*.gz"))
    return sum(d.text_bytes for f in files for d in read_documents(f)) / 1e6


def make_tokenizer(files: list[Path], work: Path) -> Path:
    """A BPE of 8,192 tokens from the first documents, the same for both tools."""
    from dolma_pipeline.config.recipe import TrainTokenizer
    from dolma_pipeline.engine.task import Context
    from dolma_pipeline.tokens.sample import SampledShard
    from dolma_pipeline.tokens.training import TrainOnShards, train_tokenizer

    path = work / "tokenizer.json"
    shards = [SampledShard(path=str(f), label=f.name) for f in files]
    settings = TrainTokenizer(vocab_size=8192, sample_bytes=4_000_000)
    train_tokenizer(TrainOnShards(shards=shards, train=settings, output=str(path), seed=1), Context())
    form = json.loads(path.read_text())
    # A merge as one string, which every release of `tokenizers` reads: the peer's may be older than pairs are.
    form["model"]["merges"] = [" ".join(pair) for pair in form["model"]["merges"]]
    path.write_text(json.dumps(form))
    return path


def print_limits(files: list[Path]) -> None:
    found = limits(files[:4])
    print("limits of one core, MB/s: " + ", ".join(f"{name} {value:.0f}" for name, value in found.items()))


def startup(ours: Path, theirs: Path | None) -> None:
    with tempfile.TemporaryDirectory() as temporary:
        directory = Path(temporary)
        print(f"dolma --help: {measure([str(ours), '--help'], directory).cpu:.2f} s of CPU", end="")
        if theirs is not None:
            print(f" (dolma 1.2.1: {measure([str(theirs), '--help'], directory).cpu:.2f} s)", end="")
        print()
        (directory / "documents").mkdir()
        (directory / "documents" / "one.jsonl").write_text('{"id":"1","text":"one document"}\n')
        documents = str(directory / "documents" / "*")
        command = ["tag", "--documents", documents, "--experiment", "e", "--taggers", "gopher_v2"]
        print(f"dolma tag on one document: {measure([str(ours), *command], directory).cpu:.2f} s of CPU")


if __name__ == "__main__":
    sys.exit(main())
