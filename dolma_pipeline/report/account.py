"""A finished run as its report needs it: the manifest, the timings, the loss and the first lines of the quarantine."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from dolma_pipeline.engine.manifest import TIMINGS, RunManifest, StageAccount, Timings, read_manifest
from dolma_pipeline.engine.registry import role as role_of
from dolma_pipeline.engine.task import Counts
from dolma_pipeline.formats.quarantine import QuarantineRow
from dolma_pipeline.io import fs
from dolma_pipeline.io.atomic import read_json

MOST_EXAMPLES = 20


class Training(Struct, frozen=True, kw_only=True):
    """A train stage; a figure it did not record is None."""

    loss: tuple[tuple[int, float], ...] = ()
    """(step, loss) of the training batches, in order of step."""
    final_loss: float | None = None
    perplexity: float | None = None
    """Perplexity on the tokens that were set aside."""
    validation_tokens: int | None = None
    parameters: int | None = None
    tokens_per_second: float | None = None

    @property
    def last_loss(self) -> float | None:
        return self.final_loss if self.final_loss is not None else (self.loss[-1][1] if self.loss else None)


class Run(Struct, frozen=True, kw_only=True):
    """Everything a report shows."""

    directory: Path
    manifest: RunManifest
    timings: Timings | None = None
    training: Training | None = None
    quarantined: tuple[QuarantineRow, ...] = ()
    """The first lines of the quarantine, in order of file."""

    def stages(self, role: str) -> list[StageAccount]:
        """The stages of a role: see `StageKind.role`."""
        return [stage for stage in self.manifest.stages if role_of(stage) == role]

    @property
    def first(self) -> Counts:
        """Documents that went in: those of the first stage that counted any."""
        return next((total(s.counts.values()) for s in self.manifest.stages if s.counts), Counts())

    @property
    def token_stages(self) -> list[StageAccount]:
        """Those that write token files."""
        return self.stages("tokens")

    @property
    def tokens(self) -> dict[str, int]:
        """Tokens by source, of all stages that write token files."""
        found: dict[str, int] = {}
        for stage in self.token_stages:
            listed = stage.details.get("tokens")
            by_source = listed if isinstance(listed, dict) else {s: c.tokens for s, c in stage.counts.items()}
            for source, number in by_source.items():
                found[source] = found.get(source, 0) + int(number)
        return found

    def label(self, stage: StageAccount) -> str:
        """The stage's id, and the name that the recipe gives it where the id is not made of that: `03-paragraphs`."""
        number, _, _ = stage.id.partition("-")
        stages = self.manifest.recipe.get("stages", [])
        if number.isdigit() and 0 < int(number) <= len(stages):
            name = stages[int(number) - 1].get(stage.kind, {}).get("name")
            return f"{stage.id} {name}" if name and stage.id != f"{number}-{name}" else stage.id
        return stage.id


def load_run(run_dir: Path) -> Run:
    """The run in `run_dir`; a DataError if it has no manifest, which is written when a run has finished."""
    manifest = read_manifest(run_dir)
    timings = read_json(run_dir / TIMINGS, Timings) if fs.is_file(run_dir / TIMINGS) else None
    return Run(
        directory=run_dir,
        manifest=manifest,
        timings=timings,
        training=_training(manifest, run_dir / "train" / "metrics.jsonl"),
        quarantined=tuple(islice(_quarantine(run_dir / "quarantine"), MOST_EXAMPLES)),
    )


def total(counts: Iterable[Counts]) -> Counts:
    """The sum of `counts`."""
    result = Counts()
    for each in counts:
        result.add(each)
    return result


def rules(counts: Iterable[Counts]) -> list[str]:
    """Names of the rules that dropped anything, the one that dropped most first."""
    dropped = total(counts).dropped
    return sorted((name for name in dropped if dropped[name]), key=lambda name: (-dropped[name], name))


def _training(manifest: RunManifest, metrics: Path) -> Training | None:
    stage = next((s for s in reversed(manifest.stages) if role_of(s) == "training"), None)
    if stage is None and not fs.is_file(metrics):
        return None
    details = stage.details if stage is not None else {}
    points = _points(details.get("loss")) or _points([(r.get("step"), r.get("loss")) for r in _rows(metrics)])
    return Training(
        loss=points,
        final_loss=_number(details.get("final_loss")),
        perplexity=_number(details.get("perplexity")),
        validation_tokens=_whole(details.get("validation_tokens")),
        parameters=_whole(details.get("parameters")),
        tokens_per_second=_number(details.get("tokens_per_second")),
    )


def _points(listed: Any) -> tuple[tuple[int, float], ...]:
    """(step, loss) of what looks like that; the last one of a step, as a resumed run may write a step again."""
    found: dict[int, float] = {}
    for pair in listed if isinstance(listed, (list, tuple)) else []:
        if isinstance(pair, (list, tuple)) and len(pair) == 2:
            step, loss = _whole(pair[0]), _number(pair[1])
            if step is not None and loss is not None:
                found[step] = loss
    return tuple(sorted(found.items()))


def _number(value: Any) -> float | None:
    number = float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else math.nan
    return number if math.isfinite(number) else None


def _whole(value: Any) -> int | None:
    number = _number(value)
    return None if number is None else int(number)


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    """The JSON objects of a file of lines; a line that is none, such as the last of a killed run, is passed over."""
    if not fs.is_file(path):
        return
    with fs.open_input(path) as handle:
        for line in handle:
            try:
                row = msgspec.json.decode(line)
            except msgspec.DecodeError:
                continue
            if isinstance(row, dict):
                yield row


def _quarantine(directory: Path) -> Iterator[QuarantineRow]:
    for path in fs.find(directory, "**/*.jsonl") if fs.is_directory(directory) else []:
        for row in _rows(path):
            try:
                yield msgspec.convert(row, QuarantineRow)
            except msgspec.ValidationError:
                continue
