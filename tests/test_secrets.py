"""Values of environment variables stay out of everything that is written down or shown."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from dolma_pipeline import secrets
from dolma_pipeline.cli.main import main

SECRET = "p4ss <word> & 'more'"


@pytest.fixture(autouse=True)
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Documents, two variables, and nothing remembered of other tests."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DOLMA_TEST_SECRET", SECRET)
    monkeypatch.setenv("DOLMA_TEST_DATA", "data")
    monkeypatch.setattr(secrets, "_names", set())
    monkeypatch.setattr(secrets, "_adopted", {})
    Path("data/documents").mkdir(parents=True)
    rows = [{"id": str(i), "text": f"text {i}", "metadata": {"k": "v"}} for i in range(5)]
    Path("data/documents/a.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))


def files_with_the_secret() -> list[str]:
    forms = [SECRET.encode(), json.dumps(SECRET)[1:-1].encode(), b"p4ss &lt;word&gt;"]
    return [str(p) for p in Path().rglob("*") if p.is_file() and any(f in p.read_bytes() for f in forms)]


def recipe(**changes: object) -> str:
    made = {
        "name": "run for ${oc.env:DOLMA_TEST_SECRET}",
        "work_dir": "run",
        "sources": {"s": {"documents": "${oc.env:DOLMA_TEST_DATA}/documents/*"}},
        "stages": [
            {"tag": {"experiment": "e", "taggers": ["char_length_v1"]}},
            {"stat": {"drop": {"mine": 'id == "${oc.env:DOLMA_TEST_SECRET}"'}}},
            {"mix": {"drop": {"short": "char_length_v1.length < 3", "mine": "${stages[1].stat.drop.mine}"}}},
        ],
    }
    Path("r.yaml").write_text(yaml.safe_dump(made | changes, sort_keys=False))
    return "r.yaml"


def test_a_run_writes_and_shows_the_name_of_the_variable(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", recipe()]) == 0
    assert main(["run", recipe()]) == 0
    assert main(["run", recipe(), "--json"]) == 0
    said = capsys.readouterr()
    assert "p4ss" not in said.out + said.err
    assert "run for ${oc.env:DOLMA_TEST_SECRET}" in said.out
    assert files_with_the_secret() == []
    manifest = json.loads(Path("run/manifest.json").read_text())
    assert manifest["name"] == "run for ${oc.env:DOLMA_TEST_SECRET}"
    rule = 'id == "${oc.env:DOLMA_TEST_SECRET}"'
    stages = manifest["recipe"]["stages"]
    assert (stages[1]["stat"]["drop"], stages[2]["mix"]["drop"]["mine"]) == ({"mine": rule}, rule)
    assert manifest["recipe"]["sources"]["s"]["documents"] == "${oc.env:DOLMA_TEST_DATA}/documents/*"
    assert main(["verify", "run"]) == 0


def test_messages_have_the_name_of_the_variable(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", recipe(seed="${oc.env:DOLMA_TEST_SECRET}")]) == 2
    assert 'r.yaml:18: $.seed: expected `int`, found "${oc.env:DOLMA_TEST_SECRET}"' in capsys.readouterr().err
    assert main(["run", recipe(sources={"s": {"documents": "${oc.env:DOLMA_TEST_SECRET}/*.gz"}})]) == 2
    assert "no file matches `${oc.env:DOLMA_TEST_SECRET}/*.gz`" in capsys.readouterr().err


def test_a_long_value_is_hidden_before_it_is_shortened(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOLMA_TEST_SECRET", "x1" * 2000)
    assert main(["run", recipe(seed="${oc.env:DOLMA_TEST_SECRET}")]) == 2
    assert "x1x1" not in capsys.readouterr().err


def test_a_configuration_is_printed_as_it_was_written(capsys: pytest.CaptureFixture[str]) -> None:
    config = {"documents": ["data/documents/*"], "taggers": ["char_length_v1"], "dryrun": True}
    Path("c.yaml").write_text(yaml.safe_dump(config | {"work_dir": {"output": "${oc.env:DOLMA_TEST_SECRET}"}}))
    assert main(["-c", "c.yaml", "tag"]) == 0
    printed = yaml.safe_load(capsys.readouterr().out)
    assert printed["work_dir"]["output"] == "${oc.env:DOLMA_TEST_SECRET}"


def test_a_worker_hides_what_the_driver_knows(monkeypatch: pytest.MonkeyPatch) -> None:
    secrets.remember("DOLMA_TEST_SECRET")
    shown = secrets.known()
    assert shown == {SECRET: "${oc.env:DOLMA_TEST_SECRET}"}
    monkeypatch.delenv("DOLMA_TEST_SECRET")
    assert secrets.hide(f"at {SECRET}") == f"at {SECRET}"
    secrets.adopt(shown)
    assert secrets.hide(f"at {SECRET}") == "at ${oc.env:DOLMA_TEST_SECRET}"


def test_short_values_and_paths_stay(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name, value in {"A": "abc", "B": "word", "C": str(tmp_path), "D": "longer word", "E": ""}.items():
        monkeypatch.setenv(f"DOLMA_TEST_{name}", value)
        secrets.remember(f"DOLMA_TEST_{name}")
    text = f"abc word longer word {tmp_path}/x"
    assert secrets.hide(text) == f"abc word ${{oc.env:DOLMA_TEST_D}} {tmp_path}/x"
    assert secrets.hide_in_settings({"k": [text, 3, None]}) == {
        "k": ["abc ${oc.env:DOLMA_TEST_B} ${oc.env:DOLMA_TEST_D} ${oc.env:DOLMA_TEST_C}/x", 3, None]
    }
