"""A kind of stage: its name in recipes, and its parts."""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable
from typing import Any, Literal

from msgspec import Struct

Role = Literal["", "attributes", "filter", "duplicates", "tokens", "training"]
Reads = Literal["documents", "token files", "tokens"]


class StageKind(Struct, frozen=True, kw_only=True):
    """A kind of stage. A module that adds one has it as a value: `STAGE = StageKind(kind="hosts", ...)`.

    Built-in kinds name their parts as `module:name`, so that a recipe loads the libraries of its own stages only.
    """

    kind: str
    """The key of the stage in a recipe: lower-case letters, digits and `_`."""
    config: type[Struct] | str
    """The frozen struct of its settings."""
    plan: Callable[..., None] | str
    """`plan(builder, number, config)` adds the phases; `number` counts the stages of the recipe from 1."""
    validate: Callable[..., None] | str | None = None
    """`validate(checks, config, path)` notes what types cannot say: `checks.note((*path, "key"), "expected ...")`.

    It is called once types and bounds are right. `path` is that of the settings: `("stages", 1, "hosts")`."""
    accounts: bool = False
    """Whether the stage counts every document of the corpus: `run` and `verify` then compare its counts with those of
    its neighbours, and documents that it missed are a problem. Reports show the counts of other stages too."""
    role: Role = ""
    """What the stage does to the run: `attributes` adds some, `filter` decides which documents go on, `duplicates`
    marks them, `tokens` writes token files, `training` trains a model on those. Reports show the stage accordingly."""
    reads: Reads = "documents"
    """What it reads: the corpus, the token files of the sources, or the tokens of a stage before."""
    needs_ids: bool = True
    """Whether each document must have an id that no other has."""
    origin: str = ""
    """`SOURCE@DIGEST`, the module of a kind that is not built in: see user_modules.py. The registry sets it."""
    module: str = ""
    """The name of that module in this process. The registry sets it."""

    @property
    def config_type(self) -> type[Struct]:
        found: type[Struct] = _load(self.config) if isinstance(self.config, str) else self.config
        return found

    @property
    def plan_function(self) -> Callable[..., None]:
        found: Callable[..., None] = _load(self.plan) if isinstance(self.plan, str) else self.plan
        return found

    @property
    def validate_function(self) -> Callable[..., None]:
        if self.validate is None:
            return lambda checks, config, path: None
        found: Callable[..., None] = _load(self.validate) if isinstance(self.validate, str) else self.validate
        return found


@functools.cache
def _load(name: str) -> Any:
    module, _, attribute = name.partition(":")
    return getattr(importlib.import_module(module), attribute)
