"""The result of a stat stage for the terminal: tables by rich, or aligned text in files and pipes."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from msgspec import Struct

from dolma_pipeline.io import fs
from dolma_pipeline.io.atomic import read_json
from dolma_pipeline.report.summary import table
from dolma_pipeline.report.units import count, counted, share, size
from dolma_pipeline.stat.histogram import Summary, parts
from dolma_pipeline.stat.merge import SUMMARIES, VALUES, WHATIF, read_summaries, read_values
from dolma_pipeline.stat.result import Amount, Example, SweepResult, WhatIf, total
from dolma_pipeline.stat.values import SHOWN, ValueSummary, facts, short_text

PARTS = 10
"""Ranges of a distribution, of about equal counts."""
EXCERPT = 72
WIDEST = 6
"""Sources with a column each."""
DECIMALS = 4


class Block(Struct, frozen=True):
    """A titled table; its first row is the head. `below` is text under it."""

    title: str
    rows: list[list[str]]
    below: list[str] = []


def print_stat(directory: Path, *, show_total: bool) -> None:
    """Prints what a stat stage wrote into `directory`."""
    blocks = list(stat_blocks(directory, show_total=show_total))
    if sys.stdout.isatty():
        _print_rich(blocks)
    else:
        print("\n\n".join("\n".join([b.title, table(b.rows), *b.below]) for b in blocks))


def stat_blocks(directory: Path, *, show_total: bool = False) -> Iterator[Block]:
    if fs.is_file(directory / WHATIF):
        whatif: WhatIf = read_json(directory / WHATIF, WhatIf)
        if whatif.rules:
            yield _rules(whatif)
        for sweep in whatif.sweeps:
            yield _sweep(sweep, whatif.read)
    if fs.is_file(directory / SUMMARIES):
        for summary in read_summaries(directory / SUMMARIES):
            yield _distribution(summary, show_total)
    if fs.is_file(directory / VALUES):
        for values in read_values(directory / VALUES):
            yield _values(values)


def _sweep(sweep: SweepResult, read: dict[str, Amount]) -> Block:
    whole = total(read)
    sources = list(read) if 1 < len(read) <= WIDEST else []
    rows = [["threshold", "removed", "", "text", "", *sources]]
    below: list[str] = []
    for t in sweep.thresholds:
        gone = total(t.removed)
        figures = [count(gone.documents), _share(gone.documents, whole.documents)]
        figures += [size(gone.bytes), _share(gone.bytes, whole.bytes)]
        rows.append([t.shown, *figures, *(_share(t.removed[s].documents, read[s].documents) for s in sources)])
        if t.dropped or t.kept:
            below.append(f"  near {t.shown}")
            below += [_line("removed", e) for e in t.dropped] + [_line("kept", e) for e in t.kept]
    unknown = total(sweep.unknown).documents
    if unknown:
        below.append(f"  without a value to compare: {counted(unknown, 'document')}")
    return Block(sweep.expression, rows, below)


def _line(fate: str, e: Example) -> str:
    text = e.excerpt if len(e.excerpt) <= EXCERPT else f"{e.excerpt[:EXCERPT]}…"
    shown = "".join(c if c.isprintable() else "\ufffd" for c in f"{e.value:g}  {e.id}  {e.place}  {text}")
    return f"    {fate:<8} {shown}"


def _rules(whatif: WhatIf) -> Block:
    read = total(whatif.read).documents
    rows = [["rule", "alone", "", "first", "", "only it", ""]]
    for rule in whatif.rules:
        cells = []
        for amounts in (rule.alone, rule.first, rule.only):
            documents = total(amounts).documents
            cells += [count(documents), _share(documents, read)]
        rows.append([rule.name, *cells])
    gone = total(whatif.dropped).documents
    rows.append(["all rules", "", "", count(gone), _share(gone, read), "", ""])
    return Block(f"rules on {counted(read, 'document')}", rows)


def _share(part: float, whole: float) -> str:
    return share(part, whole) if part else "·"


def _distribution(summary: Summary, show_total: bool) -> Block:
    """Dolma's table: ten ranges of about equal counts."""
    ranges = parts(summary.bins, summary.counts, PARTS)
    edges = rounded([low for low, _, _ in ranges] + [ranges[-1][1]])
    everything = sum(summary.counts)
    rows = [["value", "share", "count"]]
    for i, (_, _, n) in enumerate(ranges):
        close = "]" if i == len(ranges) - 1 else ")"
        rows.append([f"[{edges[i]}, {edges[i + 1]}{close}", f"{n / everything:.4f}", count(n)])
    if show_total:
        rows.append([_sum(summary.sum), "← sum/total →", count(summary.total)])
    return Block(summary.name, rows)


def _values(summary: ValueSummary) -> Block:
    rows = [["value", "share", "count"]]
    for value, n in summary.values[:SHOWN]:
        rows.append([short_text(value), f"{n / summary.total:.4f}", count(n)])
    return Block(summary.name, rows, [f"  {facts(summary)}"])


def rounded(values: Sequence[float]) -> list[str]:
    """With as few decimals, up to four, as tell them apart; the last, the end of a bucket, need not be."""
    for decimals in range(DECIMALS):
        shown = [f"{v:.{decimals}f}" for v in values]
        nothing = any(float(text) == 0 and value != 0 for text, value in zip(shown, values, strict=True))
        if len(set(shown[:-1])) == len(shown) - 1 and not nothing:
            return shown
    return [f"{v:.{DECIMALS}f}" for v in values]


def _sum(value: float) -> str:
    if abs(value) >= 1e10:
        return f"{value:.2e}"
    return f"{int(value):,}" if value == round(value) else f"{value:.2f}"


def _print_rich(blocks: Sequence[Block]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console()
    for block in blocks:
        shown = Table(title=Text(block.title), title_justify="left")
        for i, name in enumerate(block.rows[0]):
            shown.add_column(Text(name), style="cyan" if i == 0 else "", justify="left" if i == 0 else "right")
        for row in block.rows[1:]:
            shown.add_row(*(Text(cell) for cell in row))
        console.print(shown)
        for line in block.below:
            console.print(Text(line, style="dim"), soft_wrap=True)
        console.print()
