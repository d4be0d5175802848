"""`dolma plan`: the phases of a recipe, and which of their tasks are up to date."""

from __future__ import annotations

import argparse
import sys

from dolma_pipeline.cli.command import own_keys
from dolma_pipeline.cli.run import add_recipe_options, load_given
from dolma_pipeline.secrets import hide


def add_options(parser: argparse.ArgumentParser) -> None:
    add_recipe_options(parser)


def run(arguments: argparse.Namespace) -> int:
    given = load_given(arguments)
    from dolma_pipeline.engine.outputs import check_places
    from dolma_pipeline.engine.plan import make_plan

    with own_keys(given):
        plan = make_plan(given.config)
        check_places(plan.roots, given.config, plan.claims, renamed=arguments.renamed)
        for line in plan.warnings:
            print(hide(f"warning: {line}"), file=sys.stderr)
        print(hide(plan.render()))
    return 0
