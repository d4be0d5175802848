"""Recipes by name: files of the user, and those that come with the package."""

from __future__ import annotations

from pathlib import Path

from dolma_pipeline.config.yaml_file import File, parse, read
from dolma_pipeline.errors import ConfigError, listed, suggest
from dolma_pipeline.io import fs
from dolma_pipeline.io.package import package_files, package_text


def find_recipe(name: str) -> File:
    """The file of that name, or the shipped recipe."""
    if "://" in name or "/" in name or Path(name).suffix or fs.is_file(Path(name)):
        return read(name)
    if name not in shipped():
        raise ConfigError(
            f"expected a recipe file, or one of {listed(shipped())}, found neither for `{name}`"
            f"{suggest(name, shipped())}"
        )
    text = package_text("recipes", f"{name}.yaml")
    return parse(text, f"{name}.yaml")


def shipped() -> list[str]:
    """Names of the recipes that come with the package."""
    return [name.removesuffix(".yaml") for name in package_files("recipes") if name.endswith(".yaml")]
