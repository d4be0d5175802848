"""The run manifest: what went in, what came out, where every document went, and the BLAKE3 of every file.

A function of inputs, recipe and versions: it holds no times and no counts of workers. Those are in timings.json.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from dolma_pipeline import __version__
from dolma_pipeline.asked import compare_tokens
from dolma_pipeline.plan import Plan, StageInfo, State
from dolma_pipeline.task import Counts, Output

NAME = "manifest.json"
TIMINGS = "timings.json"


class StageAccount(Struct, kw_only=True):
    """The documents of one stage by source: in = out + dropped + quarantined."""

    id: str
    kind: str
    counts: dict[str, Counts] = {}
    details: dict[str, Any] = {}


class RunManifest(Struct, kw_only=True):
    """manifest.json of a run."""

    format: int = 1
    name: str
    version: str
    seed: int
    recipe: dict[str, Any]
    stages: list[StageAccount]
    files: list[Output]
    """Paths relative to the work directory where they are in it; of what is left in scratch/, none."""
    warnings: list[str] = []


class PhaseTiming(Struct, kw_only=True):
    """What a phase cost."""

    phase: str
    stage: str
    tasks: int = 0
    skipped: int = 0
    seconds: float = 0.0
    """Of wall time."""
    cpu_seconds: float = 0.0
    bytes: int = 0
    """UTF-8 bytes of text read by the tasks that were done."""
    documents: int = 0
    peak_rss: int = 0
    """Bytes; the largest of its workers."""


class Timings(Struct, kw_only=True):
    """timings.json of a run."""

    wall_seconds: float = 0.0
    processes: int = 1
    phases: list[PhaseTiming] = []


def make_manifest(plan: Plan, state: State) -> RunManifest:
    recipe = msgspec.to_builtins(plan.recipe)
    # Where it was run is no part of what was made.
    recipe.pop("work_dir", None)
    files: dict[str, Output] = {}
    warnings: dict[str, None] = {}
    for reports in state.reports.values():
        for report in reports.values():
            for written in report.outputs:
                path = relative(written.path, plan.work_dir)
                if path.startswith("scratch/"):
                    continue
                files[path] = Output(path, written.bytes, written.blake3)
            warnings.update(dict.fromkeys(report.warnings))
    stages = [_account(stage, state) for stage in plan.stages]
    warnings.update(dict.fromkeys(compare_tokens(stages)))
    return RunManifest(
        name=plan.recipe.name,
        version=__version__,
        seed=plan.recipe.seed,
        recipe=recipe,
        stages=stages,
        files=[files[path] for path in sorted(files)],
        warnings=sorted(warnings),
    )


def relative(path: str, work_dir: Path) -> str:
    try:
        return Path(path).relative_to(work_dir).as_posix()
    except ValueError:
        return str(Path(path).absolute())


def _account(stage: StageInfo, state: State) -> StageAccount:
    account = StageAccount(id=stage.id, kind=stage.kind)
    for phase in stage.counted:
        reports = state.reports.get(phase, {})
        for name in sorted(reports):
            for source, counts in reports[name].counts.items():
                account.counts.setdefault(source, Counts()).add(counts)
    if stage.phases:
        account.details = combine([r.details for r in _in_order(state, stage.phases[-1])])
    for phase in stage.described:
        account.details |= combine([r.details for r in _in_order(state, phase)])
    return account


def _in_order(state: State, phase: str) -> list[Any]:
    reports = state.reports.get(phase, {})
    return [reports[name] for name in sorted(reports)]


def combine(details: list[dict[str, Any]]) -> dict[str, Any]:
    """One task's details as they are; of many, whole numbers added up, other numbers at their largest, and text
    where all say the same."""
    if len(details) <= 1:
        return dict(details[0]) if details else {}
    total: dict[str, Any] = {}
    for each in details:
        for key, value in each.items():
            old = total.get(key)
            if isinstance(value, dict):
                total[key] = combine([old or {}, value])
            elif isinstance(value, str):
                total[key] = value if old in (None, value) else "mixed"
            elif isinstance(value, int) and not isinstance(value, bool):
                total[key] = (old or 0) + value
            elif isinstance(value, float):
                total[key] = max(old or 0.0, value)
    return total
