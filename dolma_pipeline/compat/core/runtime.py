"""`create_and_run_tagger`: the `tag` command as a function, with Dolma's arguments."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from dolma_pipeline.cli.command import WorkDir
from dolma_pipeline.cli.drop_in.tag import TagConfig, to_recipes
from dolma_pipeline.compat.core.paths import join_path, make_relative, split_glob, split_path
from dolma_pipeline.engine.run import RunOptions, run_recipe
from dolma_pipeline.errors import ConfigError


def create_and_run_tagger(
    documents: Sequence[str],
    taggers: Sequence[str],
    taggers_modules: Sequence[str] | None = None,
    experiment: str | None = None,
    destination: str | Sequence[str] | None = None,
    metadata: str | Sequence[str] | None = None,
    debug: bool = False,
    seed: int = 0,
    ignore_existing: bool = False,
    skip_on_failure: bool = False,
    retries_on_error: int = 0,
    num_processes: int = 1,
) -> None:
    """Tags `documents` (files or globs of them) and writes attribute files.

    Without `destination` they go beside the documents, under `attributes/<experiment>`; a string is the directory
    above the experiments; a list has a directory for each of `documents`. `metadata` is the directory of the ledger.
    `seed` and `retries_on_error` have no effect. Raises ConfigError if `skip_on_failure` is set: a tagger that fails
    on a document ends the run (a recipe may say `on_error: quarantine`).
    """
    if skip_on_failure:
        raise ConfigError("skip_on_failure: expected False, found True; a recipe with `on_error: quarantine` does it")
    groups = [(experiment, list(taggers))] if experiment or destination is None else [(t, [t]) for t in taggers]
    for name, members in groups:
        where = destination
        if isinstance(where, str):
            where = _make_paths_from_prefix(list(documents), join_path(None, where, name or ""))
        config = TagConfig(
            documents=list(documents),
            destination=list(where) if where is not None else None,
            tagger_modules=list(taggers_modules or []),
            taggers=members,
            experiment=name,
            work_dir=WorkDir(output=metadata if isinstance(metadata, str) else None),
        )
        for recipe in to_recipes(msgspec.convert(msgspec.to_builtins(config), TagConfig)):
            options = RunOptions(
                processes=1 if debug else num_processes,
                force=ignore_existing,
                existing="replace" if ignore_existing else "same",
                progress="none",
            )
            run_recipe(recipe, options)


def _make_paths_from_substitution(paths: Sequence[str], find: str, replace: str) -> list[str]:
    """Returns the directory of each glob with its component `find` replaced."""
    made = []
    for path in paths:
        protocol, parts = _directory(path)
        if find not in parts:
            raise ValueError(f"expected a directory `{find}` in the path, found `{path}`")
        place = parts.index(find)
        made.append(join_path(protocol, *parts[:place], replace, *parts[place + 1 :]))
    return made


def _make_paths_from_prefix(paths: Sequence[str], prefix: str) -> list[str]:
    """Returns for each glob the directory below `prefix` that it has below the directory that all share."""
    protocol, root = split_path(prefix)
    _, relative = make_relative(list(paths))
    return [join_path(protocol, *root, *_directory(path)[1]) for path in relative]


def _directory(path: str) -> tuple[str, tuple[str, ...]]:
    fixed, rest = split_glob(path)
    protocol, parts = split_path(fixed)
    return protocol, parts if rest else parts[:-1]


__all__ = ["create_and_run_tagger"]
