"""The pipeline's door to the trainer: a recipe's `train` stage as one task."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from dolma_pipeline.config.recipe import Train
from dolma_pipeline.engine.task import Context, Report
from dolma_pipeline.io import fs
from dolma_pipeline.io.atomic import output, read_json, write_json
from dolma_pipeline.train import require_torch
from dolma_pipeline.train.config import Hardware, Optimization, TrainerConfig
from dolma_pipeline.train.launch import launch
from dolma_pipeline.train.metrics import NAME, RESULT, Result, Row, read_rows
from dolma_pipeline.train.presets import architecture

LOSS_POINTS = 200
"""Most points of the loss curve in a report."""
CONFIG = "config.json"
MADE = "made.json"
"""What the files in the output directory were made from."""
VERSION = 1
"""Version of the trainer: raised with any change to the numbers it computes."""


class TrainTask(Struct, frozen=True, kw_only=True):
    """Train on the token directory `tokens`; everything goes below `output`."""

    train: Train
    tokens: str
    output: str
    seed: int
    validation: str | None = None


def train_model(config: TrainTask, context: Context) -> Report:
    """Trains in processes of its own, going on from a checkpoint of an interrupted run of the same task.

    The report's outputs are the files of the last checkpoint and of the exported model; its details `loss`
    ([step, loss] pairs), `final_loss`, `perplexity`, `bits_per_byte`, `validation_tokens`, `parameters` and
    `tokens_per_second`.
    """
    require_torch()
    trainer = trainer_config(config)
    directory = Path(config.output)
    start_over_if_changed(directory, trainer, config.train.nproc)
    write_json(directory / CONFIG, trainer)
    launch(directory / CONFIG, config.train.nproc, trainer.hardware.threads, context.say)
    return make_report(directory)


def trainer_config(config: TrainTask) -> TrainerConfig:
    """The trainer's own config, from the recipe's; raises ConfigError for a model that is not known."""
    train = config.train
    return TrainerConfig(
        model=architecture(train.model),
        tokens=str(Path(config.tokens).absolute()),
        output=str(Path(config.output).absolute()),
        validation=None if config.validation is None else str(Path(config.validation).absolute()),
        steps=train.steps,
        batch_size=train.batch_size,
        microbatch_size=train.microbatch_size,
        sequence_length=train.sequence_length,
        optimization=Optimization(
            learning_rate=train.learning_rate,
            schedule=train.schedule,
            warmup_steps=min(train.warmup_steps, train.steps - 1),
            final_fraction=train.final_fraction,
            weight_decay=train.weight_decay,
        ),
        hardware=Hardware(threads=train.threads, precision=train.precision),
        checkpoint_every=train.checkpoint_every,
        evaluate_every=train.evaluate_every,
        seed=config.seed if train.seed is None else train.seed,
    )


def start_over_if_changed(directory: Path, trainer: TrainerConfig, nproc: int) -> None:
    """Removes what a run of another task left in `directory`: a result must not depend on what was there before."""
    settings = msgspec.to_builtins(trainer)
    for name in ("tokens", "validation", "output"):
        path = settings.pop(name)
        # Data counts by what it is, not by where; an output not at all.
        if path is not None and name != "output":
            settings[name] = hashlib.sha256(fs.read_bytes(Path(path) / "manifest.json")).hexdigest()
    made = {"trainer": settings, "nproc": nproc, "version": VERSION}
    if not fs.is_file(directory / MADE) or read_json(directory / MADE) != made:
        for path in fs.list_directory(directory) if fs.is_directory(directory) else []:
            if not fs.is_directory(path):
                fs.remove(path)
            elif not fs.is_file(path / MADE):
                # What has its own MADE is the model of another stage.
                fs.remove_tree(path)
        write_json(directory / MADE, made)


def make_report(directory: Path) -> Report:
    """The report of the finished run in `directory`."""
    result: Result = read_json(directory / RESULT, Result)
    checkpoint = directory / result.checkpoint
    files = sorted(p for p in fs.list_directory(checkpoint) if fs.is_file(p))
    rows = read_rows(directory / NAME)
    details: dict[str, Any] = {
        "loss": _curve(rows),
        "final_loss": result.final_loss,
        "perplexity": result.validation.perplexity if result.validation else None,
        "bits_per_byte": result.validation.bits_per_byte if result.validation else None,
        "validation_tokens": result.validation.tokens if result.validation else 0,
        "parameters": result.parameters,
        "tokens_per_second": round(result.tokens_per_second, 1),
    }
    skipped = sum(row.skipped for row in rows)
    warnings = [f"{skipped} updates were skipped: the loss or its gradient was not finite"] if skipped else []
    outputs = [output(path) for path in (*files, *(directory / name for name in result.exported))]
    return Report(outputs=outputs, details=details, warnings=warnings)


def _curve(rows: list[Row]) -> list[list[float | None]]:
    """At most LOSS_POINTS points, evenly spread, the last among them."""
    stride = -(-len(rows) // LOSS_POINTS) or 1
    return [[row.step, row.loss] for row in rows if (len(rows) - row.step) % stride == 0]
