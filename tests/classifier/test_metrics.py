"""Held-out figures, each computed by hand or by a slow twin."""

from __future__ import annotations

import numpy as np
import pytest

from dolma_pipeline.classifier.metrics import Bin, LabelMetrics, Removal, auc, evaluate, reliability, thresholds

LABELS = ["good", "bad"]
TRUTH = np.asarray([0, 0, 0, 1, 1, 1, 1, 1])
GOOD = np.asarray([0.9, 0.6, 0.4, 0.55, 0.3, 0.2, 0.2, 0.05])
SCORES = np.stack([GOOD, 1 - GOOD], axis=1)


def test_evaluate() -> None:
    found = evaluate(LABELS, TRUTH, SCORES)
    assert found.confusion == {"good": {"good": 2, "bad": 1}, "bad": {"good": 1, "bad": 4}}
    assert (found.documents, found.accuracy, found.macro_f1) == (8, 0.75, 0.733334)
    assert found.labels == {
        "good": LabelMetrics(documents=3, precision=0.666667, recall=0.666667, f1=0.666667, auc=0.933333),
        "bad": LabelMetrics(documents=5, precision=0.8, recall=0.8, f1=0.8, auc=0.933333),
    }
    # 0.1 + 0.4 + 0.6 + 0.55 + 0.3 + 2 x 0.2 + 0.05 over 8: each is alone in its bin, but for those that score 0.2.
    assert found.calibration_error["good"] == 0.3


def test_a_label_that_is_never_the_answer() -> None:
    found = evaluate(LABELS, TRUTH, np.stack([GOOD * 0, GOOD * 0 + 1], axis=1))
    assert found.labels["good"] == LabelMetrics(documents=3, precision=0.0, recall=0.0, f1=0.0, auc=0.5)
    assert evaluate(LABELS, TRUTH[:3], SCORES[:3]).labels["bad"].auc is None


def test_auc_is_the_share_of_pairs_in_order() -> None:
    rng = np.random.default_rng(1)
    score, positive = rng.integers(0, 20, 300) / 20, rng.random(300) < 0.3
    pairs = [(a > b) + (a == b) / 2 for a in score[positive] for b in score[~positive]]
    assert auc(score, positive) == pytest.approx(sum(pairs) / len(pairs), abs=1e-6)


def test_reliability() -> None:
    score = np.asarray([0.0, 0.09, 0.5, 0.55, 1.00001])
    assert reliability(score, np.asarray([False, True, True, False, True])) == [
        Bin(low=0.0, high=0.1, documents=2, mean_score=0.045, share=0.5),
        Bin(low=0.5, high=0.6, documents=2, mean_score=0.525, share=0.5),
        Bin(low=0.9, high=1.0, documents=1, mean_score=1.00001, share=1.0),
    ]


def test_thresholds() -> None:
    assert thresholds(LABELS, 0, TRUTH, SCORES, [0.0, 0.125, 0.25, 0.5, 1.0]) == [
        Removal(rate=0.0, threshold=0.05, removed=0.0, by_label={"good": 0.0, "bad": 0.0}),
        Removal(rate=0.125, threshold=0.2, removed=0.125, by_label={"good": 0.0, "bad": 0.2}),
        # Two documents score 0.2: an eighth or three eighths can go, and an eighth comes first.
        Removal(rate=0.25, threshold=0.2, removed=0.125, by_label={"good": 0.0, "bad": 0.2}),
        Removal(rate=0.5, threshold=0.4, removed=0.5, by_label={"good": 0.0, "bad": 0.8}),
        Removal(rate=1.0, threshold=0.9, removed=0.875, by_label={"good": 0.666667, "bad": 1.0}),
    ]
