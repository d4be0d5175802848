"""metrics.jsonl: a row per step, keyed by it, so that a resumed run repeats none; and what the run cost in energy."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType

import msgspec
from msgspec import Struct

from dolma_pipeline.io import fs
from dolma_pipeline.io.atomic import write_bytes
from dolma_pipeline.io.writing import writing

NAME = "metrics.jsonl"
RESULT = "result.json"


class Row(Struct, kw_only=True, omit_defaults=True):
    """One step. All but the last two are the same in every run of the same config and number of ranks."""

    step: int
    loss: float | None
    """Nats per target token, before the update; null where it was not finite."""
    lr: float
    grad_norm: float | None
    """Before clipping."""
    tokens: int
    """Trained on so far, by all ranks, padding included."""
    learnt: int | None = None
    """Targets of this step that count in the loss; only where label masks leave some out."""
    skipped: bool = False
    """No update was made, for the loss or the gradient was not finite."""
    validation_loss: float | None = None
    perplexity: float | None = None
    bits_per_byte: float | None = None
    validation_tokens: int | None = None
    seconds: float = 0.0
    """Wall time of this step, evaluation and checkpoints left out."""
    tokens_per_second: float = 0.0


def read_rows(path: Path) -> list[Row]:
    """The rows of a metrics file in order of step; a last line that was cut is left out."""
    rows: dict[int, Row] = {}
    for line in fs.read_bytes(path).splitlines() if fs.is_file(path) else []:
        try:
            row = msgspec.json.decode(line, type=Row)
        except msgspec.DecodeError:
            continue
        rows[row.step] = row
    return [rows[step] for step in sorted(rows)]


class Evaluation(Struct, frozen=True, kw_only=True):
    """A measurement on held-out tokens."""

    loss: float
    """Nats per predicted token."""
    perplexity: float
    bits_per_byte: float | None
    """Comparable between tokenizers; None where the manifest has no byte counts."""
    tokens: int
    """Predicted: all but the first of each instance."""


class MetricsFile:
    """Appends rows; opened at step n it first forgets the rows after n, which will be made again."""

    def __init__(self, path: Path, step: int) -> None:
        kept = [row for row in read_rows(path) if row.step <= step]
        write_bytes(path, msgspec.json.Encoder().encode_lines(kept))
        self._path = path
        self._file = fs.open_journal(path)

    def write(self, row: Row) -> None:
        with writing(self._path):
            self._file.write(msgspec.json.encode(row) + b"\n")
            self._file.flush()

    def __enter__(self) -> MetricsFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()


class Energy(Struct, frozen=True, kw_only=True):
    """What a run cost, estimated as in arXiv 2402.00838, table 7."""

    kwh: float
    """Energy of the machines, without the data centre's overhead."""
    kg_co2eq: float


class Result(Struct, frozen=True, kw_only=True):
    """result.json of a finished run; but for `tokens_per_second` and `energy` a function of config and ranks."""

    checkpoint: str
    """Directory, relative to the output."""
    exported: list[str]
    """Files of the Hugging Face model, relative to the output."""
    parameters: int
    final_loss: float | None
    validation: Evaluation | None
    tokens_per_second: float
    """Over all steps, evaluation and checkpoints left out."""
    energy: Energy | None = None


def energy(seconds: float, watts: float, pue: float, carbon_intensity: float) -> Energy:
    """`watts`: mean power of all machines; `pue`: power usage effectiveness; `carbon_intensity`: kg CO2eq per kWh."""
    kwh = watts * seconds / 3_600_000
    return Energy(kwh=kwh, kg_co2eq=emissions(kwh, pue, carbon_intensity))


def emissions(kwh: float, pue: float, carbon_intensity: float) -> float:
    """kg of CO2 equivalent: energy x power usage effectiveness x carbon intensity of the grid (kg per kWh)."""
    return kwh * pue * carbon_intensity
