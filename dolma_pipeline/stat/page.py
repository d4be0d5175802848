"""The report of a stat stage: one page that needs nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from dolma_pipeline import __version__
from dolma_pipeline.report.markup import Content, Markup, element
from dolma_pipeline.report.page import page
from dolma_pipeline.report.page import write_page as write
from dolma_pipeline.report.sections import data_table, section
from dolma_pipeline.report.units import count, counted, share, short, size
from dolma_pipeline.stat.charts import STYLES, distribution, removal
from dolma_pipeline.stat.histogram import Histogram
from dolma_pipeline.stat.result import Amount, Example, RuleResult, SweepResult, WhatIf, total
from dolma_pipeline.stat.values import SHOWN, ValueSummary, facts, short_text


def write_page(
    path: Path, title: str, histograms: dict[str, Histogram], values: Sequence[ValueSummary], whatif: WhatIf | None
) -> None:
    """Writes the page; the same for the same measures."""
    facts = f"dolma_pipeline {__version__}"
    if whatif is not None:
        read = total(whatif.read)
        facts += f" · {counted(read.documents, 'document')}, {size(read.bytes)} of text, "
        facts += counted(len(whatif.read), "source")
    parts: list[Markup] = []
    if whatif is not None:
        if whatif.rules:
            parts.append(_rules(whatif))
        parts += [_sweep(sweep, whatif.read) for sweep in whatif.sweeps]
    if histograms:
        parts.append(_distributions(histograms))
    if values:
        parts.append(_values(values))
    write(path, page("attributes", "What attributes say", title, facts, *parts))


def _sweep(sweep: SweepResult, read: dict[str, Amount]) -> Markup:
    """The curve of each source, the figures, and the documents on either side of each threshold."""
    lines = {
        source: [(t.at, t.removed[source].documents / amount.documents) for t in sweep.thresholds]
        for source, amount in read.items()
        if amount.documents
    }
    parts: list[Content] = []
    if lines:
        legend = [element("li", element("i", class_=f"s{i % STYLES}"), source) for i, source in enumerate(lines)]
        parts.append(element("ul", legend, class_="legend"))
        caption = "Share of the documents of each source that the rule removes, by threshold."
        parts.append(element("figure", removal(lines, caption), element("figcaption", caption)))
    rows: list[list[Content]] = []
    for t in sweep.thresholds:
        gone, whole = total(t.removed), total(read)
        by_source = [share(t.removed[s].documents, a.documents) or "·" for s, a in read.items()]
        rows.append(
            [
                t.shown,
                count(gone.documents),
                share(gone.documents, whole.documents),
                size(gone.bytes),
                share(gone.bytes, whole.bytes),
                *by_source,
            ]
        )
    head = ["threshold", "documents removed", "", "text removed", "", *read]
    parts.append(data_table(head, rows))
    unknown = total(sweep.unknown).documents
    if unknown:
        parts.append(element("p", f"Without a value to compare: {counted(unknown, 'document')}.", class_="soft"))
    for t in sweep.thresholds:
        if t.dropped or t.kept:
            table = _examples([*(("removed", e) for e in t.dropped), *(("kept", e) for e in t.kept)])
            title = f"Documents nearest to {t.shown}"
            parts.append(element("details", element("summary", title), table))
    return section(f"{sweep.expression}", *parts)


def _examples(rows: Sequence[tuple[str, Example]]) -> Markup:
    shown: list[list[Content]] = [
        [fate, f"{e.value:g}", e.source, element("code", f"{e.id}"), element("code", e.place), e.excerpt]
        for fate, e in rows
    ]
    head = ["", "value", "source", "id", "file:line", "text"]
    return element("div", data_table(head, shown, wide=5), class_="quarantine")


def _rules(whatif: WhatIf) -> Markup:
    read = total(whatif.read)
    rows: list[list[Content]] = []
    for rule in whatif.rules:
        alone, first, only = total(rule.alone), total(rule.first), total(rule.only)
        cells: list[Content] = []
        for amount in (alone, first, only):
            cells += [count(amount.documents), share(amount.documents, read.documents)]
        rows.append([rule.name, *cells, size(only.bytes)])
    gone = total(whatif.dropped)
    rows.append(["all rules", "", "", count(gone.documents), share(gone.documents, read.documents), "", "", ""])
    head = ["rule", "alone", "", "first", "", "only it", "", "text of those"]
    note = (
        "Alone: what the rule would drop without the others. First: what counts under it in a mix. "
        "Only it: what would stay without it."
    )
    parts: list[Content] = [data_table(head, rows, last_is_sum=True), element("p", note, class_="soft")]
    if len(whatif.read) > 1:
        parts += [element("h3", "By source, alone"), _by_source(whatif.rules, whatif.read)]
    for rule in whatif.rules:
        if rule.examples:
            table = _examples([("only it", e) for e in rule.examples])
            parts.append(element("details", element("summary", f"{rule.name}: {rule.expression}"), table))
    return section("Rules", *parts)


def _by_source(rules: Sequence[RuleResult], read: dict[str, Amount]) -> Markup:
    rows: list[list[Content]] = [
        [r.name, *(share(r.alone[s].documents, a.documents) or "·" for s, a in read.items())] for r in rules
    ]
    return data_table(["rule", *read], rows)


def _distributions(histograms: dict[str, Histogram]) -> Markup:
    drawn: list[Content] = []
    for name, histogram in histograms.items():
        facts = f"{counted(histogram.total, 'value')}, mean {short(float(histogram.sum) / histogram.total)}"
        drawn.append(element("h3", name))
        drawn.append(element("figure", distribution(histogram, name), element("figcaption", facts)))
    return section("Distributions", *drawn)


def _values(values: Sequence[ValueSummary]) -> Markup:
    shown: list[Content] = []
    for summary in values:
        shown.append(element("h3", summary.name))
        rows: list[list[Content]] = [
            [element("code", short_text(value)), count(n), share(n, summary.total)]
            for value, n in summary.values[:SHOWN]
        ]
        shown += [data_table(["value", "documents", ""], rows), element("p", facts(summary), class_="soft")]
    return section("Values", *shown)
