"""Glob patterns expanded as a shell does, but for links: a directory that several paths lead to is read once.

`**` goes into every directory below, links to directories included, and takes each real directory under its shortest
path: a link to a directory above does not give its files again. A link to a file is a file of its own, and so is a
hard link.
"""

from __future__ import annotations

import fnmatch
import os
import re
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

from dolma_pipeline.errors import ConfigError

MAGIC = re.compile(r"[*?\[]")
Identity = tuple[int, int]


def expand(pattern: str) -> list[Path]:
    """The paths that match `pattern`, sorted, each real place once; hidden names match only where a dot is written.

    Raises ConfigError for a directory that may not be listed: what is in it would be missing.
    """
    parts = pattern.split("/")
    start = "/" if pattern.startswith("/") else ""
    shortest: dict[tuple[str, str], str] = {}
    parents: dict[str, str] = {}
    for found in sorted(set(_expand(start, [p for p in parts if p])), key=lambda p: (p.count("/"), p)):
        parent, name = os.path.split(found)
        if parent not in parents:
            parents[parent] = os.path.realpath(parent)
        shortest.setdefault((parents[parent], name), found)
    return sorted(map(Path, shortest.values()))


def matches(pattern: str, path: str) -> bool:
    """Whether `pattern` would find `path`, were it there."""
    return _matches([p for p in pattern.split("/") if p], [p for p in path.split("/") if p])


def enters(pattern: str, directory: str) -> bool:
    """Whether `pattern` could find a path below `directory`, were there one of the right name."""
    return _enters([p for p in pattern.split("/") if p], [p for p in directory.split("/") if p])


def _enters(pattern: list[str], directory: list[str]) -> bool:
    if not pattern or not directory:
        return bool(pattern)
    if pattern[0] == "**":
        below = not directory[0].startswith(".") and _enters(pattern, directory[1:])
        return below or _enters(pattern[1:], directory)
    return _fits(pattern[0], directory[0]) and _enters(pattern[1:], directory[1:])


def _matches(pattern: list[str], path: list[str]) -> bool:
    if not pattern or not path:
        return not path and all(p == "**" for p in pattern)
    if pattern[0] == "**":
        return _matches(pattern[1:], path) or (not path[0].startswith(".") and _matches(pattern, path[1:]))
    return _fits(pattern[0], path[0]) and _matches(pattern[1:], path[1:])


def _expand(directory: str, parts: list[str]) -> Iterator[str]:
    """Paths below `directory` (empty: the current one) that match `parts`."""
    if not parts:
        yield directory
        return
    part, rest = parts[0], parts[1:]
    if part == "**":
        for below in _directories(directory):
            if rest:
                yield from _expand(below, rest)
            else:
                yield from (_join(below, name) for name, _ in _listed(below) if not name.startswith("."))
    elif not MAGIC.search(part):
        path = _join(directory, part)
        if os.path.lexists(path) if not rest else Path(path).is_dir():
            yield from _expand(path, rest)
    else:
        for name, is_directory in _listed(directory):
            if _fits(part, name) and (not rest or is_directory):
                yield from _expand(_join(directory, name), rest)


def _directories(top: str) -> Iterator[str]:
    """`top` and the directories below it, level by level, so that the shortest path to each comes first."""
    seen: set[Identity] = set()
    level = [top]
    while level:
        below = []
        for directory in level:
            stat = Path(directory or ".").stat()
            if (stat.st_dev, stat.st_ino) in seen:
                continue
            seen.add((stat.st_dev, stat.st_ino))
            yield directory
            listed = sorted(name for name, is_directory in _listed(directory) if is_directory)
            below += [_join(directory, name) for name in listed if not name.startswith(".")]
        level = below


def _listed(directory: str) -> list[tuple[str, bool]]:
    """Names in a directory, and whether each is a directory or a link to one."""
    try:
        with os.scandir(directory or ".") as entries:
            return [(e.name, _is_directory(e)) for e in entries]
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise ConfigError(f"{directory or '.'}: expected a directory that may be listed: {error.strerror}") from None


def _is_directory(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        # A link to itself.
        return False


def _join(directory: str, name: str) -> str:
    return f"{directory.rstrip('/')}/{name}" if directory else name


def _fits(part: str, name: str) -> bool:
    return (part.startswith(".") or not name.startswith(".")) and _compiled(part).match(name) is not None


@lru_cache(maxsize=256)
def _compiled(part: str) -> re.Pattern[str]:
    return re.compile(fnmatch.translate(part))
