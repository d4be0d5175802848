"""Recipes whose documents are named relative to the current directory."""

from __future__ import annotations

import gzip
import json
import os
import platform
import re
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from msgspec import Struct

from dolma_pipeline.engine.task import Context, Report, make_task
from dolma_pipeline.engine.worker import FusedTasks, ReadyTask, execute
from dolma_pipeline.errors import StageError
from dolma_pipeline.executors.answer import Answer, perform
from dolma_pipeline.io.atomic import output

RECIPE = """
name: near
work_dir: run
max_bad_fraction: 0.5
sources:
  s: {documents: "data/documents/*.gz"}
stages:
  - tag: {experiment: e, taggers: [char_length_v1]}
  - dedupe: {name: d, documents: {key: text}}
  - mix: {drop: {short: "char_length_v1.length < 20"}, provenance: true}
"""


class Step(Struct, kw_only=True):
    read: str
    write: str
    directory: str = ""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A recipe and its documents, one line of which is broken, in the current directory."""
    folder = tmp_path / "here"
    (folder / "data/documents").mkdir(parents=True)
    (folder / "r.yaml").write_text(RECIPE)
    for name in "ab":
        rows = [json.dumps({"id": f"{name}{i}", "text": f"document {i} of {name}, as it is" * i}) for i in range(9)]
        with gzip.open(folder / f"data/documents/{name}.jsonl.gz", "wt") as file:
            file.write("\n".join([*rows, "broken"]) + "\n")
    monkeypatch.chdir(folder)
    return folder


def files(folder: Path) -> dict[str, bytes]:
    """What a run wrote, without the times that it took."""
    timed = {"timings.json", "report.html", ".lock"}
    return {
        p.relative_to(folder).as_posix(): p.read_bytes()
        for p in sorted((folder / "run").rglob("*"))
        if p.is_file() and p.name not in timed
    }


def up_to_date(said: str) -> list[tuple[str, str]]:
    """Tasks and those of them that were up to date, by phase."""
    return re.findall(r"\((\d+) tasks?, (\d+) up to date\)", said)


def run(folder: Path, *options: str) -> str:
    """Runs the recipe in a process of its own that starts in `folder`; returns what it says on stderr."""
    command = [sys.executable, "-m", "dolma_pipeline", "run", "r.yaml", *options]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr
    return done.stderr


ALL = [("4", "4"), ("8", "8"), ("2", "2"), ("2", "2")]


def test_a_folder_that_is_moved_with_its_data_is_up_to_date(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(folder)
    first = files(folder)
    bad = json.loads(first["run/quarantine/s/a.jsonl.gz.jsonl"])
    assert bad["file"] == "data/documents/a.jsonl.gz"
    assert all(str(folder).encode() not in content for content in first.values())
    monkeypatch.chdir("/")
    moved = folder.rename(folder.with_name("there"))
    assert up_to_date(run(moved)) == ALL
    assert files(moved) == first


@pytest.mark.slow
def test_workers_of_a_moved_folder_are_up_to_date_and_write_the_same(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(folder)
    first = files(folder)
    monkeypatch.chdir("/")
    moved = folder.rename(folder.with_name("there"))
    assert up_to_date(run(moved, "--processes", "2")) == ALL
    assert files(moved) == first
    (moved / "run").rename(moved / "one")
    run(moved, "--processes", "2")
    # What they did is kept for a run without them too.
    assert up_to_date(run(moved)) == ALL
    parts = ("attributes", "mixed", "quarantine", "manifest.json")
    made = {name: content for name, content in files(moved).items() if name.split("/")[1] in parts}
    assert made == {name: content for name, content in first.items() if name.split("/")[1] in parts}


def go_and_write(config: Step, context: Context) -> Report:
    """Goes to `config.directory`, reads `config.read` and writes `config.write`."""
    if config.directory:
        os.chdir(config.directory)
    Path(config.write).write_bytes(Path(config.read).read_bytes())
    return Report(outputs=[output(config.write)])


def fused(start: Path, step: Step) -> FusedTasks:
    """The fused of `step` for a driver that is in `start`."""
    task = make_task("p", "n", "tests.test_relative_paths:go_and_write", step, inputs=[step.read], version=1)
    work = ReadyTask(task=task, fingerprint="0", entry=str(start.parent / "ledger/p/n.json"))
    return FusedTasks(tasks=(work,), directory=str(start))


def test_a_worker_that_is_elsewhere_goes_to_the_driver(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir("/")
    (report,) = execute(fused(folder, Step(read="r.yaml", write="copy")), Context())
    assert [o.path for o in report.outputs] == ["copy"]
    assert (folder / "copy").read_text() == RECIPE


@pytest.mark.parametrize(("read", "write"), [("r.yaml", "data/copy"), ("{}/r.yaml", "copy"), ("r.yaml", "{}/copy")])
def test_work_that_leaves_the_directory_is_refused_if_a_path_is_relative(folder: Path, read: str, write: str) -> None:
    step = Step(directory="..", read=read.format(folder), write=write.format(folder))
    with pytest.raises(StageError) as error:
        execute(fused(folder, step), Context())
    named = step.read if step.read == "r.yaml" else "copy"
    assert str(error.value) == (
        f"p of n, which reads {step.read}: expected the current directory to stay {folder}, found {folder.parent}: a "
        f"tagger or filter of yours calls os.chdir, and `{named}` is relative; go back there, or give absolute paths"
    )
    assert Path.cwd() == folder
    assert not (folder.parent / "ledger/p/n.json").exists()


def test_work_on_absolute_paths_may_leave_the_directory(folder: Path) -> None:
    step = Step(directory="..", read=f"{folder}/r.yaml", write=f"{folder}/copy")
    execute(fused(folder, step), Context())
    assert Path.cwd() == folder


def test_a_node_without_the_directory_of_the_driver_refuses_relative_paths(folder: Path) -> None:
    there = folder / "not there"
    answer = perform(msgspec.msgpack.encode(fused(there, Step(read="r.yaml", write="copy"))), Context())
    failure = msgspec.msgpack.decode(answer, type=Answer).failure
    assert failure is not None
    assert failure.message == (
        f"p of n, which reads r.yaml: expected the directory {there} on {platform.node()}, found none: `r.yaml` is "
        "relative to it; give absolute paths of storage that every node sees"
    )
    execute(fused(there, Step(read=f"{folder}/r.yaml", write=f"{folder}/copy")), Context())
    assert (folder / "copy").read_text() == RECIPE
