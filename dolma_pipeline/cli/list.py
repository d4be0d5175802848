"""`dolma list`: the taggers there are, those of `--tagger_modules` included."""

from __future__ import annotations

import argparse
import sys
from typing import Annotated

from msgspec import Meta, Struct, field

from dolma_pipeline.cli.arguments import add_options as add_struct_options
from dolma_pipeline.cli.arguments import load_config


class ListConfig(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Dolma's configuration of `list`."""

    tagger_modules: Annotated[list[str], Meta(description="modules or .py files that add taggers")] = field(
        default_factory=list
    )


def add_options(parser: argparse.ArgumentParser) -> None:
    add_struct_options(parser, ListConfig)
