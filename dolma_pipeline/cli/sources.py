"""Where globs of documents lead: the sources of a recipe, their names, and where the ledger of a command goes."""

from __future__ import annotations

import glob
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from dolma_pipeline.cli.command import WorkDir
from dolma_pipeline.errors import ConfigError
from dolma_pipeline.formats.columns import Columns
from dolma_pipeline.recipe import Source

LEDGER = ".dolma"
"""Directory of the ledgers beside the data: it is hidden, so no glob of documents finds it."""
_GLOB = re.compile(r"[*?\[]")


def dataset_root(pattern: str, document_dir: str) -> str | None:
    """The part of a glob before its last directory `document_dir`, `.` if that is the first; None without one."""
    parts = pattern.split("/")
    # The last part is a file name.
    for i in range(len(parts) - 2, -1, -1):
        if parts[i] == document_dir:
            return "/".join(parts[:i]) or ("/" if i else ".")
    return None


def static_parent(pattern: str) -> str:
    """The directory of a glob as far as it is named."""
    parts = pattern.split("/")[:-1]
    fixed = next((i for i, part in enumerate(parts) if _GLOB.search(part)), len(parts))
    return "/".join(parts[:fixed]) or ("/" if pattern.startswith("/") else ".")


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
    for i, pattern in enumerate(dict.fromkeys(patterns)):
        root = dataset_root(pattern, document_dir)
        if root is None and beside:
            raise ConfigError(
                f"$.documents[{i}]: expected a directory `{document_dir}` in the path, found `{pattern}`: attribute "
                f"files go beside it, as in `data/{document_dir}/*.jsonl.gz`"
            )
        destination = destinations[list(patterns).index(pattern)] if destinations is not None else None
        groups.setdefault((root if root is not None else static_parent(pattern), destination), []).append(pattern)
    found: dict[str, Source] = {}
    for (root, destination), members in groups.items():
        found[unused(name_of(root), found)] = Source(
            documents=members if len(members) > 1 else members[0],
            columns=columns,
            attributes=list(attributes),
            destination=destination,
            document_dir=document_dir,
        )
    return found


def name_of(root: str) -> str:
    """The last component of a path in the letters that names may have."""
    last = root.rstrip("/").rsplit("/", 1)[-1]
    return re.sub(r"[^\w.+-]+", "_", last).lstrip(".+-") or "documents"


def unused(name: str, taken: Mapping[str, Any]) -> str:
    number, unused = 2, name
    while unused in taken:
        unused, number = f"{name}-{number}", number + 1
    return unused


def ledger(work_dir: WorkDir, beside: str, command: str, name: str, patterns: Sequence[str]) -> str:
    """Where the ledger of a command goes: `work_dir.output`, or hidden in the directory `beside`.

    The patterns are part of it, so that two jobs on parts of one data set (Dolma's way to use many machines) do not
    get into each other's way, while the same command finds what it has done.
    """
    digest = hashlib.blake2b(json.dumps(list(patterns)).encode(), digest_size=4).hexdigest()
    base = work_dir.output if work_dir.output is not None else f"{beside.rstrip('/')}/{LEDGER}"
    return f"{base.rstrip('/')}/{command}-{name_of(name)}-{digest}"


def root_of(patterns: Sequence[str], document_dir: str = "documents") -> str:
    """The data set of the first pattern."""
    root = dataset_root(patterns[0], document_dir)
    # Of a glob over data sets, the directory that they are all in.
    return root if root is not None and not _GLOB.search(root) else static_parent(patterns[0])


def spread(patterns: Sequence[str], document_dir: str = "documents") -> list[str]:
    """`data/*/documents/*.gz` as a pattern for each data set that it reaches, in order; others as they are."""
    found: list[str] = []
    for pattern in patterns:
        root = dataset_root(pattern, document_dir)
        if root is None or not _GLOB.search(root):
            found.append(pattern)
            continue
        below = pattern[len(root) :]
        each = [f"{glob.escape(r)}{below}" for r in sorted(glob.glob(root)) if glob.glob(glob.escape(r) + below)]
        found += each or [pattern]
    return found
