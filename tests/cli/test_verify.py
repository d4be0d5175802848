"""`dolma verify` on runs made by hand."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from dolma_pipeline.cli.main import main
from dolma_pipeline.engine.manifest import NAME, RunManifest, StageAccount, sealed
from dolma_pipeline.engine.task import Counts, Output
from dolma_pipeline.io.atomic import output, read_json, write_json


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A finished run of one file and three documents, of which one was dropped."""
    (tmp_path / "out.jsonl").write_text("text\n")
    written = output(tmp_path / "out.jsonl")
    counts = {"web": Counts(documents_in=3, documents_out=2, dropped={"short": 1})}
    manifest = RunManifest(
        name="t",
        version="0",
        seed=1,
        recipe={},
        stages=[StageAccount(id="01-mixed", kind="mix", counts=counts)],
        files=[Output("out.jsonl", written.bytes, written.blake3)],
    )
    write_json(tmp_path / NAME, sealed(manifest))
    return tmp_path


def test_a_whole_run(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", str(run)]) == 0
    assert capsys.readouterr().out == f"{run}: every file and every count is as its manifest says\n"


def test_a_changed_file(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (run / "out.jsonl").write_text("tent\n")
    assert main(["verify", str(run)]) == 1
    out, err = capsys.readouterr()
    assert out.startswith(f"{run}: out.jsonl: ")
    assert (
        err
        == "dolma: error: 1 problem found; running the recipe again redoes what is not as it was, `--force` also files "
        "whose size and time are still the same\n"
    )


def test_counts_below_zero(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """They add up, but no rule drops less than nothing."""
    counts = {"web": Counts(documents_in=3, documents_out=5, dropped={"short": -2})}
    manifest = read_json(run / NAME, RunManifest)
    stages = [StageAccount(id="01-mixed", kind="mix", counts=counts)]
    write_json(run / NAME, sealed(msgspec.structs.replace(manifest, stages=stages)))
    assert main(["verify", str(run)]) == 1
    assert capsys.readouterr().out == (
        f"{run}: stage 01-mixed, source web: expected counts from 0, found dropped short -2\n"
    )


def test_documents_lost_between_stages(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    manifest = read_json(run / NAME, RunManifest)
    tokens = StageAccount(id="02-tokens", kind="tokens", counts={"web": Counts(documents_in=1, documents_out=1)})
    write_json(run / NAME, sealed(msgspec.structs.replace(manifest, stages=[*manifest.stages, tokens])))
    assert main(["verify", str(run)]) == 1
    assert capsys.readouterr().out == (
        f"{run}: source web: 2 documents after stage 01-mixed, but 1 in stage 02-tokens\n"
    )


def test_several_runs_are_all_checked(
    run: Path, tmp_path_factory: pytest.TempPathFactory, capsys: pytest.CaptureFixture[str]
) -> None:
    empty = tmp_path_factory.mktemp("empty")
    assert main(["verify", str(run), str(empty)]) == 1
    out, err = capsys.readouterr()
    assert out == f"{run}: every file and every count is as its manifest says\n"
    assert (
        err == f"dolma: error: {empty}: expected a manifest.json, found none; it is written when a run has finished\n"
    )
