"""Paths as (protocol, parts), globs among them, and files by glob.

Taking a path apart works for any protocol; what touches files works for local ones.
"""

from __future__ import annotations

import glob
import re
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath

from dolma_pipeline.io.url import local

_PROTOCOL = re.compile(r"^([a-zA-Z][a-zA-Z0-9+.-]*)://")
_WILDCARD = re.compile(r"(?<!\\)[*?\[\]]")


def split_path(path: str) -> tuple[str, tuple[str, ...]]:
    """`s3://bucket/a/b` -> ("s3", ("bucket", "a", "b")); `/a/b` -> ("", ("/", "a", "b"))."""
    protocol, pure = _split(path)
    return protocol, pure.parts


def join_path(protocol: str | None, *parts: str | Iterable[str]) -> str:
    """Returns the path of `parts`, each a string or several; the first one's protocol counts if none is given."""
    flat = [_split(p) for part in parts for p in ([part] if isinstance(part, str) else part)]
    path = str(PurePosixPath(*(pure for _, pure in flat))).rstrip("/")
    return _joined(protocol or (flat[0][0] if flat else ""), path)


def is_glob(path: str) -> bool:
    """Returns whether `path` holds a wildcard that is not escaped."""
    return _WILDCARD.search(path) is not None


def split_glob(path: str) -> tuple[str, str]:
    """Returns the parts before the first one with a wildcard, and the others."""
    if not is_glob(path):
        return path, ""
    protocol, parts = split_path(path)
    first = next(i for i, part in enumerate(parts) if is_glob(part))
    rest = join_path("", *parts[first:])
    return (join_path(protocol, *parts[:first]) if first else protocol), rest


def partition_path(path: str) -> tuple[str, tuple[str, ...], tuple[str, ...]]:
    """Returns the protocol, the parts before the first one with a wildcard, and those after it."""
    protocol, parts = split_path(path)
    first = next((i for i, part in enumerate(parts) if is_glob(part)), len(parts))
    return protocol, parts[:first], parts[first + 1 :]


def sub_prefix(a: str, b: str) -> str:
    """Returns `a` relative to `b`, and `a` itself where it is not below; raises ValueError if protocols differ."""
    protocol, path = _split(a)
    other, prefix = _split(b)
    if protocol != other:
        raise ValueError(f"expected paths of one protocol, found {a} and {b}")
    return str(path.relative_to(prefix)) if path.is_relative_to(prefix) else join_path(protocol, path.parts)


def sub_suffix(a: str, b: str) -> str:
    """Returns `a` without `b` at its end."""
    protocol, path = _split(a)
    if _split(b)[0]:
        raise ValueError(f"expected a relative path, found {b}")
    left = str(path).removesuffix(str(PurePosixPath(b)))
    return _joined(protocol, left.rstrip("/") if protocol or left != "/" else left)


def add_suffix(a: str, b: str) -> str:
    """Returns `b` below `a`; raises ValueError if `b` has a protocol."""
    protocol, path = _split(a)
    other, suffix = _split(b)
    if other or (protocol and suffix.is_absolute()):
        raise ValueError(f"expected a relative path, found {b}")
    return join_path(protocol, str(path / suffix))


def make_relative(paths: list[str]) -> tuple[str, list[str]]:
    """Returns the longest directory that all `paths` share, up to their wildcards, and each path below it."""
    if not paths:
        raise ValueError("expected at least one path, found none")
    protocol, common, _ = partition_path(paths[0])
    for path in paths[1:]:
        other, parts, _ = partition_path(path)
        if other != protocol:
            raise ValueError(f"expected paths of one protocol, found {path} and {paths[0]}")
        same = next((i for i, (x, y) in enumerate(zip(common, parts, strict=False)) if x != y), None)
        common = common[: min(len(common), len(parts)) if same is None else same]
    if not common:
        return _joined(protocol, ""), [str(_split(path)[1]) for path in paths]
    root = _joined(protocol, str(PurePosixPath(*common)))
    return root, [sub_prefix(path, root) for path in paths]


def parent(path: str) -> str:
    """Returns the directory of `path`; a root is its own parent."""
    protocol, parts = split_path(path)
    return path if len(parts) <= 1 else join_path(protocol, *parts[:-1])


def split_ext(path: str) -> tuple[str, tuple[str, ...], str]:
    """`a/b.json.gz` -> ("", ("a", "b"), ".json.gz")."""
    protocol, parts = split_path(path)
    if not parts:
        return protocol, (), ""
    name, dot, extensions = parts[-1].partition(".")
    return protocol, (*parts[:-1], name), dot + extensions


def glob_path(
    path: Path | str,
    hidden_files: bool = False,
    autoglob_dirs: bool = True,
    recursive_dirs: bool = False,
    yield_dirs: bool = True,
) -> Iterator[str]:
    """Yields the local files (and directories) that match, in no order; a directory stands for what is in it."""
    pattern = local(str(path))
    if pattern.is_dir() and autoglob_dirs:
        pattern = pattern / "*"
    for found in glob.glob(str(pattern), recursive=True, include_hidden=hidden_files):
        if not hidden_files and Path(found).name.startswith("."):
            continue
        if Path(found).is_dir():
            if recursive_dirs:
                yield from glob_path(found, hidden_files, autoglob_dirs, recursive_dirs, yield_dirs)
            if not yield_dirs:
                continue
        yield found


def mkdir_p(path: str) -> None:
    """Makes a local directory and those above it; raises ValueError for a glob."""
    if is_glob(path):
        raise ValueError(f"expected a directory, found the glob `{path}`")
    local(path).mkdir(parents=True, exist_ok=True)


def exists(path: str) -> bool:
    return local(path).exists()


def is_dir(path: str) -> bool:
    return local(path).is_dir()


def is_file(path: str) -> bool:
    return local(path).is_file()


def cached_path(path: str) -> str:
    """Returns `path`; raises ConfigError if it is not local, for nothing is downloaded here."""
    return str(local(path))


def _split(path: Path | str) -> tuple[str, PurePosixPath]:
    text = str(path)
    found = _PROTOCOL.match(text)
    return (found[1], PurePosixPath(text[found.end() :])) if found else ("", PurePosixPath(text))


def _joined(protocol: str, path: str) -> str:
    return f"{protocol}://{path.lstrip('/')}" if protocol else path
