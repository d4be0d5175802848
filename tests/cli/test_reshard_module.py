"""`python -m dolma_pipeline.tokenizer.reshard`, for scripts written for Dolma."""

from __future__ import annotations

import gzip
import io
from pathlib import Path

import numpy as np
import pytest

from dolma_pipeline.tokenizer.reshard import configuration, main


def write_bare(directory: Path) -> None:
    directory.mkdir(parents=True)
    np.array([5, 6, 1, 7, 1], dtype="<u4").tofile(directory / "part-0-00000.npy")
    (directory / "part-0-00000.csv.gz").write_bytes(gzip.compress(b"0,3,x,s,1\r\n3,5,y,s,2\r\n"))


def test_dolmas_keys_on_dolmas_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No other keys than Dolma has."""
    monkeypatch.chdir(tmp_path)
    write_bare(Path("tokens/a"))
    write_bare(Path("tokens/deep/b"))
    config = (
        "source_prefixes: [{prefix: tokens, sample_rate: 2.0}]\n"
        "destination_prefix: out\nlocal_tempdir: tmp\nmax_num_files: 1\nmax_workers: 1\n"
    )
    Path("config.yaml").write_text(config)
    assert main(["config.yaml"]) == 0
    assert sorted(p.name for p in Path("out").iterdir()) == ["part-00000.csv.gz", "part-00000.npy"]
    assert sorted(np.fromfile("out/part-00000.npy", "<u4").tolist()) == sorted(4 * [5, 6, 1, 7, 1])
    monkeypatch.setattr("sys.stdin", io.StringIO(config.replace("destination_prefix: out", "destination_prefix: two")))
    assert main(["-", "--random_seed", "1"]) == 0
    assert len(np.fromfile("two/part-00000.npy", "<u4")) == 20


def test_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    assert capsys.readouterr().err.startswith(
        "usage: python -m dolma_pipeline.tokenizer.reshard [-c] CONFIG [OPTION ...]\n"
    )
    assert main(["--help"]) == 0


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        (["a.yaml", "--seed", "1"], ("a.yaml", ["--seed", "1"])),
        (["-c", "a.yaml"], ("a.yaml", [])),
        (["--seed", "1", "--config", "a.yaml", "--order", "input"], ("a.yaml", ["--seed", "1", "--order", "input"])),
        (["--config=a.yaml", "--seed", "1"], ("a.yaml", ["--seed", "1"])),
        (["-c", "-"], ("-", [])),
    ],
)
def test_where_the_configuration_stands(argv: list[str], expected: tuple[str, list[str]]) -> None:
    assert configuration(argv) == expected


def test_a_configuration_behind_c(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_bare(Path("tokens"))
    Path("c.yaml").write_text("source_prefixes: [tokens]\ndestination_prefix: out\nmax_num_files: 1\nmax_workers: 1\n")
    assert main(["-c", "c.yaml", "--random_seed", "1"]) == 0
    assert len(np.fromfile("out/part-00000.npy", "<u4")) == 5


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--seed", "1", "-c"], "expected a file behind `-c`, found nothing\nusage: "),
        (["-s", "tokens"], "expected a configuration first, or behind `-c`, found `-s`\nusage: "),
    ],
)
def test_no_configuration(argv: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(argv) == 2
    assert capsys.readouterr().err.startswith(message)
