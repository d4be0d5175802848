"""The examples run as their first lines say."""

from __future__ import annotations

import gzip
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import zstandard

import dolma_pipeline
from dolma_pipeline.config.load import load_recipe
from dolma_pipeline.engine.manifest import read_manifest
from dolma_pipeline.engine.plan import make_plan
from dolma_pipeline.engine.run import RunOptions, run_recipe
from dolma_pipeline.engine.verify import judge
from dolma_pipeline.report.account import load_run
from dolma_pipeline.report.html import render_page
from dolma_pipeline.report.summary import render_summary

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
HOSTS = {"web": ["a.org", "b.org", "a.org", "c.org", "d.org"], "books": ["none", "none", "z.org"]}
TOP = {"web": {"a.org": 2, "b.org": 1, "c.org": 1}, "books": {"none": 2, "z.org": 1}}


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the examples with two sources of documents, one file of which has a line that is none."""
    for path in EXAMPLES.glob("my_stage.*"):
        shutil.copy(path, tmp_path)
    for source, hosts in HOSTS.items():
        documents = tmp_path / "data" / source / "documents"
        documents.mkdir(parents=True)
        for shard in (0, 1):
            rows = [
                {"id": f"{i}", "text": f"words of {i} " * 9, "metadata": {"url": f"http://{host}/x"}}
                if host != "none"
                else {"id": f"{i}", "text": "few"}
                for i, host in enumerate(hosts)
                if i % 2 == shard
            ]
            lines = [json.dumps(row) for row in rows] + ["{"] * (source == "web" and shard == 1)
            (documents / f"{shard}.jsonl.gz").write_bytes(gzip.compress("\n".join(lines).encode() + b"\n"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def dolma(*arguments: str) -> str:
    command = [sys.executable, "-m", "dolma_pipeline", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("processes", [1, 2])
def test_a_stage_of_a_file_is_planned_run_resumed_verified_and_reported(place: Path, processes: int) -> None:
    recipe = load_recipe("my_stage.yaml", ["max_bad_fraction=0.2"])
    shared = "01-hosts-shards+             read 4 shards once for 01-hosts-shards, 02-tag"
    assert shared in make_plan(recipe).render()
    run_recipe(recipe, RunOptions(processes=processes, progress="none"))
    hosts = place / "runs" / "hosts" / "hosts" / "hosts.json"
    assert json.loads(hosts.read_bytes()) == TOP
    manifest = read_manifest(place / "runs" / "hosts")
    first = manifest.stages[0]
    assert (first.id, first.kind, first.accounts, first.role) == ("01-hosts", "hosts", True, "")
    counts = {s: (c.documents_in, c.documents_out, c.quarantined) for s, c in first.counts.items()}
    assert counts == {"web": (6, 5, 1), "books": (3, 3, 0)}
    assert judge("runs/hosts").problems == []
    table = "01-hosts: hosts\n  source  host   documents\n  web     a.org          2\n"
    assert table in render_summary(place / "runs" / "hosts")
    assert "<h2>01-hosts: hosts</h2>" in render_page(load_run(place / "runs" / "hosts"))
    written = hosts.stat().st_mtime_ns
    again = run_recipe(recipe, RunOptions(progress="none"))
    assert (again.digest, hosts.stat().st_mtime_ns) == (manifest.digest, written)


def test_a_changed_stage_is_done_again_and_nothing_else(place: Path) -> None:
    recipe = load_recipe("my_stage.yaml", ["max_bad_fraction=0.2"])
    run_recipe(recipe, RunOptions(progress="none"))
    shutil.copy("my_stage.py", "same.py")
    Path("same.py").replace("my_stage.py")
    assert make_plan(load_recipe("my_stage.yaml")).render().count("up to date,") == 3
    code = Path("my_stage.py").read_text()
    Path("my_stage.py").write_text(code.replace('or "none"', 'or "no address"'))
    recipe = load_recipe("my_stage.yaml", ["max_bad_fraction=0.2"])
    assert "8 tasks, 4 to do, 4 up to date" in make_plan(recipe).render()
    tagged = [path.stat().st_mtime_ns for path in sorted(Path("runs/hosts/attributes").rglob("*.parquet"))]
    run_recipe(recipe, RunOptions(progress="none"))
    found = json.loads((place / "runs" / "hosts" / "hosts" / "hosts.json").read_bytes())
    assert found["books"] == {"no address": 2, "z.org": 1}
    assert tagged == [path.stat().st_mtime_ns for path in sorted(Path("runs/hosts/attributes").rglob("*.parquet"))]


def test_the_commands_of_the_page_on_stages_run(place: Path) -> None:
    assert "01-hosts" in dolma("plan", "my_stage.yaml")
    options = ("--set", "max_bad_fraction=0.2", "--processes", "2")
    assert "01-hosts: hosts" in dolma("run", "my_stage.yaml", *options)
    assert "every file and every count is as its manifest says" in dolma("verify", "runs/hosts")


def test_the_page_on_stages_shows_the_example() -> None:
    page = (EXAMPLES.parent / "docs" / "stages.md").read_text()
    code = {line.strip() for line in (EXAMPLES / "my_stage.py").read_text().splitlines()}
    blocks = re.findall(r"^```(\w*)\n(.*?)^```$", page, re.M | re.S)
    shown = [text for language, text in blocks if not language and not text.startswith("dolma ")]
    assert len(shown) == 4
    lines = [line.strip() for block in shown for line in block.splitlines() if line.strip() not in ("", "...")]
    assert [line for line in lines if line not in code] == []


def test_a_tagger_with_a_text_a_whole_number_and_a_flag(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for path in EXAMPLES.glob("licence_tagger.*"):
        shutil.copy(path, tmp_path)
    monkeypatch.chdir(tmp_path)
    link = "creativecommons.org/licenses"
    texts = [
        f"{link}/by/4.0",
        f"{link}/by-nc/4.0",
        "none",
        f"{link}/by-sa/4.0 " * 4,
        f"{link}/other",
        f"ü {link}/by-sa/3.0",
    ]
    documents = tmp_path / "data/web/documents"
    documents.mkdir(parents=True)
    rows = [json.dumps({"id": str(i), "text": text}) for i, text in enumerate(texts)]
    (documents / "a.jsonl").write_text("\n".join(rows))
    dolma("run", "licence_tagger.yaml")
    (path,) = (tmp_path / "runs/licences/mixed/open").rglob("*.jsonl*")
    kept = [json.loads(line) for line in read(path).splitlines()]
    key = "base__licence_v1__"
    assert {d["id"]: d["attributes"] for d in kept} == {
        "0": {f"{key}licence": "by", f"{key}links": [[0, len(texts[0]), 1]], f"{key}free": True},
        "5": {f"{key}licence": "by-sa", f"{key}links": [[0, len(texts[5]), 1]], f"{key}free": True},
    }
    (mix,) = [s for s in read_manifest(tmp_path / "runs/licences").stages if s.kind == "mix"]
    assert mix.counts["web"].dropped == {"unknown": 1, "closed": 1, "spam": 1, "unfree": 1}
    page = (tmp_path / "runs/licences/stat/report.html").read_text()
    assert "<h2>Values</h2>" in page


def read(path: Path) -> str:
    with path.open("rb") as file:
        return zstandard.ZstdDecompressor().stream_reader(file, read_across_frames=True).read().decode()


def test_the_stage_runs_on_the_documents_beside_it_and_its_result_is_read_from_python(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(EXAMPLES, tmp_path / "examples", ignore=shutil.ignore_patterns("runs", "__pycache__"))
    monkeypatch.chdir(tmp_path / "examples")
    run_recipe(load_recipe("my_stage.yaml"), RunOptions(progress="none"))
    page = (EXAMPLES.parent / "docs" / "stages.md").read_text()
    (code,) = [b for b in re.findall(r"^```py\n(.*?)^```$", page, re.M | re.S) if "open_run" in b]
    names: dict[str, Any] = {"json": json, "dolma_pipeline": dolma_pipeline}
    exec(code, names)
    assert names["hosts"]["books"] == {"library.example.org": 1, "none": 1}
    assert names["rows"][0] == ["web", "rivers.example.org", 3]
    assert names["counts"].column("documents_out").to_pylist() == [2, 6, 2, 6, 2, 5]
