"""Files that come with the package."""

from __future__ import annotations

from importlib import resources


def package_text(folder: str, name: str) -> str:
    """The text of a file in a folder of the package."""
    return resources.files("dolma_pipeline").joinpath(folder, name).read_text(encoding="utf-8")


def package_files(folder: str) -> list[str]:
    """The names in a folder of the package, sorted."""
    return sorted(file.name for file in resources.files("dolma_pipeline").joinpath(folder).iterdir())
