"""The registry of stages: the only place where the names of their kinds stand.

Built-in kinds are named here by strings, so that none of their modules is imported before a recipe needs it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType, ModuleType
from typing import TYPE_CHECKING, Protocol

from msgspec import UnsetType, structs

from dolma_pipeline import user_modules
from dolma_pipeline.engine.kind import StageKind
from dolma_pipeline.errors import ConfigError

if TYPE_CHECKING:
    from dolma_pipeline.config.recipe import Recipe

_CONFIG, _STAGES = "dolma_pipeline.config", "dolma_pipeline.stages"
BUILT_IN = (
    StageKind(
        kind="tag",
        config=f"{_CONFIG}.recipe_documents:Tag",
        plan=f"{_STAGES}.tag:plan",
        validate=f"{_CONFIG}.check_documents:check_tag",
        accounts=True,
        role="attributes",
        needs_ids=False,
    ),
    StageKind(
        kind="dedupe",
        config=f"{_CONFIG}.recipe_documents:Dedupe",
        plan=f"{_STAGES}.dedupe:plan",
        validate=f"{_CONFIG}.check_documents:check_dedupe",
        accounts=True,
        role="duplicates",
        needs_ids=False,
    ),
    StageKind(
        kind="decontaminate",
        config=f"{_STAGES}.decontaminate.config:Decontaminate",
        plan=f"{_STAGES}.decontaminate.plan:plan",
        validate=f"{_STAGES}.decontaminate.check:check_decontaminate",
        accounts=True,
        role="attributes",
        needs_ids=False,
    ),
    StageKind(
        kind="mix",
        config=f"{_CONFIG}.recipe_documents:Mix",
        plan=f"{_STAGES}.mix:plan",
        validate=f"{_CONFIG}.check_documents:check_mix",
        accounts=True,
        role="filter",
        needs_ids=False,
    ),
    StageKind(
        kind="stat",
        config=f"{_CONFIG}.recipe_documents:Stat",
        plan=f"{_STAGES}.stat:plan",
        validate=f"{_CONFIG}.check_documents:check_stat",
    ),
    StageKind(
        kind="tokens",
        config=f"{_CONFIG}.recipe_tokens:Tokens",
        plan=f"{_STAGES}.tokens:plan",
        validate=f"{_CONFIG}.check_tokens:check_tokens",
        accounts=True,
        role="tokens",
    ),
    StageKind(
        kind="reshard",
        config=f"{_CONFIG}.recipe_tokens:Reshard",
        plan=f"{_STAGES}.reshard:plan",
        validate=f"{_CONFIG}.check_tokens:check_reshard",
        role="tokens",
        reads="token files",
    ),
    StageKind(
        kind="convert",
        config=f"{_CONFIG}.recipe_tokens:Convert",
        plan=f"{_STAGES}.convert:plan",
        validate=f"{_CONFIG}.check_tokens:check_convert",
        role="tokens",
        reads="token files",
    ),
    StageKind(
        kind="fertility",
        config=f"{_CONFIG}.recipe_tokenizer:Fertility",
        plan=f"{_STAGES}.fertility:plan",
        validate=f"{_CONFIG}.check_tokens:check_fertility",
    ),
    StageKind(
        kind="classifier",
        config=f"{_CONFIG}.recipe_classifier:Classifier",
        plan=f"{_STAGES}.classifier:plan",
        validate=f"{_CONFIG}.check_classifier:check_classifier",
    ),
    StageKind(
        kind="train",
        config=f"{_CONFIG}.recipe_tokens:Train",
        plan=f"{_STAGES}.train:plan",
        validate=f"{_CONFIG}.check_tokens:check_train",
        role="training",
        reads="tokens",
    ),
)
KINDS: Mapping[str, StageKind] = MappingProxyType({kind.kind: kind for kind in BUILT_IN})
COLLECT = f"{_STAGES}.collect"
"""The module that plans what sources collect, before all stages."""


class Accounted(Protocol):
    """A stage in the account of a run; `accounts` and `role` are set for kinds that are not built in."""

    kind: str
    accounts: bool | UnsetType
    role: str | UnsetType


def role(stage: Accounted) -> str:
    """What a stage does to a run: see `StageKind.role`."""
    known = KINDS.get(stage.kind)
    return known.role if known is not None else (stage.role or "")


def accounts(stage: Accounted) -> bool:
    """Whether a stage counts every document of the corpus."""
    known = KINDS.get(stage.kind)
    return known.accounts if known is not None else bool(stage.accounts)


def names(*, role: str | None = None, reads: str | None = None) -> list[str]:
    """The built-in kinds of a role, or those that read something, in order."""
    return [k.kind for k in BUILT_IN if role in (None, k.role) and reads in (None, k.reads)]


ENTRY_POINTS = "dolma_pipeline.stages"
"""Entry points of this group name modules with kinds of stages, or such kinds themselves."""
_KIND = re.compile(r"[a-z][a-z0-9_]*")


def kinds(
    modules: Sequence[str], wanted: Iterable[str] = (), place: Callable[[int], str] = "$.stage_modules[{}]".format
) -> dict[str, StageKind]:
    """The kinds that there are, by name: built-in ones, those of `modules`, and those of installed packages.

    Packages are looked into only if one of the kinds `wanted` is not there yet. `place` is how a message about one of
    the modules begins. Raises ConfigError for a module that cannot be imported, or brings no kind of stage.
    """
    found = dict(KINDS)
    for i, source in enumerate(modules):
        where = f"{place(i)}: "
        module = user_modules.import_module(source, where, kind="stage", renewed=True)
        _enter(found, source, module, _in(module), where)
    if not all(name in found for name in wanted):
        _enter_installed(found)
    return found


def kinds_of(recipe: Recipe) -> dict[str, StageKind]:
    """The kinds that the stages of a recipe may have: those of its type, which `recipe_form` has made."""
    fields = dict.fromkeys(name for stage in recipe.stages for name in stage.__struct_fields__)
    known = kinds(recipe.stage_modules, fields)
    return {name: known[name] for name in [*KINDS, *(f for f in fields if f not in KINDS)]}


def _in(module: ModuleType) -> list[StageKind]:
    return [value for value in vars(module).values() if isinstance(value, StageKind)]


def _enter_installed(found: dict[str, StageKind]) -> None:
    import importlib.metadata  # slow, and most recipes do without

    points = importlib.metadata.entry_points(group=ENTRY_POINTS)
    for point in sorted(points, key=lambda p: (p.name, p.value)):
        where = f"entry point `{point.name}` of group {ENTRY_POINTS}: "
        module = user_modules.import_module(point.module, where)
        value = point.load()
        _enter(found, point.module, module, [value] if isinstance(value, StageKind) else _in(module), where)


def _enter(
    found: dict[str, StageKind], source: str, module: ModuleType, brought: Sequence[StageKind], where: str
) -> None:
    origin = user_modules.origin(source, module)
    if not brought:
        raise ConfigError(f"{where}expected `{source}` to have a value `STAGE = StageKind(kind=...)`, found none")
    for kind in brought:
        known = found.get(kind.kind)
        if known is not None and known.origin != origin:
            there = f"one of {known.origin.rpartition('@')[0]}" if known.origin else "built in"
            raise ConfigError(f"{where}expected a kind with a name of its own, found `{kind.kind}`, which is {there}")
        if not _KIND.fullmatch(kind.kind):
            raise ConfigError(
                f"{where}expected a kind of lower-case letters, digits and `_`, found `{kind.kind}`: recipes name it"
            )
        if not kind.config_type.__struct_config__.frozen:
            raise ConfigError(
                f"{where}expected a frozen struct of settings, found {kind.config_type.__name__}; make it a `Config`"
            )
        found[kind.kind] = structs.replace(kind, origin=origin, module=module.__name__)
