"""Values of environment variables that a configuration used: they are told by name, never by value.

`${oc.env:TOKEN}` in a recipe is resolved for those who work with it. Whatever is written down or shown (manifest,
report, ledger, progress, messages, a configuration that is printed) has `${oc.env:TOKEN}` in its place.
Paths are no secrets: a file is named as it is called on the disk, whatever its name was made of.
"""

from __future__ import annotations

import html
import os
from collections.abc import Mapping
from typing import Any

SHORTEST = 4
"""Number of characters from which a value is hidden where it stands in a setting."""
SHORTEST_IN_TEXT = 6
"""The same for messages, of which many words are short."""

_names: set[str] = set()
_adopted: dict[str, str] = {}


def remember(name: str) -> None:
    """Notes that a configuration has used the value of the environment variable `name`."""
    _names.add(name)


def known() -> dict[str, str]:
    """What stands for each value that is to be hidden: `{"hunter2": "${oc.env:PASSWORD}"}`."""
    own = {os.environ[name]: f"${{oc.env:{name}}}" for name in sorted(_names) if os.environ.get(name)}
    return {**_adopted, **own}


def adopt(values: Mapping[str, str]) -> None:
    """Hides what `known` has returned in another process."""
    _adopted.update(values)


def hide(text: str) -> str:
    """A message without the values; those that are names of files or directories stay, for they tell where."""
    for value, shown in _longest_first(SHORTEST_IN_TEXT):
        if value in text and not _is_path(value):
            text = text.replace(value, shown)
    return text


def hide_in_page(page: str) -> str:
    """The same for HTML, where a value may be escaped."""
    for value, shown in _longest_first(SHORTEST_IN_TEXT):
        for form in dict.fromkeys((value, html.escape(value))):
            if form in page and not _is_path(value):
                page = page.replace(form, html.escape(shown))
    return page


def hide_in_settings(settings: Any) -> Any:
    """A copy of settings (mappings, lists, strings) without the values: as it was written in the configuration."""
    if isinstance(settings, str):
        for value, shown in _longest_first(SHORTEST):
            settings = settings.replace(value, shown)
        return settings
    if isinstance(settings, dict):
        return {hide_in_settings(key): hide_in_settings(value) for key, value in settings.items()}
    if isinstance(settings, (list, tuple)):
        return [hide_in_settings(value) for value in settings]
    return settings


def _is_path(value: str) -> bool:
    return os.path.exists(value)  # noqa: PTH110 (Path.exists raises on a value that is too long for a name)


def _longest_first(shortest: int) -> list[tuple[str, str]]:
    """A value that is part of another must not be replaced in it."""
    return sorted(((v, s) for v, s in known().items() if len(v) >= shortest), key=lambda pair: -len(pair[0]))
