"""Checks of the settings of a `classifier` stage."""

from __future__ import annotations

from dolma_pipeline.config.checks import Checks, Path
from dolma_pipeline.config.recipe import Classifier
from dolma_pipeline.errors import unknown

MOST_CENTROIDS = 256
"""Vectors that a quantised fastText model must have at least."""


def check_classifier(checks: Checks, classifier: Classifier, path: Path) -> None:
    checks.name(classifier.name, (*path, "name"))
    checks.destination(f"classifiers/{classifier.name}", classifier.destination, path)
    for label, which in classifier.labels.items():
        checks.name(label, (*path, "labels", label))
        for i, name in enumerate(which.sources):
            checks.known_source(name, (*path, "labels", label, "sources", i))
    if classifier.target is not None and classifier.target not in classifier.labels:
        checks.note((*path, "target"), unknown("label", classifier.target, classifier.labels))
    if classifier.fasttext.min_n > classifier.fasttext.max_n:
        low, high = classifier.fasttext.min_n, classifier.fasttext.max_n
        checks.note((*path, "fasttext"), f"expected min_n <= max_n, found {low} and {high}")
    if classifier.quantize is not None and 0 < classifier.quantize.cutoff < MOST_CENTROIDS:
        text = f"expected 0 or at least {MOST_CENTROIDS}, found {classifier.quantize.cutoff}"
        checks.note((*path, "quantize", "cutoff"), f"{text}: a byte chooses among {MOST_CENTROIDS} centroids")
    expected = ".bin" if classifier.quantize is None else ".ftz"
    if classifier.destination is not None and not classifier.destination.endswith(expected):
        kind = "quantised model" if classifier.quantize is not None else "model that is not quantised"
        text = f"expected a file `*{expected}` for a {kind}, found `{classifier.destination}`"
        checks.note((*path, "destination"), text)
