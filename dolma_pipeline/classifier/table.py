"""The figures of a trained classifier for the terminal."""

from __future__ import annotations

from pathlib import Path

from dolma_pipeline.classifier.manifest import ClassifierManifest, manifest_path, read_manifest
from dolma_pipeline.report.summary import table
from dolma_pipeline.report.units import count, counted, size


def render(model: Path) -> str:
    """Held-out figures, calibration and thresholds of a model, from its manifest."""
    m = read_manifest(model)
    blocks = [_head(m, model), _labels(m)]
    if m.metrics is not None:
        blocks += [_confusion(m), _calibration(m), _thresholds(m)]
    return "\n\n".join(blocks)


def _head(m: ClassifierManifest, model: Path) -> str:
    lines = [
        f"{model}: {size(m.bytes)}, its manifest is {manifest_path(model).name}",
        f"  blake3 {m.blake3}",
    ]
    if m.metrics is not None:
        lines.append(
            f"  {counted(m.metrics.documents, 'document')} held out: accuracy {m.metrics.accuracy:.4f}, "
            f"macro F1 {m.metrics.macro_f1:.4f}"
        )
    if m.repeated:
        lines.append(f"  the texts of {count(m.repeated)} of them were also trained on: the figures flatter")
    return "\n".join(lines)


def _labels(m: ClassifierManifest) -> str:
    rows = [["label", "trained on", "judged on", "precision", "recall", "F1", "AUC"]]
    for name in m.labels:
        e = m.examples[name]
        figures, judged = [""] * 4, e.held_out
        if m.metrics is not None:
            found = m.metrics.labels[name]
            # With `max_documents`, not all that were held out.
            judged = found.documents
            figures = [f"{x:.4f}" for x in (found.precision, found.recall, found.f1)]
            figures.append(f"{found.auc:.4f}" if found.auc is not None else "")
        rows.append([name, count(e.used), count(judged), *figures])
    return table(rows)


def _confusion(m: ClassifierManifest) -> str:
    if m.metrics is None:
        return ""
    rows = [["label \\ answer", *m.labels]]
    rows += [[name, *(count(m.metrics.confusion[name][other]) for other in m.labels)] for name in m.labels]
    return table(rows)


def _calibration(m: ClassifierManifest) -> str:
    if m.metrics is None:
        return ""
    rows = [[f"score of {m.target}", "documents", "mean score", f"are {m.target}"]]
    for b in m.metrics.calibration[m.target]:
        close = "]" if b.high == 1 else ")"
        rows.append([f"[{b.low:.1f}, {b.high:.1f}{close}", count(b.documents), f"{b.mean_score:.4f}", f"{b.share:.4f}"])
    error = m.metrics.calibration_error[m.target]
    return f"{table(rows)}\n  expected calibration error {error:.4f}"


def _thresholds(m: ClassifierManifest) -> str:
    rows = [["to remove", f"{m.target} below", "removes", *(f"of {name}" for name in m.labels)]]
    for t in m.thresholds:
        shares = [f"{t.by_label.get(name, 0.0):.1%}" for name in m.labels]
        rows.append([f"{t.rate:.0%}", f"{t.threshold:.5f}", f"{t.removed:.1%}", *shares])
    return table(rows)
