"""`dolma list`: the taggers there are, those of `--tagger_modules` included."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import Annotated

from msgspec import Meta, Struct, field

from dolma_pipeline.cli import arguments as cli

COLUMNS = ("name", "kind", "attributes", "needs", "what it measures")
Row = tuple[str, ...]
"""One cell for each of COLUMNS."""


class ListConfig(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Dolma's configuration of `list`."""

    tagger_modules: Annotated[list[str], Meta(description="modules or .py files that add taggers")] = field(
        default_factory=list
    )


def add_options(parser: argparse.ArgumentParser) -> None:
    cli.add_options(parser, ListConfig)


def run(arguments: argparse.Namespace) -> int:
    config = cli.load_config(arguments, ListConfig)
    rows = tagger_rows(config.tagger_modules)
    if sys.stdout.isatty():
        print_table(rows)
    else:
        print(plain_table(rows))
    return 0


def tagger_rows(modules: Sequence[str]) -> list[Row]:
    """A row for each tagger, by name."""
    from dolma_pipeline.taggers.registry import describe

    return sorted(
        (tagger.name, tagger.kind, ", ".join(tagger.attributes), tagger.needs, tagger.doc)
        for tagger in describe(modules)
    )


def plain_table(rows: Sequence[Row]) -> str:
    """Columns that line up, for files and pipes; attributes, which can be many, come last."""
    order = (0, 1, 3, 4, 2)
    cells = [tuple(row[i] for i in order) for row in [COLUMNS, *rows]]
    widths = [max(len(row[i]) for row in cells) for i in range(len(order))]
    return "\n".join("  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip() for row in cells)


def print_table(rows: Sequence[Row]) -> None:
    """A table as wide as the terminal."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(title="taggers")
    for column, style in zip(COLUMNS, ("cyan", "", "dim", "", ""), strict=True):
        table.add_column(column, style=style, overflow="fold")
    for row in rows:
        # As Text: a name in brackets is no markup.
        table.add_row(*(Text(cell) for cell in row))
    Console().print(table)
