"""`dolma plan`: the phases of a recipe, and which of their tasks are up to date."""

from __future__ import annotations

import argparse

from dolma_pipeline.cli.command import own_keys
from dolma_pipeline.cli.run import add_recipe_options, load_given
from dolma_pipeline.secrets import hide


def add_options(parser: argparse.ArgumentParser) -> None:
    add_recipe_options(parser)


def run(arguments: argparse.Namespace) -> int:
    given = load_given(arguments)
    from dolma_pipeline.plan import make_plan

    with own_keys(given):
        print(hide(make_plan(given.config).render()))
    return 0
