"""Finding the files that patterns name."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from dolma_pipeline.errors import ConfigError
from dolma_pipeline.io import fs
from dolma_pipeline.io.globbing import expand
from dolma_pipeline.io.url import check_name, local
from dolma_pipeline.io.writing import TEMPORARY

WILDCARD = re.compile(r"[*?\[]")


def find_files(patterns: str | Sequence[str], where: str) -> list[Path]:
    """The files that match any of `patterns`, sorted, each once (see globbing.py).

    A pattern that names a directory stands for the files in it, without hidden ones. Raises ConfigError if a pattern
    matches no file, if a directory that it names has directories of its own, and if a name is not UTF-8.
    """
    found: dict[str, Path] = {}
    for pattern in [patterns] if isinstance(patterns, str) else patterns:
        path = local(pattern)
        try:
            matches = expand(str(path))
        except ConfigError as error:
            raise ConfigError(f"{where}: {error}") from None
        if not matches and path.exists():
            matches = [path]
        files = [p for p in matches if p.is_file() and not TEMPORARY.match(p.name)]
        if not files and is_directory(pattern):
            files = [p for m in matches if m.is_dir() for p in _files_in(m, pattern, where)]
        if not files:
            raise ConfigError(f"{where}: no file matches `{pattern}`{_nearest_directory(path)}")
        for file in files:
            check_name(str(file), where)
            found.setdefault(fs.real_path(str(file)), file)
    return sorted(found.values())


def _files_in(directory: Path, pattern: str, where: str) -> list[Path]:
    """The files of `directory`; raises ConfigError if a directory in it might hold more documents."""
    inside = [p for p in fs.list_directory(directory) if not p.name.startswith(".")]
    below = next((p for p in inside if p.is_dir()), None)
    if below is not None:
        raise ConfigError(
            f"{where}: expected a directory of files alone at `{pattern}`, found the directory {below} in it; "
            f"`{directory}/*` takes the files without it, `{directory}/**/*` all files below"
        )
    return inside


def fixed_directory(pattern: str) -> str:
    """The directory that a glob names before its first wildcard; of a directory, the directory itself."""
    parts = pattern.split("/")
    if not is_directory(pattern):
        parts = parts[:-1]
    fixed = next((i for i, part in enumerate(parts) if WILDCARD.search(part)), len(parts))
    return "/".join(parts[:fixed]).rstrip("/") or ("/" if pattern.startswith("/") else ".")


def is_directory(pattern: str) -> bool:
    """Whether the last name in `pattern` is that of a directory, not of a file and not a wildcard."""
    if pattern.endswith("/"):
        return True
    if "://" in pattern or WILDCARD.search(pattern.rpartition("/")[2]):
        return False
    path = local(pattern)
    return path.is_dir() or any(p.is_dir() for p in expand(str(path)))


def _nearest_directory(path: Path) -> str:
    for parent in (path, *path.parents):
        if parent.is_dir() and parent not in (Path(), Path("/")):
            return f" (the directory {parent} is there)"
    return ""


def relative_name(path: Path, directory: str) -> PurePosixPath | None:
    """The part of `path` below its last component named `directory`; None without one."""
    parts = path.parts
    for i in range(len(parts) - 2, -1, -1):
        if parts[i] == directory:
            return PurePosixPath(*parts[i + 1 :])
    return None


def replace_component(path: Path, old: str, new: str) -> Path | None:
    """`path` with its last component named `old` replaced by `new` (which may hold slashes); None without one."""
    name = relative_name(path, old)
    if name is None:
        return None
    head = path.parts[: len(path.parts) - len(name.parts) - 1]
    return Path(*head, new, *name.parts)
