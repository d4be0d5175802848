"""The one door to files: finding them, writing them whole or not at all, and naming what was written.

Local paths today; a remote scheme is an error here and nowhere else.
"""

from __future__ import annotations

import contextlib
import fcntl
import glob
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import msgspec

from dolma_pipeline.errors import ConfigError, DataError, StageError
from dolma_pipeline.task import Output

WILDCARD = re.compile(r"[*?\[]")
TEMPORARY = re.compile(r"^\.(.+)\.tmp-\d+$")
"""What a file is called until it is whole: `.NAME.tmp-PID`, or `.NAME.STEP.tmp-PID`."""


def local(path: str) -> Path:
    """`path` as a local one; a remote scheme is a ConfigError."""
    scheme = re.match(r"^([a-z][a-z0-9+.-]*)://", path)
    if scheme and scheme[1] != "file":
        raise ConfigError(f"{path}: expected a local path, found `{scheme[1]}://`; copy the files here first")
    return Path(path.removeprefix("file://")).expanduser()


def find_files(patterns: str | Sequence[str], where: str) -> list[Path]:
    """The files that match any of `patterns`, sorted, each once.

    A pattern that names a directory stands for the files in it, without hidden ones. Raises ConfigError if a pattern
    matches no file, or if a directory that it names has directories of its own.
    """
    found: set[Path] = set()
    for pattern in [patterns] if isinstance(patterns, str) else patterns:
        path = local(pattern)
        matches = [Path(p) for p in glob.glob(str(path), recursive=True, include_hidden=False)]
        if not matches and path.exists():
            matches = [path]
        files = [p for p in matches if p.is_file() and not TEMPORARY.match(p.name)]
        if not files and is_directory(pattern):
            files = [p for m in matches if m.is_dir() for p in _files_in(m, pattern, where)]
        if not files:
            raise ConfigError(f"{where}: no file matches `{pattern}`{_nearest_directory(path)}")
        found.update(files)
    return sorted(found)


def _files_in(directory: Path, pattern: str, where: str) -> list[Path]:
    """The files of `directory`; raises ConfigError if a directory in it might hold more documents."""
    inside = sorted(p for p in directory.iterdir() if not p.name.startswith("."))
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
    return path.is_dir() or any(Path(p).is_dir() for p in glob.iglob(str(path), recursive=True))


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


@contextlib.contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """A temporary path beside `path`, given its name when the block ends and removed when it fails."""
    final = Path(path)
    final.parent.mkdir(parents=True, exist_ok=True)
    temporary = final.parent / f".{final.name}.tmp-{os.getpid()}"
    try:
        yield temporary
        temporary.replace(final)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def write_json(path: str | Path, value: Any) -> None:
    """Writes `value` (structs too) as indented JSON, keys in the order they have, atomically."""
    encoded = msgspec.json.format(msgspec.json.encode(value), indent=1)
    with atomic_path(path) as temporary:
        temporary.write_bytes(encoded + b"\n")


def read_json(path: str | Path, form: Any = Any) -> Any:
    """Decodes a JSON file into `form`; a file that is not that is a DataError."""
    try:
        return msgspec.json.decode(Path(path).read_bytes(), type=form)
    except msgspec.DecodeError as error:
        raise DataError(f"{path}: {error}") from None


def write_msgpack(path: str | Path, value: Any) -> None:
    """Writes `value`, of structs, atomically: for what no person reads."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(msgspec.msgpack.encode(value))


def read_msgpack(path: str | Path, form: Any) -> Any:
    """Decodes a file of `write_msgpack` into `form`; a file that is not that is a DataError."""
    try:
        return msgspec.msgpack.decode(Path(path).read_bytes(), type=form)
    except msgspec.DecodeError as error:
        raise DataError(f"{path}: {error}") from None


def output(path: str | Path) -> Output:
    """The account of a file that is already there, read once for its BLAKE3."""
    from dolma_pipeline import _native

    return Output(path=str(path), bytes=Path(path).stat().st_size, blake3=_native.blake3_file(str(path)))


def remove_temporaries(directory: Path) -> int:
    """Removes what writers that were killed left behind; returns how many files."""
    removed = 0
    for root, _, names in os.walk(directory):
        for name in names:
            if TEMPORARY.match(name):
                Path(root, name).unlink(missing_ok=True)
                removed += 1
    return removed


def remove_leftovers(files: Iterable[str]) -> int:
    """Removes what killed writers of `files`, which are whole now, left beside them; returns how many files.

    Temporary files of other names are left: another run may be at work in the same directory.
    """
    names: dict[Path, set[str]] = {}
    for file in map(Path, files):
        names.setdefault(file.parent, set()).add(file.name)
    removed = 0
    for directory, whole in names.items():
        for path in directory.iterdir() if directory.is_dir() else []:
            left = TEMPORARY.match(path.name)
            if left and not whole.isdisjoint((left[1], left[1].rpartition(".")[0])):
                path.unlink(missing_ok=True)
                removed += 1
    return removed


@contextlib.contextmanager
def lock(directory: Path) -> Iterator[None]:
    """Holds `directory` for one run at a time; the system lets go of it however the run ends."""
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / ".lock"
    with path.open("a") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StageError(
                f"{directory}: another run is at work here; wait for it, or choose another work_dir"
            ) from None
        yield
