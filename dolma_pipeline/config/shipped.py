"""Recipes by name: files of the user, and those that come with the package."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from dolma_pipeline.config.yaml_file import File, parse, read
from dolma_pipeline.errors import ConfigError, listed, suggest


def find_recipe(name: str) -> File:
    """The file of that name, or the shipped recipe."""
    if "://" in name or "/" in name or Path(name).suffix or Path(name).is_file():
        return read(name)
    if name not in shipped():
        raise ConfigError(
            f"expected a recipe file, or one of {listed(shipped())}, found neither for `{name}`"
            f"{suggest(name, shipped())}"
        )
    text = resources.files("dolma_pipeline").joinpath("recipes", f"{name}.yaml").read_text(encoding="utf-8")
    return parse(text, f"{name}.yaml")


def shipped() -> list[str]:
    """Names of the recipes that come with the package."""
    directory = resources.files("dolma_pipeline").joinpath("recipes")
    return sorted(f.name.removesuffix(".yaml") for f in directory.iterdir() if f.name.endswith(".yaml"))
