"""Where globs of documents lead: the sources of a recipe, their names, and where the ledger of a command goes."""

from __future__ import annotations

import fnmatch
import glob
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from dolma_pipeline.cli.command import WorkDir
from dolma_pipeline.config.recipe import Source
from dolma_pipeline.errors import ConfigError
from dolma_pipeline.formats.columns import Columns
from dolma_pipeline.io import fs
from dolma_pipeline.io.files import WILDCARD, fixed_directory, is_directory
from dolma_pipeline.io.globbing import expand
from dolma_pipeline.io.url import local

LEDGER = ".dolma"
"""Directory of the ledgers beside the data: it is hidden, so no glob of documents finds it."""


def parent_of(destination: str) -> str:
    """The directory that `destination` is in, for the ledger: in the destination itself is data alone, as with Dolma.

    It is the destination where the directory may not be written to.
    """
    path = destination.rstrip("/")
    head, _, name = path.rpartition("/")
    if name in ("", ".", ".."):
        parent = f"{path}/.." if path else "/"
    else:
        parent = head or ("/" if path.startswith("/") else ".")
    if "://" in parent:
        # Refused with its key when the plan is made, so that `--dryrun` shows such a configuration.
        return parent
    there = local(parent)
    return destination if fs.is_directory(there) and not fs.may_write(there) else parent


def dataset_root(pattern: str, document_dir: str) -> str | None:
    """The part of a glob before its last directory `document_dir`, `.` if that is the first; None without one.

    The last part of a pattern is the name of a file, unless there is a directory of that name.
    """
    parts = pattern.rstrip("/").split("/")
    directories = len(parts) if is_directory(pattern) else len(parts) - 1
    for i in range(directories - 1, -1, -1):
        if parts[i] == document_dir:
            return "/".join(parts[:i]) or ("/" if i else ".")
    return None


def sources(
    patterns: Sequence[str],
    *,
    document_dir: str = "documents",
    attributes: Sequence[str] = (),
    destinations: Sequence[str | None] | None = None,
    columns: Columns | None = None,
    beside: bool = False,
) -> dict[str, Source]:
    """A source for each data set that `patterns` reach into, in their order, named after its directory.

    `destinations`: one per pattern, for its attribute files. `beside`: attribute files go beside the documents, which
    must therefore be in a directory `document_dir`.
    """
    groups: dict[tuple[str, str | None], list[str]] = {}
    _once(patterns, destinations)
    for i, pattern in enumerate(dict.fromkeys(patterns)):
        root = dataset_root(pattern, document_dir)
        if root is None and beside and not _lead_into(pattern, document_dir):
            raise ConfigError(
                f"$.documents[{i}]: expected a directory `{document_dir}` in the path, found `{pattern}`: attribute "
                f"files go beside it, as in `data/{document_dir}/*.jsonl.gz`"
            )
        destination = destinations[list(patterns).index(pattern)] if destinations is not None else None
        if root is None or destination is not None:
            root = fixed_directory(pattern)
        groups.setdefault((root, destination), []).append(pattern)
    found: dict[str, Source] = {}
    for (root, destination), members in groups.items():
        found[unused(name_of(dataset_root(members[0], document_dir) or root), found)] = Source(
            documents=members if len(members) > 1 else members[0],
            columns=columns,
            attributes=list(attributes),
            destination=destination,
            document_dir=document_dir,
        )
    return found


def _once(patterns: Sequence[str], destinations: Sequence[str | None] | None) -> None:
    """Raises ConfigError for a pattern with two destinations."""
    for i, pattern in enumerate(patterns if destinations is not None else ()):
        first = list(patterns).index(pattern)
        if destinations is not None and destinations[first] != destinations[i]:
            raise ConfigError(
                f"$.documents[{i}]: expected each pattern once, found `{pattern}` for {destinations[first]} and again "
                f"for {destinations[i]}; run the command once for each destination"
            )


def _lead_into(pattern: str, document_dir: str) -> bool:
    """Whether a wildcard of `pattern` stands for the directory `document_dir`, as in `data/doc*/a.gz`.

    The files found decide; a pattern that finds none is left to the error that says so.
    """
    if not any(WILDCARD.search(p) and fnmatch.fnmatch(document_dir, p) for p in pattern.split("/")[:-1]):
        return False
    found = expand(str(local(pattern))) if "://" not in pattern else []
    return all(dataset_root(str(file), document_dir) is not None for file in found)


def name_of(root: str) -> str:
    """The last component of a path in the letters that names may have."""
    last = root.rstrip("/").rsplit("/", 1)[-1]
    return re.sub(r"[^\w.+-]+", "_", last).lstrip(".+-") or "documents"


def unused(name: str, taken: Mapping[str, Any]) -> str:
    number, unused = 2, name
    while unused in taken:
        unused, number = f"{name}-{number}", number + 1
    return unused


def ledger(work_dir: WorkDir, place: str, command: str, name: str, patterns: Sequence[str]) -> str:
    """Where the ledger of a command goes: `work_dir.output`, or hidden in the directory `place`.

    The patterns are part of it, so that two jobs on parts of one data set (Dolma's way to use many machines) do not
    get into each other's way, while the same command finds what it has done.
    """
    digest = hashlib.blake2b(json.dumps(list(patterns)).encode(), digest_size=4).hexdigest()
    base = work_dir.output if work_dir.output is not None else f"{place.rstrip('/')}/{LEDGER}"
    return f"{base.rstrip('/')}/{command}-{name_of(name)}-{digest}"


def root_of(patterns: Sequence[str], document_dir: str = "documents") -> str:
    """The data set of the first pattern."""
    root = dataset_root(patterns[0], document_dir)
    # A glob over data sets stands for the directory that they are all in.
    return root if root is not None and not WILDCARD.search(root) else fixed_directory(patterns[0])


def spread(patterns: Sequence[str], document_dir: str = "documents") -> list[str]:
    """`data/*/documents/*.gz` as a pattern for each data set that it reaches, in order; others as they are."""
    found: list[str] = []
    for pattern in patterns:
        root = dataset_root(pattern, document_dir)
        if root is None or not WILDCARD.search(root):
            found.append(pattern)
            continue
        below = pattern[len(root) :]
        each = [f"{glob.escape(r)}{below}" for r in map(str, expand(root)) if expand(glob.escape(r) + below)]
        found += each or [pattern]
    return found
