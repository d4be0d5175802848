"""The manifest beside a model, `MODEL.json`: what it was made from, how to read texts for it, how good it is."""

from __future__ import annotations

from pathlib import Path

from msgspec import Struct

from dolma_pipeline.classifier.line import TextForm
from dolma_pipeline.classifier.metrics import Metrics, Removal
from dolma_pipeline.config.recipe import FastText, Quantize
from dolma_pipeline.engine.task import Output
from dolma_pipeline.io.atomic import read_json


class Examples(Struct, kw_only=True):
    """Documents of a label."""

    training: int = 0
    held_out: int = 0
    used: int = 0
    """Documents of `training` that `max_documents` let in."""


class ClassifierManifest(Struct, kw_only=True):
    """MODEL.json."""

    format: int = 1
    name: str
    model: str
    """File name, beside this one."""
    bytes: int
    blake3: str
    labels: list[str]
    """Without fastText's prefix `__label__`."""
    target: str
    """The label whose score `thresholds` are about."""
    text: TextForm
    """What a tagger does to a text before it asks the model."""
    examples: dict[str, Examples]
    repeated: int
    """Held-out documents whose text is also among those trained on: near 0, or the figures flatter."""
    inputs: list[Output]
    """Document files, by BLAKE3."""
    where: dict[str, str | None]
    """The rule that chose each label's documents."""
    held_out: float
    seed: int
    fasttext: FastText
    quantize: Quantize | None
    versions: dict[str, str]
    metrics: Metrics | None
    """They are measured with the model as it is saved, on held-out documents; None where none were held out."""
    thresholds: list[Removal]


def manifest_path(model: str | Path) -> Path:
    path = Path(model)
    return path.with_name(f"{path.name}.json")


def read_manifest(model: str | Path) -> ClassifierManifest:
    """The manifest of a model file; raises OSError where there is none, DataError where it is something else."""
    found: ClassifierManifest = read_json(manifest_path(model), ClassifierManifest)
    return found
