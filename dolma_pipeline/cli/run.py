"""`dolma run`: a recipe, from its sources to its last stage."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from dolma_pipeline.cli.arguments import Given
from dolma_pipeline.cli.command import own_keys
from dolma_pipeline.config.extends import extended
from dolma_pipeline.config.load import make_recipe, override
from dolma_pipeline.config.recipe import Recipe
from dolma_pipeline.config.shipped import find_recipe, shipped
from dolma_pipeline.errors import ConfigError, listed


def add_recipe_options(parser: argparse.ArgumentParser) -> None:
    """Which recipe, and what in it is changed."""
    names = ", ".join(shipped())
    parser.add_argument("recipe", nargs="?", metavar="RECIPE", help=f"a YAML or JSON file, or one of: {names}")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="PATH=VALUE",
        help="change a value of the recipe, as in `stages[0].tag.experiment=base`; may be repeated",
    )
    parser.add_argument("--work-dir", metavar="DIR", help="write to this directory instead of the recipe's work_dir")
    parser.add_argument(
        "--scratch-dir",
        metavar="DIR",
        help="keep files between two phases here, such as on a fast disk",
    )
    parser.add_argument(
        "--renamed", action="store_true", help="go on in a work_dir that knows the recipe under its old name"
    )


def add_options(parser: argparse.ArgumentParser) -> None:
    add_recipe_options(parser)
    parser.add_argument(
        "--processes", type=positive, default=1, metavar="N", help="how many workers run at once (default: 1)"
    )
    parser.add_argument("--address", metavar="ADDRESS", help="the address of a Ray cluster: auto, or ray://host:port")
    parser.add_argument("--force", action="store_true", help="do again what is up to date")
    parser.add_argument(
        "--keep-scratch", action="store_true", help="leave the files between two phases when their stage is done"
    )
    parser.add_argument("--json", action="store_true", help="show progress as JSON events on stderr, one on each line")
    parser.add_argument(
        "--quiet", action="store_true", help="show no progress and no summary, only what could not be read"
    )
    parser.add_argument(
        "--report", action=argparse.BooleanOptionalAction, default=True, help="write the page report.html (default: on)"
    )


def run(arguments: argparse.Namespace) -> int:
    given = load_given(arguments)
    recipe = given.config
    from dolma_pipeline.engine.run import RunOptions, run_recipe
    from dolma_pipeline.errors import BadInputError
    from dolma_pipeline.io.url import local

    options = RunOptions(
        processes=arguments.processes,
        address=arguments.address,
        force=arguments.force,
        keep_scratch=arguments.keep_scratch,
        renamed=arguments.renamed,
        progress="quiet" if arguments.quiet else "json" if arguments.json else "auto",
    )
    late: BadInputError | None = None
    try:
        with own_keys(given):
            run_recipe(recipe, options)
    except BadInputError as error:
        # It is raised when all is done: the summary shows where the bad input is.
        late = error
    finish(local(recipe.work_dir), report=arguments.report, json_line=arguments.json, quiet=arguments.quiet)
    if late is not None:
        raise late
    return 0


def finish(directory: Path, *, report: bool, json_line: bool, quiet: bool) -> None:
    """The summary on stdout, or with `json_line` where the manifest and the report are."""
    page: Path | None = None
    if report:
        from dolma_pipeline.report.html import write_report

        page = write_report(directory)
    if json_line:
        found = {"event": "finished", "manifest": str(directory / "manifest.json"), "report": page and str(page)}
        print(json.dumps(found))
    elif not quiet:
        from dolma_pipeline.report.summary import render_summary

        print(render_summary(directory).rstrip("\n"))
    sys.stdout.flush()


def load_given(arguments: argparse.Namespace) -> Given[Recipe]:
    """The recipe named on the command line, or with `-c`, after `--set` and `--work-dir`."""
    name = arguments.recipe if arguments.recipe is not None else arguments.config
    if name is None:
        raise ConfigError(f"expected a recipe: a file, or {listed(shipped())}, as in `dolma run quickstart`")
    file = extended(find_recipe(name))
    recipe = make_recipe(file, arguments.set, arguments.work_dir, arguments.scratch_dir)
    return Given(recipe, file, override(file.data, arguments.set)[1])


def positive(text: str) -> int:
    """An argparse type: a whole number from 1."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number from 1, found `{text}`")
    return int(text)
