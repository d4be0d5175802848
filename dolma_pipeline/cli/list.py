"""`dolma list`: the taggers there are, those of `--tagger_modules` included."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import Annotated

import msgspec
from msgspec import Meta, Struct, field

from dolma_pipeline.cli import arguments as cli

COLUMNS = ("name", "kind", "needs", "MB/s", "what it measures", "attributes")


class ListConfig(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Dolma's configuration of `list`."""

    tagger_modules: Annotated[
        list[str], Meta(description="modules, .py files or package directories that add taggers")
    ] = field(default_factory=list)


class Row(Struct, frozen=True, omit_defaults=True):
    """A tagger as it is listed."""

    name: str
    kind: str
    """`native`, `model`, `list`, `python`; `unavailable` where Dolma has it and we do not."""
    about: str
    attributes: list[str] = []
    """Where they are known without loading it."""
    needs: str = ""
    mb_per_second: float | None = None
    """Text per second on one core, as measured by `python -m bench.taggers`."""

    def cells(self) -> tuple[str, ...]:
        """In the order of COLUMNS."""
        speed = "" if self.mb_per_second is None else f"{self.mb_per_second:.3g}"
        return (self.name, self.kind, self.needs, speed, self.about, ", ".join(self.attributes))


def add_options(parser: argparse.ArgumentParser) -> None:
    cli.add_options(parser, ListConfig)
    parser.add_argument(
        "--json",
        action="store_true",
        help="print one JSON object for each tagger: name, kind, about, attributes and more",
    )


def run(arguments: argparse.Namespace) -> int:
    config = cli.load_config(arguments, ListConfig)
    rows = tagger_rows(config.tagger_modules)
    if arguments.json:
        print("\n".join(msgspec.json.encode(row).decode() for row in rows))
    elif sys.stdout.isatty():
        print_table(rows)
    else:
        print(plain_table(rows))
    return 0


def tagger_rows(modules: Sequence[str]) -> list[Row]:
    """A row for each tagger, by name."""
    from dolma_pipeline.taggers.registry import describe, speeds
    from dolma_pipeline.taggers.second_opinions import UNAVAILABLE

    measured = speeds()
    rows = [Row(t.name, t.kind, t.doc, list(t.attributes), t.needs, measured.get(t.name)) for t in describe(modules)]
    rows += [Row(name, "unavailable", f"{reason}; use {instead}") for name, (reason, instead) in UNAVAILABLE.items()]
    return sorted(rows, key=lambda row: row.name)


def plain_table(rows: Sequence[Row]) -> str:
    """Columns that line up, for files and pipes; attributes, which can be many, come last."""
    cells = [COLUMNS, *(row.cells() for row in rows)]
    widths = [max(len(row[i]) for row in cells) for i in range(len(COLUMNS))]
    return "\n".join("  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip() for row in cells)


def print_table(rows: Sequence[Row]) -> None:
    """A table as wide as the terminal."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(title="taggers")
    for column, style in zip(COLUMNS, ("cyan", "", "", "green", "", "dim"), strict=True):
        table.add_column(column, style=style, overflow="fold", justify="right" if column == "MB/s" else "left")
    for row in rows:
        # As Text: a name in brackets is no markup.
        table.add_row(*(Text(cell) for cell in row.cells()))
    Console().print(table)
