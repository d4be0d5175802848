"""Checks: a stage notes here what is wrong with its settings that types cannot say, and where in the recipe."""

from __future__ import annotations

import os
import pathlib
import re
from collections.abc import Mapping, Sequence
from typing import Any

from dolma_pipeline.config.recipe import AnyStage, Recipe
from dolma_pipeline.config.yaml_file import Step, json_path
from dolma_pipeline.errors import listed, suggest

Path = tuple[Step, ...]
_NAME = re.compile(r"^\w[\w.+-]*$")


class Checks:
    """The mistakes found in a recipe so far, and what checks of several stages have in common."""

    def __init__(self, recipe: Recipe) -> None:
        self.recipe = recipe
        self.problems: list[tuple[Path, str]] = []
        self.given_attributes: dict[str, Path] = {}
        """The first place where a source names attributes that are there already, by experiment."""
        self._experiments: dict[str, str] = {}
        self._destinations: dict[str, str] = {}

    def before(self, path: Path) -> Sequence[AnyStage]:
        """The stages before the one that `path` is in."""
        return self.recipe.stages[: int(path[1])]

    def behind(self, path: Path) -> Sequence[AnyStage]:
        """The stages behind the one that `path` is in."""
        return self.recipe.stages[int(path[1]) + 1 :]

    def note(self, path: Path, text: str) -> None:
        """Notes a mistake at `path`: `text` says what was expected, what was found, and what would work."""
        self.problems.append((path, text))

    def exactly_one(self, path: Path, options: Mapping[str, Any]) -> None:
        given = [name for name, value in options.items() if value is not None]
        if len(given) != 1:
            found = listed(given, " and ") or "none"
            self.note(path, f"expected exactly one of {listed(options)}, found {found}")

    def name(self, name: str, path: Path) -> None:
        """Names become directories."""
        if not _NAME.match(name):
            self.note(path, f"expected a name of letters, digits, `_`, `-`, `+` and `.`, found `{name}`")

    def known_source(self, name: str, path: Path) -> None:
        sources = self.recipe.sources
        if name not in sources:
            self.note(path, f"unknown source `{name}`{suggest(name, sources)} (sources: {listed(sources)})")

    def weights(self, weights: Mapping[str, float], path: Path) -> None:
        sources = self.recipe.sources
        for name, weight in weights.items():
            self.known_source(name, (*path, name))
            if weight < 0:
                self.note((*path, name), f"expected a weight >= 0, found {weight:g}")
        if not weights:
            return
        missing = [name for name in sources if name not in weights]
        if missing:
            text = f"expected a weight for every source, found none for {listed(missing)}; 0 leaves a source out"
            self.note(path, text)
        if not sum(weights.values()) > 0:
            self.note(path, "expected a weight above 0, found none")

    def experiment(self, name: str, path: Path) -> None:
        if name in self.given_attributes:
            there = json_path(self.given_attributes[name])
            self.note(path, f"expected a name of its own, found `{name}`, attributes that {there} reads")
        first = self._experiments.setdefault(name, json_path(path))
        if first != json_path(path):
            self.note(path, f"expected a name of its own, found `{name}`, which {first} writes too")

    def destination(
        self, default: str, given: str | None, path: Path, remedy: str = "give one another `destination`"
    ) -> None:
        """Notes a stage whose place is another's; `default`: its place in the work_dir where none is `given`."""
        work_dir = _absolute(self.recipe.work_dir)
        place = f"{work_dir}/{default}" if given is None else _absolute(given)
        if place == work_dir:
            text = f"expected a directory of its own in the work_dir, found the work_dir `{given}` itself"
            self.note((*path, "destination"), f"{text}, where the run keeps its own files")
        first = self._destinations.setdefault(place, json_path(path))
        if first != json_path(path):
            self.note(path, f"expected a place of its own for its files, found that of {first}; {remedy}")


def _absolute(path: str) -> str:
    return os.path.normpath(pathlib.Path(path.removeprefix("file://")).expanduser().absolute())
