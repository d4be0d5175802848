"""The one door to files: finding them, writing them whole or not at all, and naming what was written.

Local paths today; a remote scheme is an error here and nowhere else.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Any

import msgspec

from dolma_pipeline.errors import ConfigError, DataError, StageError
from dolma_pipeline.io.globbing import expand
from dolma_pipeline.io.writing import TEMPORARY, temporary_path, temporary_stem, writing

WILDCARD = re.compile(r"[*?\[]")


class Output(msgspec.Struct, frozen=True):
    """A file that was written: where, how long, and the BLAKE3 of its bytes."""

    path: str
    bytes: int
    blake3: str


def local(path: str) -> Path:
    """Returns `path` as a local one; raises ConfigError for a remote scheme and for a name that is not UTF-8."""
    _check_name(path)
    scheme = re.match(r"^([a-z][a-z0-9+.-]*)://", path)
    if scheme and scheme[1] != "file":
        raise ConfigError(f"{path}: expected a local path, found `{scheme[1]}://`; copy the files here first")
    return Path(path.removeprefix("file://")).expanduser()


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
            _check_name(str(file), where)
            found.setdefault(real_path(str(file)), file)
    return sorted(found.values())


def _check_name(name: str, where: str = "") -> None:
    try:
        name.encode()
    except UnicodeEncodeError:
        shown = os.fsencode(name).decode(errors="backslashreplace")
        prefix = f"{where}: " if where else ""
        raise ConfigError(f"{prefix}expected a name in UTF-8, found {shown}; rename it") from None


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
    return path.is_dir() or any(p.is_dir() for p in expand(str(path)))


def _nearest_directory(path: Path) -> str:
    for parent in (path, *path.parents):
        if parent.is_dir() and parent not in (Path(), Path("/")):
            return f" (the directory {parent} is there)"
    return ""


@lru_cache(maxsize=4096)
def _real_directory(path: str) -> str:
    return os.path.realpath(path)


def real_path(path: str) -> str:
    """The path of a file without links to directories in it; the file itself may be a link."""
    directory, name = os.path.split(path if path.startswith("/") else str(Path(path).absolute()))
    return f"{_real_directory(directory).rstrip('/')}/{name}"


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
def atomic_path(path: str | Path, *, durable: bool = True) -> Iterator[Path]:
    """A temporary path beside `path`, given its name when the block ends and removed when it fails.

    The bytes are on the disk before the name is, unless `durable` is off: then a machine that loses its power may have
    the name with other bytes. That the name is on the disk too takes `sync_directories`.
    """
    final = Path(path)
    final.parent.mkdir(parents=True, exist_ok=True)
    temporary = temporary_path(final)
    try:
        with writing(final):
            yield temporary
            if durable:
                sync(temporary)
            temporary.replace(final)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def sync(path: Path) -> None:
    """Waits until the bytes of a file are on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        getattr(os, "fdatasync", os.fsync)(handle)
    finally:
        os.close(handle)


def sync_directories(files: Iterable[str | Path]) -> None:
    """Waits until the names of `files` are on the disk, and those of the directories above them."""
    parents = {Path(parent).absolute() for parent in {os.path.dirname(file) for file in files}}  # noqa: PTH120
    for directory in sorted({above for parent in parents for above in (parent, *parent.parents)}):
        # A directory that may be written to but not read, or that its file system cannot sync, is left as it is.
        with contextlib.suppress(OSError):
            handle = os.open(directory, os.O_RDONLY)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)


def write_json(path: str | Path, value: Any, *, durable: bool = True) -> None:
    """Writes `value` (structs too) as indented JSON, keys in the order they have, atomically; see `atomic_path`."""
    write_bytes(path, msgspec.json.format(msgspec.json.encode(value), indent=1) + b"\n", durable=durable)


def write_bytes(path: str | Path, content: bytes, *, durable: bool = True) -> None:
    """Writes a file atomically; see `atomic_path`."""
    with atomic_path(path, durable=durable) as temporary:
        temporary.write_bytes(content)


def read_json(path: str | Path, form: Any = Any) -> Any:
    """Decodes a JSON file into `form`; raises DataError for a file that is not that."""
    try:
        return msgspec.json.decode(Path(path).read_bytes(), type=form)
    except msgspec.DecodeError as error:
        raise DataError(f"{path}: {error}") from None


def write_msgpack(path: str | Path, value: Any) -> None:
    """Writes `value`, of structs, atomically: for what no person reads."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(msgspec.msgpack.encode(value))


def read_msgpack(path: str | Path, form: Any) -> Any:
    """Decodes a file of `write_msgpack` into `form`; raises DataError for a file that is not that."""
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
        names.setdefault(file.parent, set()).add(temporary_stem(file.name))
    removed = 0
    for directory, whole in names.items():
        for path in directory.iterdir() if directory.is_dir() else []:
            left = TEMPORARY.match(path.name)
            if left and not whole.isdisjoint((left[1], left[1].rpartition(".")[0])):
                path.unlink(missing_ok=True)
                removed += 1
    return removed


def locked(directory: Path) -> bool:
    """Whether a run is at work in `directory`."""
    path = directory / ".lock"
    if not path.is_file():
        return False
    with path.open("a") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


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
