"""The call of the fasttext library, in a process of its own: `python -m dolma_pipeline.classifier.fit JSON`.

With one thread fastText gives a tenth of its weights their first values and leaves the others as it finds them in
memory: in a process that has used and freed that memory, these are garbage that changes from run to run, costs accuracy
and can end in NaN. A fresh process has zeroed pages, and glibc is told to clear what it hands out (MALLOC_PERTURB_), so
that the same lines and seed give the same bytes with one build of the library on one kind of machine.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from dolma_pipeline.config.recipe import FastText, Quantize
from dolma_pipeline.errors import StageError

ZEROED = {"MALLOC_PERTURB_": "255"}
"""glibc fills new memory with the complement of this byte."""
SANE = 1e4
"""Weights beyond it are not the work of training."""
UNBOUND = "its weights have left all bounds"


class Fit(Struct, frozen=True, kw_only=True):
    """Lines to learn, and where the model goes."""

    lines: str
    model: str
    seed: int
    settings: FastText
    quantize: Quantize | None


def fit(config: Fit) -> None:
    """Trains in a child process; raises StageError with its last words if it fails."""
    command = [sys.executable, "-m", "dolma_pipeline.classifier.fit", msgspec.json.encode(config).decode()]
    done = subprocess.run(command, env=os.environ | ZEROED, capture_output=True, text=True, check=False)
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines()
        reason = said[-1] if said else f"it ended with code {done.returncode}"
        if "NaN" in reason or reason == UNBOUND:
            reason += "; a lower learning_rate helps"
        raise StageError(f"fastText could not train on {config.lines}: {reason}")


def _train(config: Fit) -> None:
    import fasttext
    import numpy as np

    s = config.settings
    # One thread: several write to the same weights without a lock, and no two runs end alike.
    settings: dict[str, Any] = {
        "input": config.lines,
        "dim": s.dim,
        "epoch": s.epoch,
        "lr": s.learning_rate,
        "wordNgrams": s.word_ngrams,
        "minCount": s.min_count,
        "bucket": s.bucket,
        "minn": s.min_n,
        "maxn": s.max_n,
        "loss": s.loss,
        "seed": config.seed,
        "thread": 1,
        "verbose": 0,
    }
    model = fasttext.train_supervised(**settings)
    for matrix in (model.get_input_matrix(), model.get_output_matrix()):
        if not np.isfinite(matrix).all() or np.abs(matrix).max() > SANE:
            raise SystemExit(UNBOUND)
    q = config.quantize
    if q is not None:
        cut = {"cutoff": q.cutoff, "retrain": q.retrain} if q.cutoff else {}
        model.quantize(
            input=config.lines,
            qnorm=q.qnorm,
            dsub=q.dsub,
            thread=1,
            verbose=0,
            epoch=s.epoch,
            lr=s.learning_rate,
            **cut,
        )
    model.save_model(str(Path(config.model)))


if __name__ == "__main__":
    _train(msgspec.json.decode(sys.argv[1], type=Fit))
