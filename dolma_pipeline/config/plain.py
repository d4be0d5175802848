"""What is given in Python, as the plain values that a recipe file has."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec
import numpy as np
from msgspec import Struct

from dolma_pipeline.config.recipe import CustomTagger
from dolma_pipeline.config.yaml_file import Step, json_path
from dolma_pipeline.errors import ConfigError

_REMEDY = {
    "bytes": "; `.decode()` makes a text",
    "bytearray": "; `.decode()` makes a text",
    "set": "; `sorted(...)` makes a list, which has an order",
    "frozenset": "; `sorted(...)` makes a list, which has an order",
    "generator": "; `list(...)` makes a list",
}


def plain_settings(value: Any, path: tuple[Step, ...] = ()) -> Any:
    """Returns `value` as dicts, lists, texts, numbers and flags; structs become dicts, paths texts.

    Raises ConfigError, with its place, for a value that a recipe file cannot have: what msgspec would turn into a text,
    such as bytes and dates, and what has no order, such as a set.
    """
    if isinstance(value, os.PathLike):
        value = os.fspath(value)
    elif isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Struct):
        return {key: plain_settings(given, (*path, key)) for key, given in _given(value)}
    if isinstance(value, Mapping):
        for key in value:
            if not isinstance(key, str):
                raise ConfigError(f"{json_path(path)}: expected texts as names, found {key!r}")
        return {str(k): plain_settings(v, (*path, str(k))) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [plain_settings(v, (*path, i)) for i, v in enumerate(value)]
    kind = type(value).__name__
    raise ConfigError(f"{json_path(path)}: expected values as in a recipe file, found {kind}{_REMEDY.get(kind, '')}")


def _given(struct: Struct) -> Iterator[tuple[str, Any]]:
    """The fields of a struct that have another value than their default, which may be no plain value."""
    for field in msgspec.structs.fields(struct):
        value = getattr(struct, field.name)
        made = field.default_factory
        default = field.default if made is msgspec.NODEFAULT else made()
        if value is not msgspec.UNSET and (type(value) is not type(default) or value != default):
            yield field.encode_name, value


def names_given(what: str, given: Any) -> list[str]:
    """Returns a list of names or paths; raises ConfigError for one name that is no list, and for other things."""
    names = [os.fspath(g) if isinstance(g, os.PathLike) else g for g in given] if is_list(given) else None
    if names is None or not all(isinstance(n, str | CustomTagger) for n in names):
        raise ConfigError(f'expected a list for `{what}`, such as ["a", "b"], found {given!r}')
    return names


def is_list(given: Any) -> bool:
    """Whether there are several of something in an order: a set has none that stays."""
    return isinstance(given, Iterable) and not isinstance(
        given, str | bytes | bytearray | Mapping | os.PathLike | set | frozenset
    )


def paths_given(given: str | os.PathLike[str] | Iterable[str | os.PathLike[str]]) -> list[str]:
    """Returns one path, or several, as a list of texts."""
    return names_given("paths", [given] if isinstance(given, str | os.PathLike) else given)
