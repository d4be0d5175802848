"""Collections by name: what `collect: NAME` in a recipe may say."""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from dolma_pipeline.collect import installed, pieces
from dolma_pipeline.collect.items import Item, Piece, digest, sample, well_formed
from dolma_pipeline.errors import ConfigError, unknown

VERSION = "1"
"""Raised when collections make other documents from the same items; part of the fingerprint."""


@dataclass(frozen=True)
class Collection:
    """Text of this machine as documents: the same ones in the same order while the installation stays the same."""

    name: str
    description: str
    find: Callable[[], Iterable[Item]]
    split: Callable[[str], Iterable[Piece]]
    shard_count: int
    max_bytes: int
    """The most bytes that are read: bounds the time that a demonstration takes on a machine with much installed."""

    @cached_property
    def items(self) -> list[Item]:
        """What is read, in order of key; raises ConfigError if there is nothing at all.

        Looked for once in a process: a search of the disk takes up to a second, and a plan asks for every shard.
        """
        found = sample(self.find(), self.max_bytes)
        if not found:
            raise ConfigError(
                f"the collection `{self.name}` ({self.description}) found nothing to read in this installation of "
                f"Python {platform.python_version()}; leave it out of the recipe or name `documents` of your own"
            )
        return found

    def shards(self) -> list[str]:
        """Names of the shards: as many on every machine."""
        return [f"{i:05d}" for i in range(self.shard_count)]

    def documents(self, shard: str, problems: list[str] | None = None) -> Iterator[dict[str, Any]]:
        """The documents of a shard: id, text, source and metadata {path, kind, version, name?}.

        An item belongs to the shard that a hash of its key says. `problems` receives a sentence on each item that
        cannot be read, which is left out.
        """
        if shard not in self.shards():
            raise ConfigError(f"collection `{self.name}`: {unknown('shard', shard, self.shards())}")
        for item in self.items:
            if int(digest(self.name, item.key)[:8], 16) % self.shard_count != int(shard):
                continue
            try:
                found = list(self.split(item.read()))
            except (OSError, SyntaxError, ValueError) as error:
                if problems is not None:
                    problems.append(f"{item.key}: {type(error).__name__}: {reason(error)}")
                continue
            for piece in found:
                if piece.text.strip():
                    yield self._document(item, piece)

    def fingerprint(self) -> str:
        """Changes with the interpreter and with the names, sizes and versions of what is read."""
        parts = [f"{item.key}\t{item.size}\t{item.version}" for item in self.items]
        return digest(VERSION, self.name, str(self.shard_count), platform.python_version(), *parts)

    def _document(self, item: Item, piece: Piece) -> dict[str, Any]:
        metadata = {"path": item.key, "kind": piece.kind, "version": item.version}
        if piece.name:
            metadata["name"] = piece.name
        return {
            "id": digest(self.name, item.key, piece.name),
            "text": well_formed(piece.text),
            "source": self.name,
            "metadata": {key: well_formed(value) for key, value in metadata.items()},
        }


def reason(error: Exception) -> str:
    """What went wrong, without the absolute path that an OSError carries: reports are the same on every machine."""
    if isinstance(error, OSError):
        return error.strerror or "cannot be read"
    return error.msg if isinstance(error, SyntaxError) else str(error)


_ALL = (
    Collection(
        name="python_stdlib",
        description="source of the standard library, a module a document",
        find=installed.standard_library,
        split=pieces.module,
        shard_count=8,
        max_bytes=16_000_000,
    ),
    Collection(
        name="python_packages",
        description="source of the installed packages, a module a document",
        find=installed.package_modules,
        split=pieces.module,
        shard_count=8,
        max_bytes=12_000_000,
    ),
    Collection(
        name="python_docstrings",
        description="docstrings of the installed packages, one a document",
        find=installed.package_modules,
        split=pieces.docstrings,
        shard_count=8,
        max_bytes=40_000_000,
    ),
    Collection(
        name="pydoc_topics",
        description="texts of `help()`, one topic a document",
        find=installed.help_topics,
        split=pieces.topics,
        shard_count=1,
        max_bytes=4_000_000,
    ),
    Collection(
        name="package_descriptions",
        description="long descriptions of the installed packages, one a document",
        find=installed.package_descriptions,
        split=pieces.description,
        shard_count=2,
        max_bytes=4_000_000,
    ),
    Collection(
        name="licenses",
        description="licences and notices of the installed packages, one a document",
        find=installed.license_files,
        split=pieces.license_text,
        shard_count=2,
        max_bytes=4_000_000,
    ),
)

COLLECTIONS: dict[str, Collection] = {each.name: each for each in _ALL}


def collection(name: str, where: str = "$.sources") -> Collection:
    """The collection of that name; raises ConfigError, which names the nearest one, for others."""
    if name not in COLLECTIONS:
        raise ConfigError(f"{where}: {unknown('collection', name, COLLECTIONS)}")
    return COLLECTIONS[name]


def reading(made_as: Collection, find: Callable[[], Iterable[Item]]) -> Collection:
    """A collection made as `made_as` of what `find` finds, such as another installation's files."""
    return replace(made_as, find=find)
