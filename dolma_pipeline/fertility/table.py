"""Fertility as rows of text, for the terminal and for the page."""

from __future__ import annotations

from pathlib import Path

from dolma_pipeline.fertility.result import Fertility, Figures, Row
from dolma_pipeline.io.atomic import read_json
from dolma_pipeline.report.summary import table
from dolma_pipeline.report.units import count, size

NOTE = (
    "tokens/word: all tokens; pieces/word: those in a word, and whole words: words of one token; byte tokens: a single "
    "byte of a character."
)


def render(result_path: Path) -> str:
    """The tables of a fertility.json."""
    result: Fertility = read_json(result_path, Fertility)
    blocks = [table([head(title, result), *block_rows(rows, result)]) for title, rows in blocks_of(result)]
    return "\n\n".join([*blocks, f"  {NOTE}\n  words: {result.words}"])


def blocks_of(result: Fertility) -> list[tuple[str, dict[str, Row]]]:
    """(what the rows are, rows): by source with the sum below, then by group."""
    sources = dict(result.sources)
    if len(sources) > 1:
        sources["all"] = result.total
    blocks = [("source", sources)]
    if result.by is not None:
        blocks.append((result.by, result.groups))
    return blocks


def head(title: str, result: Fertility) -> list[str]:
    several = len(result.tokenizers) > 1
    return [
        title, "documents", "text", "words", *(["tokenizer"] if several else []), "tokens", "tokens/word",
        "pieces/word", "whole words", "bytes/token", "chars/token", "byte tokens", "ids used",
        *(["to best"] if several else []),
        *([f"to {result.baseline}"] if result.baseline is not None else []),
    ]  # fmt: skip


def block_rows(rows: dict[str, Row], result: Fertility) -> list[list[str]]:
    """A row for each tokenizer; what is the same for all of them stands in the first."""
    several = len(result.tokenizers) > 1
    shown = []
    for name, row in rows.items():
        for i, (info, figures) in enumerate(zip(result.tokenizers, row.tokenizers, strict=True)):
            first = [name, count(row.documents), size(row.bytes), count(row.words)] if i == 0 else [""] * 4
            cells = [*first, *([info.name] if several else []), *_figures(figures, info.vocab_size)]
            if several:
                cells.append(number(figures.to_best))
            if result.baseline is not None:
                cells.append(number(figures.to_baseline))
            shown.append(cells)
    return shown


def _figures(f: Figures, vocab_size: int) -> list[str]:
    return [
        count(f.tokens),
        number(f.tokens_per_word),
        number(f.pieces_per_word),
        percent(f.whole_words),
        number(f.bytes_per_token),
        number(f.characters_per_token),
        percent(f.byte_tokens, 2),
        percent(f.vocabulary_used / vocab_size),
    ]


def number(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def percent(value: float | None, decimals: int = 1) -> str:
    return "" if value is None else f"{100 * value:.{decimals}f}%"
