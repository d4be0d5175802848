"""The page of commands: usage and options of each, as its parser has them."""

from __future__ import annotations

import argparse
import importlib
import re
from collections.abc import Iterable
from types import ModuleType

import msgspec
from msgspec import Struct

from dolma_pipeline.cli.main import COMMANDS, make_parser
from dolma_pipeline.cli.parser import Parser
from scripts.reference.markdown import code, fenced, join, listed, prose, sentence, table, title
from scripts.reference.recipe import HEAD, rows
from scripts.reference.words import structs_in

INTRODUCTION = """\
`dolma [-c FILE] COMMAND [OPTION ...]`: the file of `-c` holds a configuration in YAML or JSON, and options go over what
it says. The option `--a.b` is the key `b` in the group `a` of that file. Options are written in full. An option that is
shown as `--x`, `--no-x` is switched on and off. `YAML` stands for a value in that form, such as `'{web: 0.7}'`. Every
command has `--help`; [exit codes](errors.md#exit-codes) are the same for all of them."""
NO_EFFECT = "has no effect: "
DEFAULT = re.compile(r"\s*\(default: (.*)\)$")
RECIPE_COLUMNS = "columns"


def page() -> str:
    """The whole page."""
    blocks = [*title("Commands"), INTRODUCTION]
    blocks.append(
        table(
            ("Command", "What it does"),
            [[f"[`dolma {n}`](#dolma-{n.replace(' ', '-')})", sentence(c.help)] for n, c in COMMANDS.items()],
        )
    )
    for name, command in COMMANDS.items():
        parser = make_parser(name)[1][name]
        blocks += [f"## dolma {name}", sentence(command.help), fenced(usage(name, parser)), *_options(parser)]
        blocks += _forms(importlib.import_module(command.module), parser)
        blocks.append(parser.epilog or "")
    return join(blocks)


def usage(name: str, parser: Parser) -> str:
    """The usage line: the parser's own, or its arguments and `[OPTION ...]`."""
    if parser.usage is not None:
        return parser.usage % {"prog": f"dolma {name}"}
    shapes = {None: "{}", "?": "[{}]", "+": "{} ...", "*": "[{} ...]"}
    places = [shapes[a.nargs].format(a.metavar) for a in _actions(parser) if not a.option_strings]  # type: ignore[index]
    return " ".join(["dolma", name, *places, "[OPTION ...]"])


def _actions(parser: Parser) -> Iterable[argparse.Action]:
    return (a for a in parser._actions if a.help != argparse.SUPPRESS and "--help" not in a.option_strings)


def _options(parser: Parser) -> list[str]:
    """Tables of the arguments and options by group; options without an effect are listed behind them."""
    blocks: list[str] = []
    idle: list[argparse.Action] = []
    actions = set(_actions(parser))
    for group in parser._action_groups:
        found = [a for a in group._group_actions if a in actions]
        if group.title == RECIPE_COLUMNS and found:
            names = listed([code(a.option_strings[0]) for a in found], "and")
            blocks.append(f"{names} name fields of the documents; see [Columns](recipe.md#columns).")
            continue
        idle += [a for a in found if (a.help or "").startswith(NO_EFFECT)]
        lines = [_row(a) for a in found if a not in idle]
        if lines and group.title not in ("options", "positional arguments"):
            blocks.append(f"Group `{group.title}`:" if "." in lines[0][0] else sentence(f"{group.title}:"))
        if group.title == "positional arguments":
            blocks.append(table(("Argument", "What it is"), [[name, about] for name, _, about in lines]))
        else:
            blocks.append(table(("Option", "Default", "What it does"), lines))
    if idle:
        blocks.append("Options of Dolma that are accepted and have no effect:")
        reasons = [(code(a.option_strings[0]), sentence(_help(a).removeprefix(NO_EFFECT))) for a in idle]
        blocks.append(table(("Option", "Why"), reasons))
    return blocks


def _help(action: argparse.Action) -> str:
    """The help as it is shown, without the default that some versions of Python add to that of a switch."""
    return (action.help or "").replace(" (default: %(default)s)", "").replace("%%", "%")


def _row(action: argparse.Action) -> list[str]:
    text = _help(action)
    default = DEFAULT.search(text)
    return [_names(action), code(default[1]) if default else "", sentence(DEFAULT.sub("", text))]


def _names(action: argparse.Action) -> str:
    """`--option VALUE`, with what stands in brackets optional; an argument without a name by its metavar."""
    if not action.option_strings:
        return code(str(action.metavar))
    if isinstance(action, argparse.BooleanOptionalAction):
        return ", ".join(code(name) for name in action.option_strings)
    value = action.metavar or ("{" + ",".join(map(str, action.choices)) + "}" if action.choices else "")
    shapes = {"?": "[{}]", "*": "[{} ...]", "+": "{} ..."}
    shape = shapes.get(str(action.nargs), "{}")
    return code(
        f"{action.option_strings[0]} {shape.format(value)}" if value and action.nargs != 0 else action.option_strings[0]
    )


def _forms(module: ModuleType, parser: Parser) -> list[str]:
    """What the YAML of an option may say, and the structs in it: those that no option of its own reaches."""
    yaml = {a.option_strings[0].removeprefix("--") for a in _actions(parser) if a.metavar == "YAML"}
    forms = [f for f in vars(module).values() if isinstance(f, type) and issubclass(f, Struct)]
    blocks: list[str] = []
    for form in forms:
        if form.__module__ != module.__name__:
            continue
        for info in msgspec.structs.fields(form):
            if info.encode_name in yaml:
                blocks += _described(f"`--{info.encode_name}`", structs_in(info.type), set())
    return blocks


def _described(place: str, parts: list[type[Struct]], shown: set[type[Struct]]) -> list[str]:
    blocks: list[str] = []
    for part in parts:
        if part in shown or part.__name__ == "Columns":
            continue
        shown.add(part)
        inner = [p for info in msgspec.structs.fields(part) for p in structs_in(info.type)]
        lines = [[key, takes, default, about] for key, takes, default, about in rows(part)]
        lines = [[k, re.sub(r"\(#columns\)", "(recipe.md#columns)", t), d, a] for k, t, d, a in lines]
        blocks += [f"### {part.__name__}", f"{prose(part)} It is a part of {place}.".strip(), table(HEAD, lines)]
        blocks += _described(place, inner, shown)
    return blocks
