"""The outputs of a toy corpus are those that were recorded: with one process, with two, and after a kill.

`toy_hashes.json` holds a SHA-256 of every file of data that the recipes of toy_corpus.py write, so that a change inside
the pipeline that is meant to change no output is seen to change none. Where a change is meant, record them anew and
name the files that differ, and why, in the commit:

    DOLMA_UPDATE_TOY=1 pytest tests/test_toy_hashes.py

Some files are not compared byte for byte, because something else than this package decides their bytes:

- Parquet by its schema and values, since pyarrow writes its own version into the file;
- the table of a classifier by how many documents each label had, and its model not at all: the last bits of fastText's
  weights depend on the mathematical library of the machine;
- JSON that names versions without them.

The merges of the tokenizer are those of the library `tokenizers`, whose version is recorded beside the hashes.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from tests.toy_corpus import RECIPES, make_toy

RECORD = Path(__file__).with_name("toy_hashes.json")
BOOKKEEPING = {"manifest.json", "sources.json", "timings.json", "ledger", "scratch"}
"""Names at the top of a run that are no data, beside those that begin with a dot."""
KILLED_AT = (7, 30)
"""How many outputs of the recipe `toy` are there when its run is killed, and when the next run is killed."""


def digest(path: Path) -> str | None:
    """SHA-256 of what this package decides about the file; None where that is nothing."""
    if path.suffix == ".html" or (path.parent.name == "classifiers" and path.suffix == ".bin"):
        return None
    if path.suffix == ".parquet":
        table = pq.read_table(path)
        fields = [(f.name, str(f.type), f.nullable, sorted((f.metadata or {}).items())) for f in table.schema]
        return _sha256(repr((fields, table.to_pydict())).encode())
    if path.parent.name == "classifiers":
        return _sha256(json.dumps(json.loads(path.read_bytes())["examples"]).encode())
    if path.suffix == ".json":
        content: dict[str, Any] = json.loads(path.read_bytes())
        if content.pop("versions", None) is not None:
            return _sha256(json.dumps(content).encode())
    return _sha256(path.read_bytes())


def record() -> dict[str, Any]:
    recorded: dict[str, Any] = json.loads(RECORD.read_bytes())
    return recorded


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def digests(directory: Path) -> dict[str, str]:
    """Those of all files of data below `directory`, by the name of the run and the path in it."""
    found: dict[str, str] = {}
    for run in sorted((directory / "runs").iterdir()):
        for path in sorted(run.rglob("*")):
            top = path.relative_to(run).parts[0]
            if path.is_file() and top not in BOOKKEEPING and not top.startswith("."):
                hashed = digest(path)
                if hashed is not None:
                    found[path.relative_to(directory / "runs").as_posix()] = hashed
    return found


def differences(directory: Path, recipes: Iterable[str]) -> list[str]:
    """A line for each file of these runs that is not as recorded, then one where the library has another version."""
    recorded = record()
    found = digests(directory)
    hashes = {name: h for name, h in recorded["files"].items() if name.partition("/")[0] in recipes}
    lines = [f"{name}: recorded, and not written" for name in sorted(hashes.keys() - found.keys())]
    lines += [f"{name}: written, and not recorded" for name in sorted(found.keys() - hashes.keys())]
    lines += [f"{name}: other content" for name in sorted(hashes) if found.get(name, hashes[name]) != hashes[name]]
    if lines and recorded["tokenizers"] != version("tokenizers"):
        lines.append(f"recorded with tokenizers {recorded['tokenizers']}, this is {version('tokenizers')}")
    return lines


def start(directory: Path, name: str, *options: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "dolma_pipeline", "run", f"{name}.yaml", "--no-report", *options]
    return subprocess.Popen(
        command, cwd=directory, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True
    )


def run(directory: Path, recipes: Iterable[str], *options: str) -> None:
    for name in recipes:
        process = start(directory, name, *options)
        out, _ = process.communicate(timeout=240)
        assert process.returncode == 0, out.decode()


def test_one_process(tmp_path: Path) -> None:
    make_toy(tmp_path)
    run(tmp_path, RECIPES)
    if os.environ.get("DOLMA_UPDATE_TOY"):
        new = {"tokenizers": version("tokenizers"), "files": digests(tmp_path)}
        RECORD.write_text(json.dumps(new, indent=1, sort_keys=True) + "\n")
    assert differences(tmp_path, RECIPES) == []


def test_every_kind_of_output_is_there() -> None:
    names = list(record()["files"])
    parts = {
        "toy/attributes/base/": 4,
        "toy/attributes/own/": 4,
        "toy/attributes/copies/": 4,
        "toy/attributes/paragraphs/": 4,
        "toy/attributes/ngrams/": 4,
        "toy/mixed/mixed/": 2,
        "toy/mixed/columns/": 2,
        "toy/quarantine/": 6,
        "toy/stat/": 2,
        "toy/classifiers/": 1,
        "toy/tokenizer/": 2,
        "toy/tokens/train/": 6,
        "toy/tokens/validation/": 4,
        "toy/fertility/": 1,
        "reshard/tokens/": 14,
        "megatron/tokens/": 8,
        "datatrove/tokens/": 10,
    }
    assert {part: sum(name.startswith(part) for name in names) for part in parts} == parts
    assert sum(parts.values()) == len(names)


def test_killed_and_resumed(tmp_path: Path) -> None:
    make_toy(tmp_path)
    outputs = [tmp_path / "runs" / name for name in record()["files"] if name.startswith("toy/")]
    for moment in KILLED_AT:
        process = start(tmp_path, "toy")
        deadline = time.monotonic() + 60
        while sum(path.is_file() for path in outputs) < moment and time.monotonic() < deadline:
            time.sleep(0.002)
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        assert process.returncode == -signal.SIGKILL, "the run was over before it was killed"
        assert moment <= sum(path.is_file() for path in outputs) < len(outputs)
    run(tmp_path, ["toy"])
    assert differences(tmp_path, ["toy"]) == []


@pytest.mark.slow
def test_two_processes(tmp_path: Path) -> None:
    make_toy(tmp_path)
    run(tmp_path, ["toy"], "--processes", "2")
    assert differences(tmp_path, ["toy"]) == []
