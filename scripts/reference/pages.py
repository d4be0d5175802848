"""All reference pages by file name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from scripts.reference import commands, errors, python, recipe, stages, taggers

FOLDER = Path(__file__).resolve().parent.parent.parent / "docs" / "reference"
MAKERS: Mapping[str, Callable[[], str]] = {
    "recipe.md": recipe.page,
    "commands.md": commands.page,
    "taggers.md": taggers.page,
    "errors.md": errors.page,
    "python.md": python.page,
    "stages.md": stages.page,
}


def pages() -> dict[str, str]:
    """The text of each page. It depends on the code alone: not on the machine, nor on the version of Python."""
    return {name: make() for name, make in MAKERS.items()}
