"""Schedule, energy, metrics rows and presets: exact values."""

from __future__ import annotations

from pathlib import Path

import pytest

from dolma_pipeline.errors import ConfigError
from dolma_pipeline.train.config import Optimization
from dolma_pipeline.train.metrics import MetricsFile, Row, emissions, energy, read_rows
from dolma_pipeline.train.presets import PRESETS, architecture
from dolma_pipeline.train.schedule import learning_rate


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        ("linear", [0.325, 1.0, 0.55, 0.1, 0.1]),
        ("cosine", [0.325, 1.0, 0.55, 0.1, 0.1]),
        ("constant", [0.325, 1.0, 1.0, 1.0, 1.0]),
    ],
)
def test_rates(schedule: str, expected: list[float]) -> None:
    settings = Optimization(learning_rate=1.0, schedule=schedule, warmup_steps=4)  # type: ignore[arg-type]
    assert [learning_rate(s, 12, settings) for s in (1, 4, 8, 12, 20)] == pytest.approx(expected)


def test_emissions_are_those_of_the_paper() -> None:
    """arXiv 2402.00838, table 7: OLMo-7B on the A100 cluster, 104 MWh."""
    assert round(emissions(104_000, 1.1, 0.610) / 1000, 2) == 69.78
    assert energy(3600, 500, 1.1, 0.5).kwh == 0.5
    assert energy(3600, 500, 1.1, 0.5).kg_co2eq == pytest.approx(0.275)


def test_sizes_of_the_papers_models() -> None:
    assert PRESETS["olmo-1b"].parameters(50_280) == 1_176_764_416
    assert PRESETS["olmo-7b"].parameters(50_280) == 6_888_095_744
    with pytest.raises(ConfigError, match="unknown model `olmo-2m`"):
        architecture("olmo-2m")


def test_rows_after_the_step_resumed_from_are_made_again(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    with MetricsFile(path, 0) as metrics:
        for step in (1, 2, 3):
            metrics.write(Row(step=step, loss=1.0 / step, lr=0.1, grad_norm=None, tokens=step))
    path.write_bytes(path.read_bytes() + b'{"step":4,"lo')
    assert [r.step for r in read_rows(path)] == [1, 2, 3]
    with MetricsFile(path, 2) as metrics:
        metrics.write(Row(step=3, loss=7.0, lr=0.1, grad_norm=None, tokens=3))
    assert [(r.step, r.loss) for r in read_rows(path)] == [(1, 1.0), (2, 0.5), (3, 7.0)]
