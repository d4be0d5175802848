"""Whole runs of a tiny model: one rank and two, stopped and gone on with, killed, exported."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import msgspec
import psutil
import pytest

from dolma_pipeline.errors import ConfigError
from dolma_pipeline.train.launch import launch
from dolma_pipeline.train.metrics import Result, Row, read_rows
from tests import needs
from tests.train.train_toys import VOCABULARY, config, write_config, write_tokens

needs.module("torch")
SAME = ("hf/model.safetensors", "hf/config.json", "checkpoints/step-00000030")


@pytest.fixture(scope="module")
def tokens(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tokens(tmp_path_factory.mktemp("tokens") / "t", 3000, 1500)


@pytest.fixture(scope="module")
def one_rank(tokens: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("one") / "run"
    launch(write_config(config(tokens, output, validation=str(tokens))), 1, 1, lambda line: None)
    return output


def data(output: Path) -> dict[str, bytes]:
    """The files that every equal run has, byte for byte."""
    files = [p for name in SAME for p in ([output / name] if (output / name).is_file() else (output / name).iterdir())]
    return {p.relative_to(output).as_posix(): p.read_bytes() for p in sorted(files)}


def losses(output: Path) -> list[float]:
    return [row.loss or 0.0 for row in read_rows(output / "metrics.jsonl")]


def test_the_loss_falls_and_is_measured(one_rank: Path) -> None:
    curve = losses(one_rank)
    assert len(curve) == 30
    assert curve[0] == pytest.approx(5.246, abs=0.01)
    assert curve[-1] < 1.5
    result = msgspec.json.decode((one_rank / "result.json").read_bytes(), type=Result)
    assert result.validation is not None
    assert result.validation.tokens == (3000 // 16 + 1500 // 16) * 15
    assert 1.0 < result.validation.perplexity < 5.0
    assert result.parameters == 2 * (4 * 16**2 + 3 * 16 * 32) + 2 * 16 * 128
    assert sorted(p.name for p in (one_rank / "checkpoints").glob("step-*")) == ["step-00000020", "step-00000030"]


def test_packed_tokens_count_what_is_learnt(one_rank: Path, tokens: Path, tmp_path: Path) -> None:
    """Half of each instance is masked: half as many targets, and a held-out loss on those alone."""
    instances = [3000 // 16, 1500 // 16]
    masks = [([1] * 8 + [0] * 8) * n for n in instances]
    changes = {"masks": masks, "packed": {"by": "best_fit", "length": 16}}
    packed = write_tokens(tmp_path / "t", *(16 * n for n in instances), **changes)  # type: ignore[arg-type]
    launch(write_config(config(packed, tmp_path / "run", validation=str(packed))), 1, 1, lambda line: None)
    rows = read_rows(tmp_path / "run" / "metrics.jsonl")
    assert {row.learnt for row in rows} == {8 * 7}
    assert rows[-1].tokens == 30 * 8 * 16
    assert rows[-1].validation_tokens == sum(instances) * 7
    assert {row.learnt for row in read_rows(one_rank / "metrics.jsonl")} == {None}
    assert losses(tmp_path / "run")[-1] < 1.5


@pytest.mark.slow
def test_two_ranks_learn_the_same(one_rank: Path, tokens: Path, tmp_path: Path) -> None:
    launch(write_config(config(tokens, tmp_path / "run")), 2, 1, lambda line: None)
    assert losses(tmp_path / "run") == pytest.approx(losses(one_rank), abs=2e-3)


class Stop(Exception):
    pass


def test_a_run_that_was_stopped_ends_as_if_it_had_not_been(one_rank: Path, tokens: Path, tmp_path: Path) -> None:
    """Stopped with a checkpoint off the schedule, then gone on with: the same bytes."""
    path = write_config(config(tokens, tmp_path / "run", validation=str(tokens)))

    def stop_at_five(line: str) -> None:
        if line.startswith("step 5/"):
            raise Stop

    with pytest.raises(Stop):
        launch(path, 1, 1, stop_at_five)
    (stopped,) = (tmp_path / "run" / "checkpoints").glob("step-*")
    lines: list[str] = []
    launch(path, 1, 1, lines.append)
    assert any(line.startswith(f"resumed at step {int(stopped.name[5:])} from") for line in lines)
    assert data(tmp_path / "run") == data(one_rank)
    assert losses(tmp_path / "run") == losses(one_rank)


@pytest.mark.slow
def test_ranks_do_not_outlive_a_launcher_that_is_killed(tokens: Path, tmp_path: Path) -> None:
    path = write_config(config(tokens, tmp_path / "run", steps=100_000))
    script = (
        "import sys, pathlib\nfrom dolma_pipeline.train.launch import launch\n"
        "launch(pathlib.Path(sys.argv[1]), 2, 1, lambda line: print(line, flush=True))"
    )
    command = [sys.executable, "-c", script, str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as launcher:
        for line in launcher.stdout or ():
            if line.startswith("step 3/"):
                break
        ranks = psutil.Process(launcher.pid).children(recursive=True)
        assert len(ranks) >= 3
        launcher.kill()
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and any(p.is_running() and p.status() != psutil.STATUS_ZOMBIE for p in ranks):
        time.sleep(0.1)
    assert not [p for p in ranks if p.is_running() and p.status() != psutil.STATUS_ZOMBIE]


def test_another_run_is_not_gone_on_with(one_rank: Path, tokens: Path) -> None:
    path = write_config(config(tokens, one_rank, seed=4))
    with pytest.raises(ConfigError, match=r"step-00000030 is of another run, with seed 3 instead of 4"):
        launch(path, 1, 1, lambda line: None)


def test_the_export_is_the_model(one_rank: Path, tokens: Path, tmp_path: Path) -> None:
    """A run that starts from the export begins where the first ended."""
    (before,) = (r for r in read_rows(one_rank / "metrics.jsonl") if r.step == 30)
    changes = {"start_from": str(one_rank / "hf"), "steps": 1, "evaluate_every": 1, "validation": str(tokens)}
    settings = config(tokens, tmp_path / "run", **changes)
    still = msgspec.structs.replace(settings.optimization, learning_rate=1e-12, warmup_steps=0)
    launch(write_config(msgspec.structs.replace(settings, optimization=still)), 1, 1, lambda line: None)
    (after,) = read_rows(tmp_path / "run" / "metrics.jsonl")
    assert after.validation_loss == pytest.approx(before.validation_loss, abs=1e-6)


def test_the_export_in_transformers(one_rank: Path) -> None:
    transformers = needs.module("transformers", "make parity")
    torch = needs.module("torch")
    model = transformers.AutoModelForCausalLM.from_pretrained(one_rank / "hf")
    ids = torch.arange(16)[None] % VOCABULARY
    found = model(ids, labels=ids).loss
    assert float(found) < 1.6


def test_row_fields_are_stable() -> None:
    row = Row(step=1, loss=2.0, lr=0.5, grad_norm=1.0, tokens=8)
    assert msgspec.json.encode(row) == b'{"step":1,"loss":2.0,"lr":0.5,"grad_norm":1.0,"tokens":8}'
