"""What a collection reads: items found on disk, and the pieces of text made of each."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from pathlib import PurePosixPath
from typing import NamedTuple

from msgspec import Struct


class Item(Struct, frozen=True):
    """One thing to read: a file, or a text kept by the installation."""

    key: str
    """Relative name with forward slashes, the same wherever Python is installed."""
    size: int
    """Bytes on disk, as far as they are known without reading."""
    version: str
    """Version of the interpreter or of the distribution that the item is part of."""
    read: Callable[[], str]
    """The text; raises OSError, SyntaxError or ValueError where there is none to read."""


class Piece(NamedTuple):
    """A document in the making: a part of an item, the whole of it if `name` is empty."""

    name: str
    kind: str
    text: str


def digest(*parts: str) -> str:
    """32 hex digits that stand for `parts` on every machine and in every process."""
    return hashlib.blake2b("\0".join(parts).encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def family(key: str) -> str:
    """The last two components of a key: the same for a module and for the copies of it that others have vendored."""
    return "/".join(PurePosixPath(key).parts[-2:])


def sample(items: Iterable[Item], max_bytes: int) -> list[Item]:
    """As many of `items` as fit in `max_bytes`, in order of key.

    Drawn by a hash of their family, so the choice is spread over all distributions, does not depend on the order of
    `items`, and keeps copies together: a sample by plain key would hold hardly any duplicates.
    """
    chosen: list[Item] = []
    total = 0
    for item in sorted(items, key=lambda item: (digest(family(item.key)), item.key)):
        if total + item.size <= max_bytes:
            chosen.append(item)
            total += item.size
    return sorted(chosen, key=lambda item: item.key)


def well_formed(text: str) -> str:
    """`text` with each lone surrogate, which UTF-8 cannot hold, replaced by U+FFFD."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text
