"""`dolma list`: the taggers there are, or with `--stages` the kinds of stages, those of modules of users included."""

from __future__ import annotations

import argparse
import inspect
import sys
from collections.abc import Sequence
from typing import Annotated

import msgspec
from msgspec import Meta, Struct, field

from dolma_pipeline.cli import arguments as cli
from dolma_pipeline.errors import ConfigError

STAGE_COLUMNS = ("kind", "from", "what the stage does")
COLUMNS = ("name", "kind", "needs", "MB/s", "what it measures", "attributes")


class ListConfig(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Dolma's configuration of `list`, with a key for modules of stages beside it."""

    tagger_modules: Annotated[
        list[str], Meta(description="modules, .py files or package directories that add taggers")
    ] = field(default_factory=list)
    stage_modules: Annotated[
        list[str], Meta(description="with --stages: modules, .py files or package directories that add kinds of stages")
    ] = field(default_factory=list)


class StageRow(Struct, frozen=True):
    """A kind of stage as it is listed."""

    kind: str
    brought_by: str
    """`built in`, or the module that brings it."""
    about: str


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
        "--stages",
        action="store_true",
        help="list the kinds of stages that a recipe may have, those of installed packages included",
    )
    parser.add_argument(
        "--json",
        action="store_true",
        help="print one JSON object for each tagger: name, kind, about, attributes and more; or for each kind of stage",
    )


def run(arguments: argparse.Namespace) -> int:
    config = cli.load_config(arguments, ListConfig)
    if arguments.stages:
        kinds = stage_rows(config.stage_modules)
        lines = (
            [msgspec.json.encode(row).decode() for row in kinds] if arguments.json else [columns(STAGE_COLUMNS, kinds)]
        )
        print("\n".join(lines))
        return 0
    if config.stage_modules:
        raise ConfigError("expected `--stages` beside `--stage_modules`, found none; without it, taggers are listed")
    rows = tagger_rows(config.tagger_modules)
    if arguments.json:
        print("\n".join(msgspec.json.encode(row).decode() for row in rows))
    elif sys.stdout.isatty():
        print_table(rows)
    else:
        print(plain_table(rows))
    return 0


def stage_rows(modules: Sequence[str]) -> list[StageRow]:
    """A row for each kind of stage: built-in ones, those of `modules`, and those of installed packages."""
    from dolma_pipeline.engine.registry import kinds

    # The packages are looked into for a kind that nobody has.
    found = kinds(modules, wanted=("",), place="--stage_modules[{}]".format).values()
    return [StageRow(k.kind, k.origin.rpartition("@")[0] or "built in", _first_line(k.config_type)) for k in found]


def _first_line(form: type[Struct]) -> str:
    """The first paragraph of a docstring, without its full stop."""
    text = inspect.cleandoc(form.__doc__ or "").partition("\n\n")[0]
    return " ".join(text.split()).removesuffix(".")


def columns(head: Sequence[str], rows: Sequence[StageRow]) -> str:
    """Columns that line up."""
    return _lined_up([head, *((row.kind, row.brought_by, row.about) for row in rows)])


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
    return _lined_up([COLUMNS, *(row.cells() for row in rows)])


def _lined_up(cells: Sequence[Sequence[str]]) -> str:
    widths = [max(len(row[i]) for row in cells) for i in range(len(cells[0]))]
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
