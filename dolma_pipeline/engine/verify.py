"""Checks a finished run: every file is what its manifest says, and every document is accounted for."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from msgspec import Struct

from dolma_pipeline.engine import failure, given
from dolma_pipeline.engine.manifest import NAME, RunManifest, StageAccount, digest, read_manifest
from dolma_pipeline.engine.registry import accounts, role
from dolma_pipeline.engine.task import Counts, Output
from dolma_pipeline.errors import BadInputError, DataError
from dolma_pipeline.io import fs
from dolma_pipeline.io.atomic import blake3
from dolma_pipeline.io.writing import TEMPORARY

OWNED = ("attributes", "mixed", "quarantine", "sources", "tokenizer", "tokens")
"""Directories of a work directory in which only the run writes."""
_NUMBERED = re.compile(r"^(.*?)(\d{4,5})(\.[^/]*)$")
"""Names of files that a stage numbers: `part-00003.npy`, `web-0003.jsonl.gz`."""
_CHUNK = 1 << 20


class Verdict(Struct, frozen=True, kw_only=True):
    """What `verify` found out about a run."""

    problems: list[str]
    notes: list[str]
    """What a reader should know although nothing is wrong with the files: too much of the input was bad, or it has
    changed since."""


def verify_run(run: str | Path) -> list[str]:
    """The problems found in a run directory (or its manifest.json), in the order of the manifest; none is good."""
    return judge(run).problems


def judge(run: str | Path) -> Verdict:
    """Reads every file of a run, checks its accounts, and looks for files that are not its own."""
    path = Path(run)
    directory = path if fs.is_directory(path) else path.parent
    if not fs.exists(path):
        raise DataError(f"{run}: expected the work directory of a finished run, found none")
    failed = failure.read(directory)
    if failed is not None and not fs.is_file(directory / NAME):
        return Verdict(problems=[failed.told()], notes=[])
    manifest = read_manifest(directory)
    work_dir = directory / manifest.work_dir
    problems = []
    if manifest.digest != digest(manifest):
        problems.append(f"{NAME}: expected the contents that the run wrote, found others; it was edited afterwards")
    for file in manifest.files:
        problem = _check(work_dir / file.path, file.bytes, file.blake3)
        if problem is not None:
            problems.append(f"{file.path}: {problem}")
    problems += account_problems(manifest, work_dir)
    problems += [
        f"{name}: the run did not write this file; move it elsewhere" for name in strangers(manifest, work_dir)
    ]
    notes = given.notes(directory)
    if failed is not None:
        # Over the budget everything is done, and what was made may be as it should be.
        (notes if failed.exit_code == BadInputError.exit_code else problems).insert(0, failed.told())
    return Verdict(problems=problems, notes=notes)


def account_problems(manifest: RunManifest, work_dir: Path) -> list[str]:
    """What is wrong with the counts: between stages, within each, and against the rows of the quarantine files."""
    problems = _lost_between(manifest.stages)
    for stage in manifest.stages:
        for source, counts in stage.counts.items():
            below = counts.below_zero()
            if below:
                found = ", ".join(f"{name} {count}" for name, count in below.items())
                problems.append(f"stage {stage.id}, source {source}: expected counts from 0, found {found}")
            if not counts.balanced:
                dropped = sum(counts.dropped.values())
                problems.append(
                    f"stage {stage.id}, source {source}: {counts.documents_in} documents in and {counts.repeated} "
                    f"repeated, but {counts.documents_out} out, {dropped} dropped, {counts.quarantined} quarantined "
                    f"and {counts.unread} unread"
                )
    return problems + _unread(manifest.stages) + _quarantine(manifest.stages, work_dir)


def strangers(manifest: RunManifest, work_dir: Path) -> list[str]:
    """Files that the run did not write, in the directories that are its own, or numbered as its files are elsewhere.

    A drop-in command writes beside the data, where other jobs may write too: there only a file counts that continues
    the numbers of this run's files, which a reader of `part-*.npy` would take for one of them.
    """
    listed = {file.path for file in manifest.files}
    found: set[str] = set()
    if manifest.work_dir == ".":
        for name in OWNED:
            found.update(p.relative_to(work_dir).as_posix() for p in fs.walk(work_dir / name) if _is_output(p))
    for directory, patterns in _numbered(manifest.files):
        for path in fs.list_directory(work_dir / directory) if fs.is_directory(work_dir / directory) else []:
            match = _NUMBERED.match(path.name)
            if match and (match[1], match[3]) in patterns and _is_output(path):
                found.add((Path(directory) / path.name).as_posix())
    return sorted(found - listed)


def _is_output(path: Path) -> bool:
    return fs.is_file(path) and not TEMPORARY.match(path.name)


def _numbered(files: list[Output]) -> Iterator[tuple[str, set[tuple[str, str]]]]:
    """(directory, what stands around the numbers) of the numbered files outside the work directory."""
    found: dict[str, set[tuple[str, str]]] = {}
    for file in files:
        directory, _, name = file.path.rpartition("/")
        match = _NUMBERED.match(name)
        if match and directory.startswith("/"):
            found.setdefault(directory, set()).add((match[1], match[3]))
    yield from found.items()


def _unread(stages: list[StageAccount]) -> list[str]:
    """Rows that damage took: as many in the counts as the list of damaged files says."""
    problems = []
    for stage in stages:
        for source in sorted({*stage.counts, *stage.bad}):
            counted = stage.counts.get(source, Counts()).unread
            listed = sum(b.unread_rows for b in stage.bad.get(source, []))
            if counted != listed:
                problems.append(
                    f"stage {stage.id}, source {source}: {counted} documents unread, but {listed} rows of damaged files"
                )
    return problems


def _quarantine(stages: list[StageAccount], work_dir: Path) -> list[str]:
    problems = []
    rows: dict[str, int | None] = {}
    for stage in stages:
        for source in sorted({*stage.counts, *stage.bad}):
            files = [b for b in stage.bad.get(source, []) if b.documents]
            counted = stage.counts.get(source, Counts()).quarantined
            listed = sum(b.documents for b in files)
            if counted != listed:
                problems.append(
                    f"stage {stage.id}, source {source}: {counted} documents quarantined, but {listed} in quarantine "
                    "files"
                )
            for bad in files:
                if bad.quarantine not in rows:
                    rows[bad.quarantine] = _rows(work_dir / bad.quarantine)
                    if rows[bad.quarantine] not in (None, bad.documents):
                        problems.append(
                            f"{bad.quarantine}: expected {bad.documents} rows, as stage {stage.id} counts them, found "
                            f"{rows[bad.quarantine]}"
                        )
    return problems + [f"{path}: expected a quarantine file, found none" for path, n in rows.items() if n is None]


def _rows(path: Path) -> int | None:
    """Number of lines in a file; None if it is not there."""
    try:
        with fs.open_input(path) as file:
            return sum(chunk.count(b"\n") for chunk in iter(lambda: file.read(_CHUNK), b""))
    except FileNotFoundError:
        return None


def _lost_between(stages: list[StageAccount]) -> list[str]:
    """Stages before the first mix each read all of a source; those behind a mix, what it put out."""
    problems = []
    expected: dict[str, tuple[str, int]] = {}
    for stage in stages:
        if not accounts(stage):
            continue
        for source, counts in stage.counts.items():
            before, documents = expected.get(source, (stage.id, counts.documents_in))
            if counts.documents_in != documents:
                problems.append(
                    f"source {source}: {documents} documents after stage {before}, but {counts.documents_in} in stage "
                    f"{stage.id}"
                )
            left = counts.documents_out if role(stage) == "filter" else counts.documents_in
            expected[source] = (stage.id, left)
    return problems


def _check(path: Path, size: int, digest: str) -> str | None:
    try:
        found = fs.stat(path).size
    except FileNotFoundError:
        return "missing"
    if found != size:
        return f"expected {size} bytes, found {found}"
    actual = blake3(path)
    return None if actual == digest else f"expected BLAKE3 {digest[:16]}…, found {actual[:16]}…"
