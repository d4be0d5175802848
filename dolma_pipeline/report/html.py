"""The account of a run as one page that needs nothing else: style and charts inside, no script, no network."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from dolma_pipeline.report.account import Run, load_run
from dolma_pipeline.report.markup import Markup, element
from dolma_pipeline.report.sections import (
    cards,
    duplicates,
    file_list,
    gates,
    quarantine,
    recipe,
    stage_table,
    times,
    tokens,
    training,
    warnings,
)
from dolma_pipeline.report.units import count, size
from dolma_pipeline.storage import atomic_path

NAME = "report.html"


def write_report(run_dir: Path) -> Path:
    """Writes `report.html` into the run directory and returns its path; a DataError if the run has not finished."""
    page = render_page(load_run(run_dir))
    with atomic_path(run_dir / NAME) as temporary:
        temporary.write_text(page, encoding="utf-8", newline="\n")
    return run_dir / NAME


def render_page(run: Run) -> str:
    """The page; the same for the same run directory."""
    manifest = run.manifest
    style = files("dolma_pipeline.report").joinpath("style.css").read_text(encoding="utf-8")
    written = f"{count(len(manifest.files))} files, {size(sum(f.bytes for f in manifest.files))}"
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("title", f"{manifest.name}: run report"),
        # The style sheet is ours and holds no `<`: escaping it would break its child selectors.
        element("style", Markup(style)),
    )
    header = element(
        "header",
        element("p", "Run report", class_="kicker"),
        element("h1", manifest.name),
        element("p", f"dolma_pipeline {manifest.version} · seed {manifest.seed} · {written}", class_="soft"),
    )
    sections = [section(run) for section in (cards, warnings, gates, duplicates, tokens, training, times)]
    sections += [section(run) for section in (stage_table, quarantine, recipe, file_list)]
    body = element("body", element("main", header, *sections))
    return f"<!DOCTYPE html>\n{element('html', head, body, lang='en')}\n"
