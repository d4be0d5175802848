"""The account of a run as one page that needs nothing else: style and charts inside, no script, no network."""

from __future__ import annotations

from pathlib import Path

from dolma_pipeline.report.account import Run, load_run
from dolma_pipeline.report.page import page, write_page
from dolma_pipeline.report.sections import (
    cards,
    duplicates,
    file_list,
    gates,
    own_tables,
    quarantine,
    recipe,
    stage_table,
    times,
    tokens,
    training,
    warnings,
)
from dolma_pipeline.report.units import counted, size

NAME = "report.html"


def write_report(run_dir: Path) -> Path:
    """Writes `report.html` into the run directory and returns its path; a DataError if the run has not finished."""
    write_page(run_dir / NAME, render_page(load_run(run_dir)))
    return run_dir / NAME


def render_page(run: Run) -> str:
    """The page; the same for the same run directory."""
    manifest = run.manifest
    written = f"{counted(len(manifest.files), 'file')}, {size(sum(f.bytes for f in manifest.files))}"
    facts = f"dolma_pipeline {manifest.version} · seed {manifest.seed} · {written}"
    sections = [section(run) for section in (cards, warnings, gates, duplicates, tokens, training)]
    sections += [*own_tables(run), times(run)]
    sections += [section(run) for section in (stage_table, quarantine, recipe, file_list)]
    return page("run report", "Run report", manifest.name, facts, *sections)
