"""failure.json of a run that failed, and what `dolma verify` says of it."""

from __future__ import annotations

import errno
import json
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from dolma_pipeline.cli.main import main
from dolma_pipeline.engine import failure
from dolma_pipeline.engine.failure import describe
from dolma_pipeline.errors import ConfigError, Interrupted, StageError, Where, WorkerFault, put_where

TAGGERS = """
import os, time
from pathlib import Path
from dolma_pipeline.taggers import tagger

@tagger("failure_picky_v1")
def picky(text: str) -> float:
    if "fail" in text and os.environ.get("FAILS"):
        raise ValueError("no " + os.environ["FAILS"])
    return 1.0

@tagger("failure_slow_v1")
def slow(text: str) -> float:
    Path(os.environ["READY"]).touch()
    time.sleep(60)
    return 1.0
"""
MIX: dict[str, Any] = {"mix": {"drop": {"none": "length < 0"}, "format": "jsonl"}}


@pytest.fixture(scope="module")
def module(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("taggers") / "failure_taggers.py"
    path.write_text(TAGGERS)
    return str(path)


@pytest.fixture
def documents(tmp_path: Path) -> Path:
    directory = tmp_path / "documents"
    directory.mkdir()
    for name, texts in {"a": ["x", "y"], "b": ["x", "fail", "y"]}.items():
        rows = [json.dumps({"id": f"{name}{i}", "text": text}) + "\n" for i, text in enumerate(texts)]
        (directory / f"{name}.jsonl").write_text("".join(rows))
    return directory


def write_recipe(directory: Path, *stages: dict[str, Any], **settings: Any) -> str:
    made = {
        "name": "t",
        "work_dir": str(directory / "run"),
        "sources": {"s": {"documents": str(directory / "documents" / "*")}},
        "stages": list(stages),
        **settings,
    }
    path = directory / "recipe.yaml"
    path.write_text(yaml.safe_dump(made))
    return str(path)


def tag(module: str, tagger: str) -> dict[str, Any]:
    return {"tag": {"experiment": "e", "taggers": [tagger], "tagger_modules": [module]}}


def noted(directory: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((directory / "run" / "failure.json").read_text())
    return found


def run(recipe: str, *options: str) -> int:
    return main(["run", recipe, "--quiet", "--no-report", *options])


def verified(directory: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, list[str]]:
    capsys.readouterr()
    code = main(["verify", str(directory / "run")])
    return code, [line.removeprefix(f"{directory}/run: ") for line in capsys.readouterr().out.splitlines()]


@pytest.mark.parametrize("processes", ["1", pytest.param("2", marks=pytest.mark.slow)])
def test_a_task_that_fails_is_noted_with_its_document(
    documents: Path,
    tmp_path: Path,
    module: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    processes: str,
) -> None:
    monkeypatch.setenv("FAILS", "good-text")
    recipe = write_recipe(tmp_path, tag(module, "failure_picky_v1"), MIX)
    assert run(recipe, "--processes", processes) == 1
    printed = capsys.readouterr().err.partition("dolma: error: ")[2].strip()
    assert printed.startswith(f"{documents}/b.jsonl:2: ")
    assert "no good-text" in printed
    assert noted(tmp_path) == {
        "format": 1,
        "exit_code": 1,
        "kind": "stage",
        "message": printed,
        "stage": "01-tag",
        "task": "s/b.jsonl",
        "file": f"{documents}/b.jsonl",
        "line": 2,
    }
    said = f"the run failed in stage 01-tag, task s/b.jsonl with exit code 1: {printed}"
    assert verified(tmp_path, capsys) == (1, [said])
    monkeypatch.delenv("FAILS")
    assert run(recipe, "--processes", processes) == 0
    assert not (tmp_path / "run" / "failure.json").exists()
    assert verified(tmp_path, capsys) == (0, ["every file and every count is as its manifest says"])


def test_a_value_of_the_environment_is_not_noted(
    documents: Path, tmp_path: Path, module: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAILS", "hunter2-hunter2")
    recipe = write_recipe(tmp_path, tag(module, "failure_picky_v1"), MIX, name="${oc.env:FAILS}")
    assert run(recipe) == 1
    assert "no ${oc.env:FAILS}" in noted(tmp_path)["message"]
    assert "hunter2" not in (tmp_path / "run" / "failure.json").read_text()


def test_a_run_over_the_budget_is_noted_beside_its_manifest(
    documents: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (documents / "a.jsonl").write_text('{"id": "1", "text": "x"}\n{}\n')
    assert run(write_recipe(tmp_path, MIX)) == 3
    found = noted(tmp_path)
    message = (
        "1 of 5 documents (20.00%) could not be read, over the max_bad_fraction of 0.01; they are in "
        f"{tmp_path}/run/quarantine. Everything else is done"
    )
    assert found == {"format": 1, "exit_code": 3, "kind": "bad_input", "message": message}
    assert verified(tmp_path, capsys) == (
        0,
        [
            f"note: the run failed with exit code 3: {message}",
            "every file and every count is as its manifest says",
        ],
    )
    assert run(write_recipe(tmp_path, MIX, max_bad_fraction=0.2)) == 0
    assert not (tmp_path / "run" / "failure.json").exists()


def test_a_directory_of_another_recipe_is_left_alone(documents: Path, tmp_path: Path) -> None:
    assert run(write_recipe(tmp_path, MIX)) == 0
    assert run(write_recipe(tmp_path, MIX, name="other")) == 1
    assert not (tmp_path / "run" / "failure.json").exists()


def command(recipe: str, **options: Any) -> subprocess.Popen[str]:
    arguments = [sys.executable, "-m", "dolma_pipeline", "run", recipe, "--no-report"]
    return subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_is_noted(
    documents: Path, tmp_path: Path, module: str, capsys: pytest.CaptureFixture[str], number: signal.Signals, code: int
) -> None:
    ready = tmp_path / "ready"
    recipe = write_recipe(tmp_path, tag(module, "failure_slow_v1"), MIX)
    process = command(recipe, env={**os.environ, "READY": str(ready)})
    while not ready.exists() and process.poll() is None:
        time.sleep(0.05)
    process.send_signal(number)
    process.communicate(timeout=60)
    assert process.returncode == code
    message = f"ended by {number.name}; the same command again resumes where it stopped"
    assert noted(tmp_path) == {
        "format": 1,
        "exit_code": code,
        "kind": "signal",
        "message": message,
        "stage": "01-tag",
        "signal": number.name,
    }
    assert verified(tmp_path, capsys) == (1, [f"the run failed in stage 01-tag with exit code {code}: {message}"])


def test_a_signal_that_no_exception_can_tell_is_noted(tmp_path: Path) -> None:
    with failure.recorded(tmp_path / "run", lambda: "02-mix", print):
        failure.killed(signal.SIGTERM)
        assert noted(tmp_path)["exit_code"] == 143
        assert noted(tmp_path)["stage"] == "02-mix"


def test_what_the_system_refuses_is_noted(documents: Path, tmp_path: Path) -> None:
    """A limit on the size of files stands for the full disk, which has another errno."""
    rows = [json.dumps({"id": str(i), "text": f"text {i} {i * i}"}) + "\n" for i in range(9000)]
    (documents / "a.jsonl").write_text("".join(rows))
    limit = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))  # noqa: E731
    process = command(write_recipe(tmp_path, MIX), preexec_fn=limit)
    process.communicate(timeout=60)
    found = noted(tmp_path)
    assert process.returncode == 1
    assert found["message"].startswith("File too large: ")
    assert {key: found.get(key) for key in ("exit_code", "kind", "errno", "stage", "task", "file")} == {
        "exit_code": 1,
        "kind": "system",
        "errno": "EFBIG",
        "stage": "01-mixed",
        "task": "s/a.jsonl",
        "file": f"{documents}/a.jsonl",
    }


def test_kinds_of_errors() -> None:
    full = describe(OSError(errno.ENOSPC, "No space left on device", "/w/x"))
    assert (full.kind, full.errno, full.message) == ("disk_full", "ENOSPC", "No space left on device: /w/x")
    assert (describe(ConfigError("c")).kind, describe(ConfigError("c")).exit_code) == ("config", 2)
    fault = describe(WorkerFault("Traceback\n  File x\nKeyError: 'a'\n"))
    assert (fault.kind, fault.message, fault.exit_code) == ("fault", "KeyError: 'a'", 1)
    assert describe(ValueError("odd")).message == "ValueError: odd"
    assert describe(Interrupted(signal.SIGTERM)).exit_code == 143
    assert describe(KeyboardInterrupt()).signal == "SIGINT"
    error = StageError("/d/a.jsonl:12: odd; see /d/b.jsonl")
    put_where(error, Where("01-mix", "s/0", ("/d/b.jsonl", "/d/a.jsonl")))
    assert (describe(error).file, describe(error).line, describe(error).task) == ("/d/a.jsonl", 12, "s/0")
