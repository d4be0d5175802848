"""`dolma plan`: the phases of a recipe, and which of their tasks are up to date."""

from __future__ import annotations

import argparse

from dolma_pipeline.cli.run import add_recipe_options, recipe_of


def add_options(parser: argparse.ArgumentParser) -> None:
    add_recipe_options(parser)


def run(arguments: argparse.Namespace) -> int:
    recipe = recipe_of(arguments)
    from dolma_pipeline.plan import make_plan

    print(make_plan(recipe).render())
    return 0
