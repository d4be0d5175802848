"""Fertility as one page that needs nothing else."""

from __future__ import annotations

from pathlib import Path

from dolma_pipeline import __version__
from dolma_pipeline.fertility.result import Fertility, Row
from dolma_pipeline.fertility.table import NOTE, block_rows, blocks_of, head, number
from dolma_pipeline.report.charts import Segment, bar
from dolma_pipeline.report.markup import Content, Markup, element
from dolma_pipeline.report.page import page
from dolma_pipeline.report.page import write_page as write
from dolma_pipeline.report.sections import COLOURS, data_table, section
from dolma_pipeline.report.units import count, counted, size


def write_page(path: Path, title: str, result: Fertility) -> None:
    """Writes the page; the same for the same result."""
    sampled = f", a sample of {result.sample:g}" if result.sample < 1 else ""
    facts = (
        f"dolma_pipeline {__version__} · {counted(result.total.documents, 'document')}{sampled}, "
        f"{size(result.total.bytes)} of text"
    )
    names = [
        [t.name, count(t.vocab_size), element("code", t.path), element("code", t.blake3[:16])]
        for t in result.tokenizers
    ]
    parts = [section("Tokenizers", data_table(["", "vocabulary", "file", "BLAKE3"], names))]
    for what, rows in blocks_of(result):
        table = data_table(head(what, result), block_rows(rows, result))
        parts.append(section(f"By {what}", _chart(rows, result), table))
    notes = element("p", f"{NOTE} Words: {result.words}.", class_="soft")
    write(path, page("fertility", "How many tokens a text needs", title, facts, *parts, notes))


def _chart(rows: dict[str, Row], result: Fertility) -> Markup:
    """A bar of tokens per word for each tokenizer of each row."""
    values = [f.tokens_per_word or 0.0 for row in rows.values() for f in row.tokenizers]
    longest = max(values, default=0.0)
    legend = [element("li", element("i", class_=f"s{i % COLOURS}"), t.name) for i, t in enumerate(result.tokenizers)]
    shown: list[list[Content]] = []
    for name, row in rows.items():
        for i, f in enumerate(row.tokenizers):
            value = f.tokens_per_word or 0.0
            segment = Segment(0, value, f"s{i % COLOURS}", f"{result.tokenizers[i].name}: {value:.3f} tokens per word")
            shown.append([name if i == 0 else "", bar([segment], longest), number(f.tokens_per_word)])
    return element(
        "div", element("ul", legend, class_="legend"), data_table(["", "tokens per word", ""], shown, wide=1)
    )
