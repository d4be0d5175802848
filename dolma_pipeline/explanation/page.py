"""A sample of dropped documents, as text and as a page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from dolma_pipeline.explanation.sample import Sampled
from dolma_pipeline.report.markup import element
from dolma_pipeline.report.page import page, write_page
from dolma_pipeline.report.sections import section
from dolma_pipeline.report.units import counted

SHOWN = 300
"""Characters of a text that a terminal shows."""


def render_sample(rule: str, sample: Sequence[Sampled]) -> str:
    """Returns a few lines for each document."""
    if not sample:
        return f"the rule `{rule}` dropped no document"
    lines = []
    for each in sample:
        lines.append(f"{each.file}:{each.line}: document {each.id} of source {each.source}, dropped by {each.stage}")
        lines.append(f"  {' '.join(each.text[:SHOWN].split())}")
    return "\n".join(lines)


def write_sample(path: Path, rule: str, sample: Sequence[Sampled]) -> None:
    """Writes a page with the documents, each with where it stands and how its text begins."""
    expressions = dict.fromkeys(f"{each.stage}: {each.expression}" for each in sample if each.expression)
    sections = [
        section(
            f"{each.id} ({each.source})",
            element("p", f"{each.file}:{each.line}, {counted(each.characters, 'character')}"),
            element("pre", each.text),
        )
        for each in sample
    ]
    facts = f"{counted(len(sample), 'document')}. {'; '.join(expressions)}"
    write_page(path, page("sample", "sample", f"Documents that the rule {rule} dropped", facts, *sections))
