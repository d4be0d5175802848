"""How good a classifier is on documents that it has not seen: scores against labels, nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from msgspec import Struct

Floats: TypeAlias = npt.NDArray[np.float64]
Integers: TypeAlias = npt.NDArray[np.int64]
BINS = 10


class LabelMetrics(Struct, frozen=True, kw_only=True):
    """One label against the rest, where the label of the highest score is the answer."""

    documents: int
    precision: float
    recall: float
    f1: float
    auc: float | None
    """How likely a document of the label scores higher than another one; None where there is no other."""


class Bin(Struct, frozen=True, kw_only=True):
    """Documents whose score of a label is in [low, high): calibrated, `share` is `mean_score`."""

    low: float
    high: float
    documents: int
    mean_score: float
    share: float
    """Share of the documents that have the label."""


class Removal(Struct, frozen=True, kw_only=True):
    """A threshold on the score of the target label, and what `score < threshold` removes of the held-out documents."""

    rate: float
    """That was asked for."""
    threshold: float
    removed: float
    by_label: dict[str, float]


class Metrics(Struct, frozen=True, kw_only=True):
    """All of it, with six decimals."""

    documents: int
    accuracy: float
    macro_f1: float
    labels: dict[str, LabelMetrics]
    confusion: dict[str, dict[str, int]]
    """Label -> answer -> documents."""
    calibration: dict[str, list[Bin]]
    calibration_error: dict[str, float]
    """Mean distance of `share` and `mean_score`, weighted by documents."""


def evaluate(labels: Sequence[str], truth: Integers, scores: Floats) -> Metrics:
    """`truth` is the index of each document's label, [n]; `scores` are [n, labels], 0 where there is none."""
    answer = scores.argmax(axis=1)
    counts = np.zeros((len(labels), len(labels)), np.int64)
    np.add.at(counts, (truth, answer), 1)
    found = {}
    for i, name in enumerate(labels):
        right, has, said = int(counts[i, i]), int(counts[i].sum()), int(counts[:, i].sum())
        precision, recall = _share(right, said), _share(right, has)
        f1 = 2 * precision * recall / (precision + recall) if right else 0.0
        found[name] = LabelMetrics(
            documents=has,
            precision=_round(precision),
            recall=_round(recall),
            f1=_round(f1),
            auc=auc(scores[:, i], truth == i),
        )
    bins = {name: reliability(scores[:, i], truth == i) for i, name in enumerate(labels)}
    return Metrics(
        documents=len(truth),
        accuracy=_round(_share(int(np.trace(counts)), len(truth))),
        macro_f1=_round(float(np.mean([m.f1 for m in found.values()]))),
        labels=found,
        confusion={name: {other: int(counts[i, j]) for j, other in enumerate(labels)} for i, name in enumerate(labels)},
        calibration=bins,
        calibration_error={
            name: _round(sum(b.documents * abs(b.share - b.mean_score) for b in each) / max(1, len(truth)))
            for name, each in bins.items()
        },
    )


def auc(score: Floats, positive: npt.NDArray[np.bool_]) -> float | None:
    """Area under the ROC curve, ties counted half."""
    p = int(positive.sum())
    n = len(positive) - p
    if not p or not n:
        return None
    _, where, number = np.unique(score, return_inverse=True, return_counts=True)
    ends = np.cumsum(number)
    rank = (ends - number + 1 + ends) / 2
    return _round(float((rank[where][positive].sum() - p * (p + 1) / 2) / (p * n)))


def reliability(score: Floats, positive: npt.NDArray[np.bool_]) -> list[Bin]:
    """Ten bins of equal width that hold anything; scores a little over 1, which fastText has, are in the last."""
    which = np.clip((score * BINS).astype(np.int64), 0, BINS - 1)
    found = []
    for i in range(BINS):
        mask = which == i
        if mask.any():
            found.append(
                Bin(
                    low=i / BINS,
                    high=(i + 1) / BINS,
                    documents=int(mask.sum()),
                    mean_score=_round(float(score[mask].mean())),
                    share=_round(float(positive[mask].mean())),
                )
            )
    return found


def thresholds(
    labels: Sequence[str], target: int, truth: Integers, scores: Floats, rates: Sequence[float]
) -> list[Removal]:
    """The thresholds of five decimals that come nearest to each share of the documents; many may score the same."""
    # As a tagger writes them, so that the threshold does to its attributes what it does here.
    score = np.round(scores[:, target], 5)
    ordered = np.sort(score)
    found = []
    for rate in rates:
        allowed = min(int(rate * len(ordered) + 1e-9), len(ordered) - 1)
        below = float(ordered[allowed])
        above = ordered[np.searchsorted(ordered, below, side="right") :][:1]
        threshold = min((below, *above.tolist()), key=lambda t: abs(float((score < t).mean()) - rate))
        gone = score < threshold
        by_label = {name: _round(float(gone[truth == i].mean())) for i, name in enumerate(labels) if (truth == i).any()}
        found.append(
            Removal(rate=rate, threshold=_round(threshold), removed=_round(float(gone.mean())), by_label=by_label)
        )
    return found


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 0.0


def _round(value: float) -> float:
    return round(value, 6)
