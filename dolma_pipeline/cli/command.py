"""A command that makes a recipe: its configuration in, recipes made of it and run, mistakes told by its own keys."""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import PurePosixPath
from types import MappingProxyType
from typing import Annotated, Any, Literal, TypeVar

import msgspec
from msgspec import Meta, Struct

from dolma_pipeline.cli.arguments import Given, load
from dolma_pipeline.config.load import place
from dolma_pipeline.config.recipe import Recipe
from dolma_pipeline.config.yaml_file import Step, json_path, leading_path, parse_path
from dolma_pipeline.engine.outputs import Existing
from dolma_pipeline.engine.task import BadInput
from dolma_pipeline.errors import BadInputError, ConfigError
from dolma_pipeline.report.units import counted
from dolma_pipeline.secrets import hide, hide_in_settings

S = TypeVar("S", bound=Struct)
Compression = Literal["gz", "zst", ""]
NO_EFFECT = {"work_dir.input": "inputs are read where they are"}


class Config(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A part of a configuration: immutable, strict about its keys."""


class WorkDir(Config, frozen=True):
    input: Annotated[str | None, Meta(description="a directory for copies of the inputs")] = None
    output: Annotated[
        str | None,
        Meta(
            description="the directory of the ledger, by which a rerun resumes, instead of `.dolma` beside the "
            "destination"
        ),
    ] = None


class CompressionConfig(Config, frozen=True):
    input: Annotated[Compression | None, Meta(description="the compression of the inputs")] = None
    output: Annotated[Compression | None, Meta(description="the compression of the files that are written")] = None


def say_where_done(config: Struct, recipe: Recipe) -> None:
    print(f"{hide(recipe.name)}: done; its account is in {PurePosixPath(recipe.work_dir) / 'manifest.json'}")


def run_command(
    arguments: argparse.Namespace,
    form: type[S],
    to_recipes: Callable[[S], list[Recipe]],
    *,
    keys: Mapping[str, str],
    no_effect: Mapping[str, str] = NO_EFFECT,
    processes: Callable[[S], int],
    force: Callable[[S], bool] = lambda config: False,
    remarks: Callable[[S], list[str]] = lambda config: [],
    existing: Existing = "told",
    show: Callable[[S, Recipe], None] = say_where_done,
) -> int:
    """Loads the configuration, says what in it has no effect, and runs its recipes; `dryrun` prints it instead.

    `keys`: see `own_keys`. `remarks`: what else to say before the run, a line each. `existing`: which files may be
    written over; see outputs.py. `show` tells the result of each recipe.
    """
    given = load(arguments, form)
    config = given.config
    with own_keys(given, keys):
        recipes = to_recipes(config)
    for line in [*notes(config, no_effect), *remarks(config)]:
        print(hide(f"dolma: note: {line}"), file=sys.stderr)
    if getattr(config, "dryrun", False):
        print_config(config)
        return 0
    from dolma_pipeline.engine.run import RunOptions, run_recipe

    again = force(config)
    settings = RunOptions(processes=processes(config), force=again, existing="replace" if again else existing)
    late: BadInputError | None = None
    for number, recipe in enumerate(recipes):
        try:
            with own_keys(given, keys, number):
                run_recipe(recipe, settings)
        except BadInputError as error:
            # The recipe is done; those after it have nothing to do with it.
            late = late or error
        show(config, recipe)
    if late is not None:
        raise late
    return 0


def say_passed_over(bad: list[BadInput]) -> None:
    """Tells on stderr what a command without a quarantine could not read."""
    for each in bad:
        what = f"{counted(each.documents, 'line')} passed over" if each.documents else "what could be read was used"
        print(hide(f"dolma: warning: {each.why}; {what}"), file=sys.stderr)


def print_config(config: Struct) -> None:
    """As YAML, every default included; values of environment variables as they were written."""
    import yaml

    print(yaml.safe_dump(hide_in_settings(msgspec.to_builtins(config)), allow_unicode=True, sort_keys=True), end="")


@contextlib.contextmanager
def own_keys(given: Given[Any], keys: Mapping[str, str] = MappingProxyType({}), number: int = 0) -> Iterator[None]:
    """Makes a ConfigError name the key that the user gave, and where: the line of a file, or an option.

    `keys`, where he never wrote the recipe: path in the recipe: key of the configuration. `*` stands for any step, a
    last `**` for all that follow, `#` in a key for `number`, that of the recipe.
    """
    try:
        yield
    except ConfigError as error:
        lines = [_in_own_keys(line, given, keys, number) for line in str(error).splitlines()]
        raise ConfigError("\n".join(lines)) from None


def _in_own_keys(line: str, given: Given[Any], keys: Mapping[str, str], number: int) -> str:
    path, rest = leading_path(line)
    if not path or not rest.startswith(":"):
        return line
    key = _own_key(path, keys, number)
    # What an option says of a part is no fault of it where the command itself misses another.
    labels = given.labels if key != path else [label for label in given.labels if len(label.path) <= len(key)]
    return (place(key, given.file, labels) if key else json_path(key)) + rest


def _own_key(path: tuple[Step, ...], keys: Mapping[str, str], number: int) -> tuple[Step, ...]:
    """The key for the longest path in `keys` that `path` begins with, and the steps after it; `path` without one."""
    best: tuple[int, tuple[Step, ...]] = (0, path)
    for pattern, key in keys.items():
        steps = parse_path(pattern)
        whole = steps[-1] == "**"
        steps = steps[:-1] if whole else steps
        if best[0] < len(steps) <= len(path) and all(s in ("*", p) for s, p in zip(steps, path, strict=False)):
            best = len(steps), parse_path(key.replace("#", str(number))) + (() if whole else path[len(steps) :])
    return best[1]


def notes(config: Struct, no_effect: Mapping[str, str]) -> list[str]:
    """A sentence for each setting in `no_effect` (dotted key: reason) that is not at its default."""
    found = []
    for key, reason in no_effect.items():
        value, standard = _value_and_default(config, key)
        if value != standard:
            found.append(f"`{key}` has no effect: {reason}")
    return found


def _value_and_default(config: Any, key: str) -> tuple[Any, Any]:
    """The setting at a dotted key, and its default; both None where a part on the way was not given."""
    for step in key.split(".")[:-1]:
        config = getattr(config, step)
    last = key.rpartition(".")[2]
    return (None, None) if config is None else (getattr(config, last), getattr(type(config)(), last))


def require(value: Any, path: str, what: str) -> None:
    """Raises ConfigError unless there is a value at `path`."""
    if value is None or value in ("", []):
        raise ConfigError(f"$.{path}: expected {what}, found none; give it in the file or as `--{path}`")
