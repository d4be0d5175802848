"""Checks a finished run: every file is what its manifest says, and every document is accounted for."""

from __future__ import annotations

from pathlib import Path

from dolma_pipeline import _native
from dolma_pipeline.errors import DataError
from dolma_pipeline.manifest import NAME, RunManifest, StageAccount
from dolma_pipeline.storage import read_json

READING = ("tag", "dedupe", "mix", "tokens")
"""Kinds of stages that account for every document of the corpus."""


def verify_run(run: str | Path) -> list[str]:
    """The problems found in a run directory (or its manifest.json), in the order of the manifest; none is good."""
    path = Path(run)
    directory = path if path.is_dir() else path.parent
    manifest_path = directory / NAME
    if not path.exists():
        raise DataError(f"{run}: expected the work directory of a finished run, found none")
    if not manifest_path.is_file():
        raise DataError(f"{directory}: expected a {NAME}, found none; it is written when a run has finished")
    manifest: RunManifest = read_json(manifest_path, RunManifest)
    problems = []
    for file in manifest.files:
        problem = _check(directory / file.path, file.bytes, file.blake3)
        if problem is not None:
            problems.append(f"{file.path}: {problem}")
    problems += _lost_between(manifest.stages)
    for stage in manifest.stages:
        for source, counts in stage.counts.items():
            if not counts.balanced:
                dropped = sum(counts.dropped.values())
                problems.append(
                    f"stage {stage.id}, source {source}: {counts.documents_in} documents in and {counts.repeated} "
                    f"repeated, but {counts.documents_out} out, {dropped} dropped and {counts.quarantined} quarantined"
                )
    return problems


def _lost_between(stages: list[StageAccount]) -> list[str]:
    """Stages before the first mix each read all of a source; those behind a mix, what it put out."""
    problems = []
    expected: dict[str, tuple[str, int]] = {}
    for stage in stages:
        if stage.kind not in READING:
            continue
        for source, counts in stage.counts.items():
            before, documents = expected.get(source, (stage.id, counts.documents_in))
            if counts.documents_in != documents:
                problems.append(
                    f"source {source}: {documents} documents after stage {before}, but {counts.documents_in} in stage "
                    f"{stage.id}"
                )
            left = counts.documents_out if stage.kind == "mix" else counts.documents_in
            expected[source] = (stage.id, left)
    return problems


def _check(path: Path, size: int, digest: str) -> str | None:
    try:
        found = path.stat().st_size
    except FileNotFoundError:
        return "missing"
    if found != size:
        return f"expected {size} bytes, found {found}"
    actual = _native.blake3_file(str(path))
    return None if actual == digest else f"expected BLAKE3 {digest[:16]}…, found {actual[:16]}…"
