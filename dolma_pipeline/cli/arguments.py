"""Options from structs: the field `a.b` of a configuration is the option `--a.b`, its description the help.

Values are kept as strings and decoded with the rest of the configuration, so that an option may hold an interpolation
and a mistake in one is reported like a mistake in a file.
"""

from __future__ import annotations

import argparse
import functools
import typing
from collections.abc import Mapping
from typing import Any, Generic, Literal, TypeVar

import msgspec
from msgspec import NODEFAULT, UNSET, Struct

from dolma_pipeline.config.load import Label, alternatives, decode, description_of, is_option, merge, struct_of
from dolma_pipeline.config.yaml_file import File, parse_value, read

S = TypeVar("S", bound=Struct)
_DEST = "option "
"""Before the dotted name in a Namespace: no attribute of the parser itself begins so."""


def add_options(
    parser: argparse.ArgumentParser, form: type[Struct], no_effect: Mapping[str, str] | None = None
) -> None:
    """Adds an option for every field of `form` and of the structs in it; `no_effect` says why some have none."""
    parser.usage = "%(prog)s [-c FILE] [OPTION ...]"
    _add(parser, parser, form, "", no_effect or {})


class Given(Struct, Generic[S], frozen=True):
    """A configuration, and where its values came from."""

    config: S
    file: File | None
    labels: list[Label]


def load(arguments: argparse.Namespace, form: type[S]) -> Given[S]:
    """Defaults, under the file given with `-c`, under the options; decoded as Dolma would, mistakes as one error."""
    file: File | None = read(arguments.config) if arguments.config is not None else None
    given, labels = options(arguments)
    data = merge(file.data if file is not None else {}, given)
    return Given(decode(form, data, file=file, labels=labels, lax=True), file, labels)


def load_config(arguments: argparse.Namespace, form: type[S]) -> S:
    """The configuration alone."""
    return load(arguments, form).config


def options(arguments: argparse.Namespace) -> tuple[dict[str, Any], list[Label]]:
    """What was given on the command line, nested, and which option each value came from."""
    nested: dict[str, Any] = {}
    labels: list[Label] = []
    for dest, value in sorted(vars(arguments).items()):
        if not dest.startswith(_DEST):
            continue
        name = dest.removeprefix(_DEST)
        path = tuple(name.split("."))
        inner = nested
        for step in path[:-1]:
            inner = inner.setdefault(step, {})
        inner[path[-1]] = value
        labels.append(Label(path, f"--{name}"))
    return nested, labels


def _add(
    parser: argparse.ArgumentParser, group: Any, form: type[Struct], prefix: str, no_effect: Mapping[str, str]
) -> None:
    for info in msgspec.structs.fields(form):
        if not is_option(info.type):
            continue
        name = f"{prefix}{info.encode_name}"
        members = alternatives(info.type)
        nested = struct_of(info.type)
        if nested is not None:
            _add(parser, parser.add_argument_group(name), nested, f"{name}.", no_effect)
            continue
        settings: dict[str, Any] = {
            "dest": f"{_DEST}{name}",
            "default": argparse.SUPPRESS,
            "help": _help(description_of(info.type), info.default, info.default_factory),
        }
        if name in no_effect:
            settings["help"] = f"has no effect: {no_effect[name]}".replace("%", "%%")
        item = next((typing.get_args(m)[0] for m in members if typing.get_origin(m) is list), None)
        if bool in members:
            settings["action"] = argparse.BooleanOptionalAction
        elif item is not None and struct_of(item) is not None:
            settings |= {"nargs": "*", "metavar": "YAML", "type": functools.partial(parse_value, name=f"--{name}=")}
        elif any(typing.get_origin(m) is dict for m in members):
            settings |= {"metavar": "YAML", "type": functools.partial(parse_value, name=f"--{name}=")}
        elif item is not None:
            settings |= {"nargs": "*", "metavar": _metavar(alternatives(item))}
        else:
            # As with Dolma, an option that may be null is so when it stands without a value.
            settings |= {"metavar": _metavar(members), "nargs": "?" if type(None) in members else None}
        group.add_argument(f"--{name}", **settings)


def _metavar(members: tuple[Any, ...]) -> str:
    choices = [str(c) for m in members if typing.get_origin(m) is Literal for c in typing.get_args(m)]
    if choices:
        return "{" + ",".join(choices) + "}"
    return next((word for kind, word in ((int, "INT"), (float, "NUMBER")) if kind in members), "TEXT")


def _help(description: str, default: Any, factory: Any) -> str:
    value = factory() if factory is not NODEFAULT else default
    if value is NODEFAULT or value is UNSET or value is None or value in ([], {}, ""):
        shown = ""
    elif isinstance(value, bool):
        shown = "(default: on)" if value else ""
    else:
        shown = f"(default: {msgspec.json.encode(value).decode() if isinstance(value, str) else value})"
    return " ".join(part for part in (description, shown) if part).replace("%", "%%")
