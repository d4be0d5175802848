"""The same bytes: any number of partitions and workers, both ways to join links, killed, resumed, and made again."""

from __future__ import annotations

import gzip
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import msgspec
import pyarrow.parquet as pq
import pytest
import yaml

from dolma_pipeline.config.load import decode
from dolma_pipeline.config.recipe import Recipe
from dolma_pipeline.engine.plan import State, make_plan
from dolma_pipeline.engine.verify import verify_run
from tests.corpus import entered
from tests.dedupe.near_corpus import attributes, details, files, make_corpus, recipe, run, text, write


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_corpus(tmp_path_factory.mktemp("corpus"))


@pytest.fixture(scope="module")
def expected(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    work_dir = tmp_path_factory.mktemp("one") / "w"
    manifest = run(recipe(corpus, work_dir))
    found = details(manifest)
    assert (found["documents"], found["without_text"], found["clusters"], found["duplicates"]) == (103, 3, 30, 60)
    assert verify_run(work_dir) == []
    return files(work_dir)


@pytest.mark.parametrize("partitions", [1, 7, 64])
@pytest.mark.parametrize("memory", [0, 1 << 30])
def test_partitions_and_ways_to_join(
    corpus: Path, expected: dict[str, bytes], tmp_path: Path, partitions: int, memory: int
) -> None:
    manifest = run(recipe(corpus, tmp_path / "w", minhash={"memory": memory}, partitions=partitions))
    assert files(tmp_path / "w") == expected
    assert (details(manifest)["rounds"] > 0) == (memory == 0)
    assert not (tmp_path / "w" / "scratch").exists()


@pytest.mark.parametrize("score", [False, True])
def test_pieces_of_large_files(corpus: Path, tmp_path: Path, score: bool) -> None:
    keep = [{"score": "gopher_v2.word_count"}, {"newest": "source"}] if score else []
    tag = [{"tag": {"taggers": ["gopher_v2"]}}] if score else []
    warnings = []
    for name, piece_bytes in (("whole", None), ("pieces", 1000)):
        work_dir = tmp_path / name
        manifest = run(recipe(corpus, work_dir, minhash={"keep": keep}, before=tag, piece_bytes=piece_bytes))
        phases = {path.name.partition("-")[2] for path in (work_dir / "ledger").iterdir()}
        assert ("near-keys-pieces" in phases) == (name == "pieces")
        assert details(manifest)["duplicates"] == 60
        warnings.append(manifest.warnings)
        assert verify_run(work_dir) == []
    assert attributes(tmp_path / "pieces") == attributes(tmp_path / "whole")
    assert warnings[0] == warnings[1]
    assert len(warnings[0]) == 3


def test_bad_lines_and_a_truncated_file(tmp_path: Path) -> None:
    """What cannot be read is set aside once, though the file is read twice, and all rows stay in step."""
    rows = [{"id": str(n), "text": text(n // 2, changed=[n])} for n in range(8)]
    good = [json.dumps(row).encode() for row in rows]
    path = tmp_path / "a" / "documents" / "1.jsonl"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"\n".join([b"{", *good[:3], b"\xff", b"", *good[3:], b'{"id": "x"}']) + b"\n")
    cut = gzip.compress(b"\n".join(good[:4]) + b"\n", mtime=0)
    (path.parent / "2.jsonl.gz").write_bytes(cut[:-9])
    settings = recipe(tmp_path, tmp_path / "w") | {"max_bad_fraction": 1.0}
    manifest = run(settings)
    counts = manifest.stages[0].counts["a"]
    assert (counts.quarantined, counts.documents_out) == (3, len(attributes_of(tmp_path)))
    assert [row["duplicate"] for row in attributes_of(tmp_path)[:8]].count(1.0) == 4
    assert verify_run(tmp_path / "w") == []


def attributes_of(directory: Path) -> list[dict[str, Any]]:
    paths = sorted((directory / "w" / "attributes").rglob("*.parquet"))
    return [row for path in paths for row in pq.read_table(path).to_pylist()]


@pytest.mark.parametrize("memory", [0, 1 << 30])
def test_scratch_files_are_made_again(corpus: Path, tmp_path: Path, memory: int) -> None:
    """Another rule of verification needs the texts, whose components need the links, whose files are gone."""
    minhash: dict[str, Any] = {"memory": memory}
    run(recipe(corpus, tmp_path / "w", minhash=minhash))
    other = minhash | {"verify": {"threshold": 0.95}, "force": True}
    run(recipe(corpus, tmp_path / "fresh", minhash=other))
    run(recipe(corpus, tmp_path / "w", minhash=other))
    assert files(tmp_path / "w") == files(tmp_path / "fresh")
    assert verify_run(tmp_path / "w") == []


def test_rounds_that_are_needed_no_more_leave_nothing(corpus: Path, expected: dict[str, bytes], tmp_path: Path) -> None:
    run(recipe(corpus, tmp_path / "w", minhash={"memory": 0}))
    run(recipe(corpus, tmp_path / "w"))
    assert files(tmp_path / "w") == expected
    assert [p.name for p in (tmp_path / "w" / "ledger").iterdir() if "-large-" in p.name and any(p.iterdir())] == []


def test_a_second_run_does_nothing(corpus: Path, tmp_path: Path) -> None:
    settings = recipe(corpus, tmp_path / "w", minhash={"memory": 0})
    run(settings)
    before = {p: p.stat().st_mtime_ns for p in (tmp_path / "w").rglob("*") if p.is_file()}
    run(settings)
    after = {p: p.stat().st_mtime_ns for p in (tmp_path / "w").rglob("*") if p.is_file()}
    assert {p.name for p in before if before[p] != after.get(p)} <= {
        "manifest.json",
        "sources.json",
        "timings.json",
        ".lock",
    }


def start(directory: Path, settings: dict[str, Any], *options: str) -> subprocess.Popen[bytes]:
    path = directory / "recipe.yaml"
    path.write_text(yaml.safe_dump(settings))
    command = [sys.executable, "-m", "dolma_pipeline", "run", str(path), "--no-report", *options]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, cwd=directory, stdout=pipe, stderr=subprocess.STDOUT, start_new_session=True)


@pytest.mark.slow
def test_two_processes_on_ray(corpus: Path, expected: dict[str, bytes], tmp_path: Path) -> None:
    process = start(tmp_path, recipe(corpus, tmp_path / "w", minhash={"memory": 0}), "--processes", "2")
    out, _ = process.communicate(timeout=240)
    assert process.returncode == 0, out.decode()
    assert files(tmp_path / "w") == expected


@pytest.mark.parametrize("seed", [1, 2])
def test_killed_and_resumed(corpus: Path, expected: dict[str, bytes], tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    settings = recipe(corpus, tmp_path / "w", minhash={"memory": 0}, partitions=3)
    for _ in range(3):
        process = start(tmp_path, settings)
        deadline = time.monotonic() + 60
        entries = entered(tmp_path / "w") + rng.randint(1, 9)
        while time.monotonic() < deadline and process.poll() is None and entered(tmp_path / "w") < entries:
            time.sleep(0.002)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    process = start(tmp_path, settings)
    out, _ = process.communicate(timeout=240)
    assert process.returncode == 0, out.decode()
    assert files(tmp_path / "w") == expected
    assert verify_run(tmp_path / "w") == []


def test_the_order_of_files_decides_only_the_numbers(tmp_path: Path) -> None:
    """Files in another order: the same documents stay, for the order is the last rule of all."""
    texts = [text(seed, 150, changed=[copy]) for seed in range(5) for copy in range(3)]
    for name, order in (("one", range(15)), ("two", reversed(range(15)))):
        for place, n in enumerate(order):
            write(tmp_path / name / "a" / "documents" / f"{place:02d}.jsonl", [{"id": str(n), "text": texts[n]}])
        run(recipe(tmp_path / name, tmp_path / name / "w"))
    one, two = attributes(tmp_path / "one" / "w"), attributes(tmp_path / "two" / "w")
    assert {id: row["duplicate_of"] for id, row in one.items()} == {id: row["duplicate_of"] for id, row in two.items()}
    assert sum(row["duplicate"] is not None for row in one.values()) == 10


def test_messages_stay_small_and_a_plan_linear(corpus: Path, tmp_path: Path) -> None:
    settings = recipe(corpus, tmp_path / "w", minhash={"memory": 0}, partitions=200)
    run(settings)
    plan, state = make_plan(decode(Recipe, settings)), State()
    tasks = []
    for phase in plan.phases:
        plan.look_up(phase, state)
        tasks += list(phase.build(state))
    rounds = {task.phase for task in tasks if "-large-" in task.phase or "-small-" in task.phase}
    assert len(tasks) == 3 * 6 + (3 + len(rounds)) * 200 + 1
    assert max(len(msgspec.json.encode(task)) for task in tasks) < 3000
