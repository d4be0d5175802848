"""What the drop-in commands have in common: where Dolma's globs lead, where the ledger goes, how recipes are run."""

from __future__ import annotations

import argparse
import glob
import hashlib
import json
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Annotated, Any, Literal, TypeVar

import msgspec
from msgspec import Meta, Struct

from dolma_pipeline.cli.arguments import load_config
from dolma_pipeline.errors import BadInputError, ConfigError
from dolma_pipeline.recipe import Recipe, Source

S = TypeVar("S", bound=Struct)
Compression = Literal["gz", "zst", ""]
LEDGER = ".dolma"
"""Directory of the ledgers beside the data: it is hidden, so no glob of documents finds it."""
_GLOB = re.compile(r"[*?\[]")


class Config(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A part of a Dolma configuration: immutable, strict about its keys."""


class WorkDir(Config, frozen=True):
    input: str | None = None
    output: Annotated[str | None, Meta(description="directory of the ledger, by which a rerun resumes")] = None


class CompressionConfig(Config, frozen=True):
    input: Compression | None = None
    output: Annotated[Compression | None, Meta(description="of the files that are written")] = None


def run_command(
    arguments: argparse.Namespace,
    form: type[S],
    to_recipes: Callable[[S], list[Recipe]],
    no_effect: Mapping[str, str],
    *,
    processes: Callable[[S], int],
    force: Callable[[S], bool] = lambda config: False,
) -> int:
    """Loads the configuration, says what in it has no effect, and runs its recipes; `dryrun` prints it instead."""
    config = load_config(arguments, form)
    recipes = to_recipes(config)
    for line in notes(config, no_effect):
        print(f"dolma: note: {line}", file=sys.stderr)
    if getattr(config, "dryrun", False):
        import yaml

        print(yaml.safe_dump(msgspec.to_builtins(config), allow_unicode=True, sort_keys=True), end="")
        return 0
    from dolma_pipeline.run import RunOptions, run_recipe

    settings = RunOptions(processes=processes(config), force=force(config))
    late: BadInputError | None = None
    for recipe in recipes:
        try:
            run_recipe(recipe, settings)
        except ConfigError as error:
            # Of the recipe that the user never wrote; the keys of `tag`, `pack`, `reshard` and `convert` are his.
            text = str(error).replace("$.stages[0].tokens.pack", "$.pack")
            raise ConfigError(re.sub(r"\$\.stages\[0\]\.(tag|reshard|convert)\.", "$.", text)) from None
        except BadInputError as error:
            # The recipe is done; those after it have nothing to do with it.
            late = late or error
        print(f"{recipe.name}: done; its account is in {PurePosixPath(recipe.work_dir) / 'manifest.json'}")
    if late is not None:
        raise late
    return 0


def notes(config: Struct, no_effect: Mapping[str, str]) -> list[str]:
    """A sentence for each setting in `no_effect` (dotted key: reason) that is not at its default."""
    found = []
    for key, reason in no_effect.items():
        value, standard = _value_and_default(config, key)
        if value != standard:
            found.append(f"`{key}` has no effect: {reason}")
    return found


def _value_and_default(config: Any, key: str) -> tuple[Any, Any]:
    """Of the setting at a dotted key; both None where a part on the way was not given."""
    for step in key.split(".")[:-1]:
        config = getattr(config, step)
    last = key.rpartition(".")[2]
    return (None, None) if config is None else (getattr(config, last), getattr(type(config)(), last))


def require(value: Any, path: str, what: str) -> None:
    """A ConfigError unless there is a value at `path`."""
    if value is None or value in ("", []):
        raise ConfigError(f"$.{path}: expected {what}, found none; give it in the file or as `--{path}`")


def dataset_root(pattern: str, document_dir: str) -> str | None:
    """The part of a glob before its last directory `document_dir`, `.` if that is the first; None without one."""
    parts = pattern.split("/")
    # The last part is a file name.
    for i in range(len(parts) - 2, -1, -1):
        if parts[i] == document_dir:
            return "/".join(parts[:i]) or ("/" if i else ".")
    return None


def static_parent(pattern: str) -> str:
    """The directory of a glob as far as it is named."""
    parts = pattern.split("/")[:-1]
    fixed = next((i for i, part in enumerate(parts) if _GLOB.search(part)), len(parts))
    return "/".join(parts[:fixed]) or ("/" if pattern.startswith("/") else ".")


def sources(
    patterns: Sequence[str],
    *,
    document_dir: str = "documents",
    attributes: Sequence[str] = (),
    destinations: Sequence[str | None] | None = None,
    beside: bool = False,
) -> dict[str, Source]:
    """A source for each data set that `patterns` reach into, in their order, named after its directory.

    `destinations`: one per pattern, for its attribute files. `beside`: attribute files go beside the documents, which
    must therefore be in a directory `document_dir`.
    """
    groups: dict[tuple[str, str | None], list[str]] = {}
    for i, pattern in enumerate(dict.fromkeys(patterns)):
        root = dataset_root(pattern, document_dir)
        if root is None and beside:
            raise ConfigError(
                f"$.documents[{i}]: expected a directory `{document_dir}` in the path, found `{pattern}`: attribute "
                f"files go beside it, as in `data/{document_dir}/*.jsonl.gz`"
            )
        destination = destinations[list(patterns).index(pattern)] if destinations is not None else None
        groups.setdefault((root if root is not None else static_parent(pattern), destination), []).append(pattern)
    found: dict[str, Source] = {}
    for (root, destination), members in groups.items():
        found[unused(name_of(root), found)] = Source(
            documents=members if len(members) > 1 else members[0],
            attributes=list(attributes),
            destination=destination,
            document_dir=document_dir,
        )
    return found


def name_of(root: str) -> str:
    """The last component of a path in the letters that names may have."""
    last = root.rstrip("/").rsplit("/", 1)[-1]
    return re.sub(r"[^\w.+-]+", "_", last).lstrip(".+-") or "documents"


def unused(name: str, taken: Mapping[str, Any]) -> str:
    number, unused = 2, name
    while unused in taken:
        unused, number = f"{name}-{number}", number + 1
    return unused


def ledger(work_dir: WorkDir, beside: str, command: str, name: str, patterns: Sequence[str]) -> str:
    """Where the ledger of a command goes: `work_dir.output`, or hidden in the directory `beside`.

    The patterns are part of it, so that two jobs on parts of one data set (Dolma's way to use many machines) do not
    get into each other's way, while the same command finds what it has done.
    """
    digest = hashlib.blake2b(json.dumps(list(patterns)).encode(), digest_size=4).hexdigest()
    base = work_dir.output if work_dir.output is not None else f"{beside.rstrip('/')}/{LEDGER}"
    return f"{base.rstrip('/')}/{command}-{name_of(name)}-{digest}"


def root_of(patterns: Sequence[str], document_dir: str = "documents") -> str:
    """The data set of the first pattern."""
    root = dataset_root(patterns[0], document_dir)
    # Of a glob over data sets, the directory that they are all in.
    return root if root is not None and not _GLOB.search(root) else static_parent(patterns[0])


def spread(patterns: Sequence[str], document_dir: str = "documents") -> list[str]:
    """`data/*/documents/*.gz` as a pattern for each data set that it reaches, in order; others as they are."""
    found: list[str] = []
    for pattern in patterns:
        root = dataset_root(pattern, document_dir)
        if root is None or not _GLOB.search(root):
            found.append(pattern)
            continue
        below = pattern[len(root) :]
        each = [f"{glob.escape(r)}{below}" for r in sorted(glob.glob(root)) if glob.glob(glob.escape(r) + below)]
        found += each or [pattern]
    return found
