"""The same bytes: one process, two on Ray, killed and run again, in another directory."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from dolma_pipeline.engine.verify import verify_run
from tests.corpus import entered, make_corpus, recipe

DATA = ("attributes", "mixed", "tokens", "tokenizer", "quarantine")


def digests(work_dir: Path) -> dict[str, str]:
    """BLAKE3 of every data file, from the manifest; and nothing is on disk that the manifest does not name."""
    manifest = json.loads((work_dir / "manifest.json").read_text())
    files = {f["path"]: f["blake3"] for f in manifest["files"]}
    there = {p.relative_to(work_dir).as_posix() for d in DATA for p in (work_dir / d).rglob("*") if p.is_file()}
    assert there == set(files)
    return files


def settings_of(corpus: Path, work_dir: Path) -> dict[str, Any]:
    """The recipe with the attributes kept, and packed tokens beside its own."""
    settings = recipe(corpus, work_dir)
    settings["stages"][3]["mix"]["keep_attributes"] = True
    tokenizer = {"train": {"vocab_size": 300, "sample_bytes": 5000}, "eos": "<|endoftext|>"}
    packs: tuple[dict[str, Any], ...] = (
        {"by": "best_fit", "length": 128, "mask_first": True},
        {"by": "bucket", "length": 64, "min_length": 16, "rest": "drop"},
    )
    for pack in packs:
        packed = {"tokenizer": tokenizer, "pack": pack, "max_tokens": 2000}
        settings["stages"].append({"tokens": packed | {"destination": str(work_dir / "tokens" / pack["by"])}})
    return settings


def start(directory: Path, settings: dict[str, Any], *options: str) -> subprocess.Popen[bytes]:
    path = directory / f"{Path(settings['work_dir']).name}.yaml"
    path.write_text(yaml.safe_dump(settings))
    command = [sys.executable, "-m", "dolma_pipeline", "run", str(path), "--no-report", *options]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, cwd=directory, stdout=pipe, stderr=subprocess.STDOUT, start_new_session=True)


def finish(process: subprocess.Popen[bytes]) -> None:
    out, _ = process.communicate(timeout=240)
    assert process.returncode == 0, out.decode()


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_corpus(tmp_path_factory.mktemp("corpus"))


@pytest.fixture(scope="module")
def expected(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    directory = tmp_path_factory.mktemp("one")
    finish(start(directory, settings_of(corpus, directory / "run")))
    return digests(directory / "run")


def test_there_is_something_to_compare(expected: dict[str, str]) -> None:
    assert sum(p.startswith("tokens/train/part-") for p in expected) >= 4
    assert sum(p.startswith("tokens/best_fit/part-") and p.endswith(".mask") for p in expected) >= 2
    assert sum(p.startswith("tokens/bucket/bucket-") for p in expected) >= 9
    assert sum(p.startswith("mixed/") for p in expected) == 6
    assert sum(p.startswith("attributes/") for p in expected) == 18


@pytest.mark.slow
def test_two_processes_on_ray(corpus: Path, expected: dict[str, str], tmp_path: Path) -> None:
    finish(start(tmp_path, settings_of(corpus, tmp_path / "run"), "--processes", "2"))
    assert digests(tmp_path / "run") == expected


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_killed_at_three_moments(corpus: Path, expected: dict[str, str], tmp_path: Path, seed: int) -> None:
    """SIGKILL at random moments, of which a slow start-up only makes the first less interesting."""
    rng = random.Random(seed)
    settings = settings_of(corpus, tmp_path / "run")
    for _ in range(3):
        process = start(tmp_path, settings)
        ledger = tmp_path / "run"
        deadline = time.monotonic() + 60
        entries = entered(ledger) + rng.randint(1, 12)
        while time.monotonic() < deadline and process.poll() is None and entered(ledger) < entries:
            time.sleep(0.002)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    finish(start(tmp_path, settings))
    assert digests(tmp_path / "run") == expected


def test_verify_finds_one_changed_byte_in_any_file(corpus: Path, tmp_path: Path) -> None:
    finish(start(tmp_path, settings_of(corpus, tmp_path / "run")))
    assert verify_run(tmp_path / "run") == []
    rng = random.Random(1)
    for name in digests(tmp_path / "run"):
        path = tmp_path / "run" / name
        whole = path.read_bytes()
        changed = bytearray(whole)
        changed[rng.randrange(len(whole))] ^= 1 << rng.randrange(8)
        path.write_bytes(changed)
        (problem,) = verify_run(tmp_path / "run")
        assert problem.startswith(f"{name}: expected BLAKE3 ")
        path.write_bytes(whole)
    assert verify_run(tmp_path / "run") == []


def test_a_second_run_does_nothing(corpus: Path, tmp_path: Path) -> None:
    settings = recipe(corpus, tmp_path / "run")
    finish(start(tmp_path, settings))
    first = {p: p.stat().st_mtime_ns for p in (tmp_path / "run").rglob("*") if p.is_file()}
    finish(start(tmp_path, settings))
    second = {p: p.stat().st_mtime_ns for p in (tmp_path / "run").rglob("*") if p.is_file()}
    changed = {p.name for p in first if first[p] != second[p]}
    assert changed <= {"manifest.json", "sources.json", "timings.json", ".lock"}


def test_a_changed_rule_redoes_the_mix_and_not_the_tags(corpus: Path, tmp_path: Path) -> None:
    settings = recipe(corpus, tmp_path / "run")
    finish(start(tmp_path, settings))
    before = digests(tmp_path / "run")
    tags = {p: p.stat().st_mtime_ns for p in (tmp_path / "run" / "attributes").rglob("*.parquet")}
    settings["stages"][3]["mix"]["drop"]["short"] = "gopher_v2.word_count < 60"
    finish(start(tmp_path, settings))
    after = digests(tmp_path / "run")
    assert {p: p.stat().st_mtime_ns for p in tags} == tags
    assert {p for p in before if p.startswith("attributes/")} == {p for p in after if p.startswith("attributes/")}
    assert [before[p] for p in before if p.startswith("mixed/")] != [after[p] for p in after if p.startswith("mixed/")]
