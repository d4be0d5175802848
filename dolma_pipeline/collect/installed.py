"""Finding text in a Python installation: the standard library and the distributions beside it.

Nothing is imported or run; every place looked in is an argument, with this interpreter's as the default.
"""

from __future__ import annotations

import csv
import io
import os
import platform
import re
import sys
import sysconfig
import tokenize
from collections.abc import Iterator
from functools import partial
from importlib import metadata
from pathlib import Path, PurePosixPath

from dolma_pipeline.collect.items import Item

LARGEST_FILE = 400_000
"""Bytes; longer modules are tables rather than code, and one could fill a shard."""

NOT_LIBRARY = frozenset({"site-packages", "dist-packages", "lib-dynload", "__pycache__"})
TESTS = frozenset({"test", "tests", "idle_test", "testing"})
"""Tests are left out: repetitive, half of the bytes, and some Linux distributions do not install them."""

MODULES = re.compile(r"\.py$")
LEGAL = re.compile(
    r"(?i)(?:^|[/_.-])(?:licen[cs]es?|copying|notices?)(?:[_-][\w-]*)?(\.(?:txt|md|rst|apache|bsd|mit))?$"
)
"""Names of licences and notices: `LICENSE`, `licenses/COPYING.txt`, `NOTICE.md`, `third_party_notices.txt`."""


def read_source(path: Path) -> str:
    """Python source in the encoding it declares, lines ended by a newline."""
    data = io.BytesIO(path.read_bytes())
    # From bytes rather than by `tokenize.open`, which puts the path into what it raises.
    encoding, _ = tokenize.detect_encoding(data.readline)
    data.seek(0)
    return io.TextIOWrapper(data, encoding).read()


def read_text(path: Path) -> str:
    """A UTF-8 file, without a byte order mark."""
    return path.read_text(encoding="utf-8-sig")


def standard_library_root() -> Path:
    return Path(sysconfig.get_path("stdlib"))


def standard_library(root: Path | None = None) -> Iterator[Item]:
    """The modules of the standard library, without tests, installed packages and records of the build."""
    top = root or standard_library_root()
    for directory, names, files in os.walk(top):
        # `config-3.x-PLATFORM/` and `_sysconfigdata_*.py` hold paths and flags of the machine that built Python.
        names[:] = sorted(n for n in names if n not in NOT_LIBRARY | TESTS and not n.startswith("config-"))
        for name in sorted(files):
            if not name.endswith(".py") or name.startswith("_sysconfigdata"):
                continue
            path = Path(directory, name)
            size = path.stat().st_size
            if 0 < size <= LARGEST_FILE:
                key = path.relative_to(top).as_posix()
                yield Item(key, size, platform.python_version(), partial(read_source, path))


def help_topics(root: Path | None = None) -> Iterator[Item]:
    """The module that holds the texts of `help()`, generated from the language reference."""
    path = (root or standard_library_root()) / "pydoc_data" / "topics.py"
    if path.is_file():
        key = "pydoc_data/topics.py"
        yield Item(key, path.stat().st_size, platform.python_version(), partial(read_source, path))


def distributions(search_path: list[str] | None = None) -> list[tuple[str, metadata.Distribution]]:
    """(normalised name, distribution) in order of name; of two of one name the first, which is what Python imports.

    Not this package: what it makes should not change with its own version.
    """
    found: dict[str, metadata.Distribution] = {}
    for distribution in metadata.distributions(path=sys.path if search_path is None else search_path):
        name = distribution.metadata.json.get("name")
        normal = re.sub(r"[-_.]+", "-", str(name or "")).lower()
        if normal and normal != "dolma-pipeline":
            found.setdefault(normal, distribution)
    return sorted(found.items(), key=lambda pair: pair[0])


def recorded_files(distribution: metadata.Distribution, wanted: re.Pattern[str]) -> Iterator[tuple[str, int]]:
    """(path, bytes) of the files in the RECORD of a distribution that match `wanted`; of none without a RECORD.

    Read directly and matched as strings: `Distribution.files` makes a path object of each of 100,000 files, and newer
    Pythons look each up on disk.
    """
    for row in csv.reader((distribution.read_text("RECORD") or "").splitlines()):
        if len(row) == 3 and row[2].isdigit() and 0 < int(row[2]) <= LARGEST_FILE and wanted.search(row[0]):
            path = PurePosixPath(row[0])
            if not path.is_absolute() and ".." not in path.parts:
                yield row[0], int(row[2])


def package_modules(search_path: list[str] | None = None) -> Iterator[Item]:
    """The modules of the installed distributions, vendored copies too, without tests."""
    for _, distribution in distributions(search_path):
        root, version = Path(str(distribution.locate_file(""))), distribution.version
        for name, size in recorded_files(distribution, MODULES):
            if TESTS.isdisjoint(name.split("/")):
                yield Item(name, size, version, partial(read_source, root / name))


def package_descriptions(search_path: list[str] | None = None) -> Iterator[Item]:
    """What each installed distribution says about itself: the page that a package index shows."""
    for name, distribution in distributions(search_path):
        text = str(distribution.metadata.json.get("description") or "")
        if text.strip():
            yield Item(name, len(text.encode("utf-8", "replace")), distribution.version, partial(str, text))


def license_files(search_path: list[str] | None = None) -> Iterator[Item]:
    """Licences and notices of the installed distributions and of what they vendor: full of near-duplicates."""
    for _, distribution in distributions(search_path):
        root, version = Path(str(distribution.locate_file(""))), distribution.version
        for name, size in recorded_files(distribution, LEGAL):
            yield Item(name, size, version, partial(read_text, root / name))
