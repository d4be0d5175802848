"""How a recipe calls an attribute, and by which key files do.

Files hold keys in Dolma's form, `experiment__tagger__attribute` with every part reduced to letters, digits and `_`, or
the bare name that a dedupe stage gave. A recipe says `tagger.attribute`, or `experiment.tagger.attribute` where two
experiments have it; of a dedupe stage `near` it says `near.duplicate`.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

from msgspec import Struct

from dolma_pipeline.errors import ConfigError, excerpt, suggest

_Test: TypeAlias = Callable[[list[str], str, str], bool]
ANY = "*"
"""The end of a key that stands for all attributes of a tagger which tells them only with its documents."""
LISTED = 24
"""Most names in a message; of more only the nearest are shown."""


class Earlier(Struct, frozen=True, kw_only=True):
    """The attributes that the documents had before a stage wrote them anew."""

    stage: str
    """Where the stage stands: `$.stages[1].mix`."""
    keys: Mapping[str, Sequence[str]]
    """The keys of each experiment, where they are known before it has run."""
    files: Mapping[str, Mapping[str, str]]
    """The attribute file of each shard, by experiment."""


def sanitize(part: str) -> str:
    """One part of a key, as Dolma writes it: `dclm-oh-eli5` -> `dclm_oh_eli5`."""
    return re.sub("[^a-zA-Z0-9_]", "_", part)


def readable(experiment: str, key: str) -> str:
    """The shortest name by which a recipe can call `key` of `experiment`."""
    prefix = f"{sanitize(experiment)}__"
    tagger, separator, attribute = key.removeprefix(prefix).partition("__")
    return f"{tagger}.{attribute}" if separator and tagger else f"{experiment}.{key}"


def resolve(name: str, available: Mapping[str, Sequence[str]], where: str) -> tuple[str, str]:
    """The (experiment, key) that `name` means; `available`: the keys of each experiment.

    Raises ConfigError, which begins with `where`: no such attribute (with the nearest names), or more than one.
    """
    found = _matches(name, available, _is_named) or _matches(name, available, _ends_named)
    if len(found) == 1:
        return found[0]
    if found:
        choices = " or ".join(f"`{experiment}.{_plain(experiment, key)}`" for experiment, key in found)
        raise ConfigError(f"{where}: attribute `{name}` could be any of {len(found)}; write {choices}")
    told_later = _open_key(name, available)
    if told_later is not None:
        return told_later
    raise ConfigError(f"{where}: {_unknown(name, available)}")


def _matches(name: str, available: Mapping[str, Sequence[str]], matches: _Test) -> list[tuple[str, str]]:
    parts = name.split(".")
    return [(e, key) for e, keys in available.items() for key in keys if matches(parts, e, key)]


def _is_named(parts: list[str], experiment: str, key: str) -> bool:
    """`key` is exactly what `parts` spell, within its experiment."""
    clean = [sanitize(part) for part in parts]
    own = sanitize(experiment)
    if len(clean) == 2 and key == "__".join([own, *clean]):
        return True
    if clean[0] != own or len(clean) < 2:
        return False
    return key in ("__".join(clean), "__".join(clean[1:]))


def _ends_named(parts: list[str], experiment: str, key: str) -> bool:
    """`key` ends as `parts` do: its file has been moved to a directory of another name than its experiment."""
    clean = [sanitize(part) for part in parts]
    if len(clean) == 3 and clean[0] == sanitize(experiment):
        clean = clean[1:]
    return len(clean) == 2 and key.endswith("__" + "__".join(clean))


def _open_key(name: str, available: Mapping[str, Sequence[str]]) -> tuple[str, str] | None:
    """The (experiment, key) of an attribute whose tagger says only with its documents which ones it has."""
    for experiment, keys in available.items():
        own = sanitize(experiment)
        clean = [sanitize(part) for part in name.split(".")]
        spelled = "__".join(clean if len(clean) == 3 and clean[0] == own else [own, *clean])
        for key in keys:
            prefix = key.removesuffix(ANY)
            attribute = spelled.removeprefix(prefix)
            if key != prefix and attribute != spelled and attribute and "__" not in attribute:
                return experiment, spelled
    return None


def _plain(experiment: str, key: str) -> str:
    tagger, separator, attribute = key.removeprefix(f"{sanitize(experiment)}__").partition("__")
    return f"{tagger}.{attribute}" if separator and tagger else key


def _unknown(name: str, available: Mapping[str, Sequence[str]]) -> str:
    known = sorted({readable(e, key) for e, keys in available.items() for key in keys})
    shown = known
    if len(known) > LISTED:
        shown = difflib.get_close_matches(name, known, n=LISTED, cutoff=0.0)[:LISTED]
    listed = ", ".join(f"`{n}`" for n in shown) or "none"
    more = f" and {len(known) - len(shown)} more" if len(known) > len(shown) else ""
    return f"unknown attribute `{excerpt(name)}`{suggest(name, known)} (known: {listed}{more})"
