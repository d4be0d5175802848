"""The run manifest: what went in, what came out, where every document went, and the BLAKE3 of every file.

A function of inputs, recipe and versions: it holds no times and no counts of workers. Those are in timings.json.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

import msgspec
from msgspec import UNSET, Struct, UnsetType

from dolma_pipeline import __version__
from dolma_pipeline.engine import idle_rules
from dolma_pipeline.engine.asked import compare_tokens
from dolma_pipeline.engine.builder import StageInfo
from dolma_pipeline.engine.details import combine as combine
from dolma_pipeline.engine.plan import Plan, State
from dolma_pipeline.engine.task import BadInput, Counts, Output
from dolma_pipeline.errors import DataError
from dolma_pipeline.io import fs
from dolma_pipeline.io.atomic import read_json
from dolma_pipeline.secrets import hide, hide_in_settings

NAME = "manifest.json"
TIMINGS = "timings.json"
FORMAT = 2


class StageAccount(Struct, kw_only=True):
    """The documents of one stage by source: in = out + dropped + quarantined + unread."""

    id: str
    kind: str
    accounts: bool | UnsetType = UNSET
    """As its `StageKind` says, for a kind that is not built in: the module need not be there to read the account."""
    role: str | UnsetType = UNSET
    counts: dict[str, Counts] = {}
    bad: dict[str, list[BadInput]] = {}
    """The files of each source of which something could not be used; quarantine files as in `RunManifest.files`."""
    details: dict[str, Any] = {}


class RunManifest(Struct, kw_only=True):
    """manifest.json of a run."""

    format: int = FORMAT
    name: str
    version: str
    seed: int
    recipe: dict[str, Any]
    """With all defaults; a value of an environment variable as it was written, `${oc.env:NAME}`."""
    stages: list[StageAccount]
    files: list[Output]
    """Paths relative to the work directory where they are in it; of what is left in scratch/, none."""
    warnings: list[str] = []
    work_dir: str = "."
    """Path from here to the work directory, which paths of files begin in."""
    digest: str = ""
    """BLAKE2b of all the rest: a manifest that was edited after the run is told from one that was not."""


class _Head(Struct):
    format: int = 0
    dtype: str | None = None
    """The type of token ids, which a manifest of tokens has."""


class PhaseTiming(Struct, kw_only=True):
    """What a phase cost."""

    phase: str
    stage: str
    tasks: int = 0
    skipped: int = 0
    seconds: float = 0.0
    """Wall time, in seconds."""
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


def read_manifest(directory: Path) -> RunManifest:
    """The manifest in `directory`. Raises DataError if there is none, or one of another format."""
    path = directory / NAME
    if not fs.is_file(path):
        raise DataError(f"{directory}: expected a {NAME}, found none; it is written when a run has finished")
    head = read_json(path, _Head)
    if head.dtype is not None:
        raise DataError(
            f"{directory}: expected the work directory of a run, found a directory of tokens; `dolma tokens inspect "
            f"{directory}` looks into them"
        )
    version = head.format
    if version != FORMAT:
        raise DataError(
            f"{path}: expected format {FORMAT}, found {version or 'none'}; it is of another version of "
            "dolma_pipeline. Running the recipe again writes it anew"
        )
    manifest: RunManifest = read_json(path, RunManifest)
    return manifest


def digest(manifest: RunManifest) -> str:
    """What `manifest.digest` must be."""
    plain = msgspec.json.encode(msgspec.structs.replace(manifest, digest=""), order="deterministic")
    return hashlib.blake2b(plain, digest_size=16).hexdigest()


def sealed(manifest: RunManifest) -> RunManifest:
    """A copy with its digest."""
    return msgspec.structs.replace(manifest, digest=digest(manifest))


def make_manifest(plan: Plan, state: State, account: Path) -> RunManifest:
    """The manifest of a run that has done everything; it is to be written to the directory `account`."""
    recipe = msgspec.to_builtins(plan.recipe)
    # Where it was run is no part of what was made.
    for where in ("work_dir", "scratch_dir"):
        recipe.pop(where, None)
    recipe = hide_in_settings(recipe)
    files: dict[str, Output] = {}
    warnings: dict[str, None] = dict.fromkeys(plan.warnings)
    for reports in state.kept.values():
        for written in reports.outputs():
            if plan.roots.scratch_phase(written.path) is not None:
                continue
            path = relative(written.path, plan.work_dir)
            files[path] = Output(path, written.bytes, written.blake3)
        # Where it was run is no part of what was made.
        warnings.update(dict.fromkeys(w.replace(f"{plan.work_dir}/", "") for w in reports.warnings()))
    stages = [_account(stage, state, plan.work_dir) for stage in plan.stages]
    warnings.update(dict.fromkeys(compare_tokens(stages)))
    warnings.update(dict.fromkeys(idle_rules.warnings(plan.recipe, stages)))
    manifest = RunManifest(
        name=hide_in_settings(plan.recipe.name),
        version=__version__,
        seed=plan.recipe.seed,
        recipe=recipe,
        stages=stages,
        files=[files[path] for path in sorted(files)],
        warnings=sorted({hide(w) for w in warnings}),
        work_dir=Path(os.path.relpath(plan.work_dir, account)).as_posix(),
    )
    return sealed(manifest)


def relative(path: str, work_dir: Path) -> str:
    """`path` from the work directory on, or as an absolute path where it is outside."""
    for file, directory in ((Path(path), work_dir), (Path(path).absolute(), work_dir.absolute())):
        if file.is_relative_to(directory):
            return file.relative_to(directory).as_posix()
    return str(Path(path).absolute())


def _account(stage: StageInfo, state: State, work_dir: Path) -> StageAccount:
    account = StageAccount(id=stage.id, kind=stage.kind, accounts=stage.accounts, role=stage.role)
    for phase in stage.counted:
        reports = state.reports.get(phase, {})
        for name in sorted(reports):
            report = reports[name]
            for source, found in report.counts.items():
                counts = found.read() if stage.reading else found
                # Where it was run is no part of what was made.
                first = counts.first_lacking.replace(f"{work_dir}/", "")
                account.counts.setdefault(source, Counts()).add(msgspec.structs.replace(counts, first_lacking=first))
                # A task reads one source alone.
                if report.bad:
                    account.bad.setdefault(source, []).extend(_located(b, work_dir) for b in report.bad)
    if stage.phases:
        account.details = combine([r.details for r in _in_order(state, stage.phases[-1])])
    for phase in stage.described:
        account.details |= combine([r.details for r in _in_order(state, phase)])
    return account


def _located(bad: BadInput, work_dir: Path) -> BadInput:
    path = relative(bad.quarantine, work_dir) if bad.quarantine else ""
    return msgspec.structs.replace(bad, quarantine=path)


def _in_order(state: State, phase: str) -> list[Any]:
    reports = state.reports.get(phase, {})
    return [reports[name] for name in sorted(reports)]
