"""Training as one task: the examples of all shards in one order, the model, its figures on what was held out."""

from __future__ import annotations

import heapq
import io
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec
import numpy as np
import pyarrow as pa
from msgspec import Struct

from dolma_pipeline import __version__, _native
from dolma_pipeline.classifier import metrics
from dolma_pipeline.classifier.examples import rows_in_order
from dolma_pipeline.classifier.fit import Fit, fit
from dolma_pipeline.classifier.line import PREFIX, TextForm, training_line
from dolma_pipeline.classifier.manifest import ClassifierManifest, Examples, manifest_path
from dolma_pipeline.config.recipe import Classifier
from dolma_pipeline.engine.task import Context, Output, Report
from dolma_pipeline.errors import StageError
from dolma_pipeline.io import fs
from dolma_pipeline.io.atomic import atomic_path, output, publishing, write_json
from dolma_pipeline.io.cache import local_copy
from dolma_pipeline.secrets import hide_in_settings

SCORED = 512
"""Held-out documents scored at a time."""


class TrainClassifier(Struct, frozen=True, kw_only=True):
    """The examples of all shards, and the file that the model becomes."""

    classifier: Classifier
    examples: list[str]
    inputs: list[Output]
    seed: int
    library: str
    """Version of fasttext."""
    scratch: str
    model: str


def train_classifier(config: TrainClassifier, context: Context) -> Report:
    """Writes the model and its manifest, each whole or not at all; memory is that of fastText.

    The report's details: documents by label, and the manifest's figures.
    """
    c = config.classifier
    labels = list(c.labels)
    form = TextForm(lower=c.lower, strip=c.strip)
    examples = {name: Examples() for name in labels}
    lines = Path(config.scratch) / "lines.txt"
    # Texts as numbers, to see whether what was held out was trained on under another id.
    seen = _write_lines(lines, config, examples, form)
    empty = [name for name, e in examples.items() if not e.used]
    if empty:
        raise StageError(
            f"classifier `{c.name}`: expected documents of every label to train on, found none of "
            f"{', '.join(f'`{n}`' for n in empty)}; check its `sources` and `where`"
        )
    try:
        with atomic_path(config.model) as temporary:
            fit(
                Fit(
                    lines=str(lines),
                    model=str(temporary),
                    seed=config.seed % 2**31,
                    settings=c.fasttext,
                    quantize=c.quantize,
                )
            )
    finally:
        fs.remove(lines, missing_ok=True)
    truth, scores, repeated = _score(config, _native.FastText(str(local_copy(config.model))), form, seen)
    target = c.target if c.target is not None else labels[0]
    model = output(config.model)
    manifest = ClassifierManifest(
        name=c.name,
        model=Path(config.model).name,
        bytes=model.bytes,
        blake3=model.blake3,
        labels=labels,
        target=target,
        text=form,
        examples=examples,
        repeated=repeated,
        inputs=config.inputs,
        where={name: hide_in_settings(which.where) for name, which in c.labels.items()},
        held_out=c.held_out,
        seed=config.seed,
        fasttext=c.fasttext,
        quantize=c.quantize,
        versions={"dolma_pipeline": __version__, "fasttext": config.library},
        metrics=metrics.evaluate(labels, truth, scores) if len(truth) else None,
        thresholds=metrics.thresholds(labels, labels.index(target), truth, scores, c.removal_rates)
        if len(truth)
        else [],
    )
    beside = manifest_path(config.model)
    described = write_json(beside, manifest)
    details = {"examples": msgspec.to_builtins(examples)}
    if manifest.metrics is not None:
        details["accuracy"] = manifest.metrics.accuracy
    warnings = []
    if repeated:
        warnings.append(
            f"classifier `{c.name}`: the texts of {repeated} of {len(truth)} held-out documents were also trained on, "
            "under other ids; dedupe before, or the figures flatter"
        )
    return Report(outputs=[model, described], details=details, warnings=warnings)


def in_order(paths: Sequence[str]) -> Iterator[tuple[int, int, bool, str]]:
    """The examples of all shards by hash; of equal ones, those of the first shard first."""
    streams = [
        ((order, number, label, held_out, text) for order, label, held_out, text in rows_in_order(path))
        for number, path in enumerate(paths)
    ]
    for order, _, label, held_out, text in heapq.merge(*streams, key=lambda row: row[:2]):
        yield order, label, held_out, text


def _write_lines(
    path: Path, config: TrainClassifier, examples: dict[str, Examples], form: TextForm
) -> np.ndarray[tuple[int], np.dtype[np.uint64]]:
    """The training file; counts into `examples`, and returns a hash of each text in it."""
    c = config.classifier
    counts = list(examples.values())
    names = list(examples)
    seen: list[np.ndarray[tuple[int], np.dtype[np.uint64]]] = []
    waiting: list[str] = []
    with (
        publishing(path) as published,
        io.TextIOWrapper(io.BufferedWriter(published.file), encoding="utf-8", newline="\n") as file,
    ):
        for _, label, held_out, text in in_order(config.examples):
            if held_out:
                counts[label].held_out += 1
                continue
            counts[label].training += 1
            if c.max_documents is not None and counts[label].used >= c.max_documents:
                continue
            counts[label].used += 1
            file.write(f"{PREFIX}{names[label]} {training_line(text, form)}\n")
            waiting.append(text)
            if len(waiting) == SCORED:
                seen.append(_hashes(waiting))
                waiting = []
    seen.append(_hashes(waiting))
    return np.unique(np.concatenate(seen))


def _hashes(texts: list[str]) -> np.ndarray[tuple[int], np.dtype[np.uint64]]:
    return np.asarray(_native.keyed_hash(pa.array(texts, pa.large_string()), 0).to_numpy(zero_copy_only=False))


def _score(
    config: TrainClassifier,
    model: _native.FastText,
    form: TextForm,
    seen: np.ndarray[tuple[int], np.dtype[np.uint64]],
) -> tuple[metrics.Integers, metrics.Floats, int]:
    """The label and the scores of each held-out document, as a tagger gives them; and how many were trained on."""
    labels = [f"{PREFIX}{name}" for name in config.classifier.labels]
    most = config.classifier.max_documents
    truth: list[int] = []
    scores: list[metrics.Floats] = []
    repeated = 0
    taken = [0] * len(labels)

    def add(texts: list[str]) -> int:
        batch = model.scores(pa.array(texts, pa.large_string()), labels, lower=form.lower, strip=form.strip)
        columns = [column.fill_null(0.0).to_numpy(zero_copy_only=False) for column in batch.columns]
        scores.append(np.stack(columns, axis=1))
        return int(np.isin(_hashes(texts), seen).sum())

    waiting: list[str] = []
    for _, label, held_out, text in in_order(config.examples):
        if not held_out or (most is not None and taken[label] >= most):
            continue
        taken[label] += 1
        truth.append(label)
        waiting.append(text)
        if len(waiting) == SCORED:
            repeated += add(waiting)
            waiting = []
    if waiting:
        repeated += add(waiting)
    table = np.concatenate(scores) if scores else np.empty((0, len(labels)))
    return np.asarray(truth, np.int64), table, repeated
