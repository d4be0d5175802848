"""Taggers by name: the built-in ones, those of installed packages, and those of a user's modules."""

from __future__ import annotations

import functools
import importlib.metadata
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Literal

from dolma_pipeline.config.recipe import CustomTagger
from dolma_pipeline.errors import ConfigError, unknown
from dolma_pipeline.io import fs
from dolma_pipeline.taggers.base import Tagger
from dolma_pipeline.taggers.tagger_set import TaggerSet
from dolma_pipeline.user_modules import files_of, import_module

ENTRY_POINTS = "dolma_pipeline.taggers"
"""Entry points of this group name modules; importing one registers its taggers."""


@dataclass(frozen=True)
class Entry:
    """A tagger that can be loaded."""

    name: str
    kind: Literal["native", "python", "model", "list"]
    load: Callable[[], Tagger]
    doc: str
    attributes: tuple[str, ...] = ()
    """Names, where they are known without loading a model or reading documents."""
    needs: str = ""
    """What must be there besides this package."""
    origin: str = ""
    """`module.name` of a user's function or class."""
    file: Path | None = None
    """The file of its module."""


class Registry:
    """Entries by name, each name once."""

    def __init__(self) -> None:
        self._entries: dict[str, Entry] = {}

    def add(self, entry: Entry) -> None:
        """Raises ConfigError for a name that another function or a built-in tagger has; a reload replaces itself."""
        if entry.name in built_in():
            raise ConfigError(f"tagger `{entry.name}` of {entry.origin}: the name is that of a built-in tagger")
        known = self._entries.get(entry.name)
        if known is not None and known.origin != entry.origin:
            raise ConfigError(f"tagger `{entry.name}` is defined twice: by {known.origin} and by {entry.origin}")
        self._entries[entry.name] = entry

    def __iter__(self) -> Iterator[Entry]:
        return iter(self._entries.values())

    def get(self, name: str) -> Entry | None:
        return self._entries.get(name)

    def remove(self, name: str) -> bool:
        """Returns whether there was such an entry."""
        return self._entries.pop(name, None) is not None


USER = Registry()
"""Filled by the decorators while a user's module is imported, which has no other way to hand its taggers over; nothing
else writes to it. The one mutable global of the package."""


@functools.cache
def built_in() -> Mapping[str, Entry]:
    """The taggers of this package, by name."""
    from dolma_pipeline.taggers.catalogue import entries

    return MappingProxyType({e.name: e for e in sorted(entries(), key=lambda e: e.name)})


def unavailable(name: str) -> str | None:
    """Why there is no tagger of this name of Dolma's, and which to use instead; None for other names."""
    from dolma_pipeline.taggers.second_opinions import UNAVAILABLE

    if name not in UNAVAILABLE:
        return None
    reason, instead = UNAVAILABLE[name]
    return f"tagger `{name}` is one of Dolma's that there is not: {reason}; use `{instead}`"


def load_taggers(
    names: Sequence[str | CustomTagger], modules: Sequence[str] = (), *, where: str = "", seed: int | None = None
) -> TaggerSet:
    """Imports `modules` and loads the taggers called `names`, and those that a CustomTagger describes.

    `where` is the path of the configuration that holds both, such as `$.stages[1].tag`; `seed` is that of
    random numbers. Raises ConfigError, which starts with the path, for an unknown name, a module that cannot be
    imported and a model that is not there.
    """
    prefix = f"{where}." if where else ""
    files = [f for i, m in enumerate(modules) for f in files_of(import_module(m, f"{prefix}tagger_modules[{i}]: "))]
    loads: list[Callable[[], Tagger]] = []
    for i, name in enumerate(names):
        if isinstance(name, CustomTagger):
            loads.append(functools.partial(_make, name))
            continue
        entry = _find(name, f"{prefix}taggers[{i}]: ")
        loads.append(entry.load)
        files += [entry.file] if entry.file is not None else []
    loaded = []
    for i, load in enumerate(loads):
        try:
            found = load()
        except ConfigError as error:
            raise ConfigError(f"{prefix}taggers[{i}]: {error}") from None
        seeded = getattr(found, "seeded", None)
        loaded.append(seeded(seed) if seeded is not None and seed is not None else found)
    return TaggerSet(loaded, files)


def _make(custom: CustomTagger) -> Tagger:
    from dolma_pipeline.taggers.custom import make_tagger

    if custom.name in built_in():
        raise ConfigError(f"tagger `{custom.name}`: the name is that of a built-in tagger")
    return make_tagger(custom)


def describe(modules: Sequence[str] = ()) -> list[Entry]:
    """All taggers by name, those of `modules` and of installed packages included."""
    for i, module in enumerate(modules):
        import_module(module, f"tagger_modules[{i}]: ")
    _import_entry_points()
    return sorted([*built_in().values(), *USER], key=lambda e: e.name)


@functools.cache
def speeds() -> Mapping[str, float]:
    """MB of text per second on one core, by tagger, as far as measured: speeds.json, from `python -m bench.taggers`."""
    return MappingProxyType(json.loads(fs.read_text(Path(__file__).with_name("speeds.json")))["mb_per_second"])


def attribute_key(experiment: str, tagger: str, attribute: str) -> str:
    """The key of an attribute in Dolma's files: `experiment__tagger__attribute`, anything but [a-zA-Z0-9_] as `_`."""
    return "__".join(re.sub("[^a-zA-Z0-9_]", "_", part) for part in (experiment, tagger, attribute))


def _find(name: str, where: str) -> Entry:
    entry = built_in().get(name) or USER.get(name)
    if entry is None:
        # Only now: importing packages that nobody asked for costs time and may fail.
        _import_entry_points()
        entry = USER.get(name)
    if entry is None:
        missing = unavailable(name)
        if missing is not None:
            raise ConfigError(where + missing)
        raise ConfigError(where + unknown("tagger", name, [*built_in(), *(e.name for e in USER)]))
    return entry


def _import_entry_points() -> None:
    points = importlib.metadata.entry_points(group=ENTRY_POINTS)
    for point in sorted(points, key=lambda p: (p.name, p.value)):
        try:
            point.load()
        except ConfigError:
            raise
        except Exception as error:
            raise ConfigError(
                f"entry point `{point.name}` of group {ENTRY_POINTS}: importing `{point.value}` failed: "
                f"{type(error).__name__}: {error}"
            ) from error
