"""Bad input of a whole run: what could not be read, said in words, and held against the budget of the recipe."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
from msgspec import Struct

from dolma_pipeline.config.recipe import Recipe, Tag, config_of
from dolma_pipeline.engine.manifest import RunManifest, StageAccount
from dolma_pipeline.engine.registry import role
from dolma_pipeline.engine.task import BadInput, Counts
from dolma_pipeline.errors import BadInputError
from dolma_pipeline.formats.quarantine import MAX_BYTES, QuarantineRow
from dolma_pipeline.io import fs
from dolma_pipeline.report.units import count, counted, size

MOST_FILES = 5
"""Number of files that are named one by one."""


class Found(Struct, frozen=True, kw_only=True):
    """The bad input of a run: each file once, each document once."""

    documents: int
    """Number of documents that were set aside."""
    of: int
    """Number of documents in the sources."""
    files: list[BadInput]
    """Files with documents that were set aside, one entry for each quarantine file."""
    damaged: list[BadInput]
    """Files that could not be read, or not all of them."""
    nothing_read: list[BadInput]
    """Files that are not empty and yet gave no document."""
    lacking: list[str] = []
    """A sentence for each stage that met text that its vocabulary lacks."""

    @property
    def unread(self) -> int:
        """Number of rows that damage to Parquet files took."""
        return sum(bad.unread_rows for bad in self.damaged)

    @property
    def unread_bytes(self) -> int:
        """Bytes of damaged files, as they are stored, that hold nobody knows how many documents."""
        return sum(bad.unread_bytes for bad in self.damaged)

    def damage(self) -> list[str]:
        """A sentence for each of the first damaged files."""
        more = len(self.damaged) - MOST_FILES
        said = [f"damaged: {bad.file}: {bad.damage}" for bad in self.damaged[:MOST_FILES]]
        return said + (
            [f"and {counted(more, 'more file')} damaged; manifest.json names all of them"] if more > 0 else []
        )

    def lines(self) -> list[str]:
        """Sentences for a terminal or a log: how many, why, and where they are; none if all was well."""
        said = []
        if self.documents:
            what = counted(len({b.file for b in self.files}), "file")
            said.append(f"quarantined: {count(self.documents)} of {counted(self.of, 'document')}, in {what}")
            for bad in self.files[:MOST_FILES]:
                where = f"{counted(bad.documents, 'document')} set aside in {bad.quarantine}"
                said.append(f"  {bad.why}; {where}")
            more = len(self.files) - MOST_FILES
            if more > 0:
                said.append(f"  and {counted(more, 'more file')}; manifest.json names all of them")
        if self.unread:
            what = counted(sum(bool(b.unread) for b in self.damaged), "damaged file")
            said.append(f"not read: {count(self.unread)} of {counted(self.of, 'document')}, rows of {what}")
        if self.unread_bytes:
            what = counted(sum(bool(b.unread_bytes) for b in self.damaged), "damaged file")
            said.append(f"not read: {size(self.unread_bytes)} of {what}; how many documents is not known")
        for bad in self.files:
            if bad.without_raw:
                said.append(
                    f"  {bad.quarantine} has reached {size(MAX_BYTES)}: of the last {counted(bad.without_raw, 'line')} "
                    "it has the place and the reason, but not the bytes"
                )
        return said + self.lacking


def find(manifest: RunManifest, work_dir: Path) -> Found:
    """The bad input in the accounts of all stages; its quarantine files with paths below `work_dir`."""
    files: dict[str, BadInput] = {}
    damaged: dict[str, BadInput] = {}
    nothing_read: dict[str, BadInput] = {}
    for bad in _listed(manifest.stages):
        if bad.documents:
            files.setdefault(bad.quarantine, bad)
        if bad.damage:
            damaged.setdefault(bad.file, bad)
        if bad.nothing_read:
            nothing_read.setdefault(bad.file, bad)
    located = [msgspec.structs.replace(b, quarantine=str(work_dir / b.quarantine)) for b in files.values()]
    return Found(
        documents=_distinct(located),
        of=documents_read(manifest.stages),
        files=located,
        damaged=list(damaged.values()),
        nothing_read=list(nothing_read.values()),
        lacking=[line for stage in manifest.stages for line in _lacking(stage, work_dir)],
    )


def _lacking(stage: StageAccount, work_dir: Path) -> Iterator[str]:
    """Sentences for documents whose text the vocabulary lacks in part."""
    total = Counts()
    for counts in stage.counts.values():
        total.add(counts)
    for fate, number in sorted(total.lacking.items()):
        file = total.first_lacking
        if fs.is_file(work_dir / file.rpartition(":")[0]):
            file = str(work_dir / file)
        documents = f"{counted(number, 'document')} {'has' if number == 1 else 'have'}"
        yield f"{stage.id}: {documents} text that the vocabulary lacks ({fate}); the first is {file}"


def _listed(stages: list[StageAccount]) -> Iterator[BadInput]:
    for stage in stages:
        for source in stage.bad:
            yield from stage.bad[source]


def documents_read(stages: list[StageAccount]) -> int:
    """Number of documents in the sources: for each the most that any stage up to the first mix has seen."""
    most: dict[str, int] = {}
    for stage in stages:
        for source, counts in stage.counts.items():
            most[source] = max(most.get(source, 0), counts.documents_in)
        if role(stage) == "filter":
            break
    return sum(most.values())


def _distinct(files: list[BadInput]) -> int:
    """Number of documents in quarantine files; one that several stages set aside counts once."""
    by_input: dict[str, list[BadInput]] = {}
    for bad in files:
        by_input.setdefault(bad.file, []).append(bad)
    total = 0
    for several in by_input.values():
        # Without its files a run can only be told by its sums.
        if len(several) == 1 or not all(fs.is_file(bad.quarantine) for bad in several):
            total += sum(bad.documents for bad in several)
        else:
            total += len({row.line for bad in several for row in _rows(Path(bad.quarantine))})
    return total


def _rows(path: Path) -> Iterator[QuarantineRow]:
    decoder = msgspec.json.Decoder(QuarantineRow)
    with fs.open_input(path) as lines:
        for line in lines:
            yield decoder.decode(line)


def check(recipe: Recipe, found: Found, quarantine: Path, shards: int, stored: int) -> None:
    """Raises BadInputError if too much of the input was bad, or if a file gave nothing at all.

    `shards`, `stored`: number of the files of the sources, and their bytes as they are stored.
    """
    limit = recipe.max_bad_fraction
    problems = []
    for bad in found.nothing_read[:MOST_FILES]:
        problems.append(f"{bad.file}: expected documents, found none that can be read: {_reason(bad)}")
    more = len(found.nothing_read) - MOST_FILES
    if more > 0:
        problems.append(f"{counted(more, 'more file')} gave no document either; manifest.json names all of them")
    damaged = [b for b in found.damaged if not b.nothing_read]
    if damaged and len(found.damaged) > limit * max(1, shards):
        problems.append(
            f"{counted(len(damaged), 'input file')} damaged, over the max_bad_fraction of {limit:g}; what could be "
            f"read was used. The first: {damaged[0].file}: {damaged[0].damage}"
        )
    if damaged and found.unread_bytes > limit * stored:
        problems.append(
            f"{size(found.unread_bytes)} of {size(stored)} of input ({found.unread_bytes / max(1, stored):.2%}) lie "
            f"behind damage and could not be read, over the max_bad_fraction of {limit:g}; how many documents they "
            "hold is not known"
        )
    lost = found.documents + found.unread
    if found.of and lost / found.of > limit:
        problems.append(
            f"{count(lost)} of {count(found.of)} documents ({lost / found.of:.2%}) could not be {_done(recipe)}, over "
            f"the max_bad_fraction of {limit:g}; {_whereabouts(found, quarantine)}. Everything else is done"
        )
    if problems:
        raise BadInputError("\n".join(problems))


def _whereabouts(found: Found, quarantine: Path) -> str:
    if not found.unread:
        return f"they are in {quarantine}"
    rows = (
        f"{count(found.unread)} of them are rows that damaged files have lost, of which manifest.json has the numbers"
    )
    return f"{rows}, and {count(found.documents)} are in {quarantine}" if found.documents else rows


def _done(recipe: Recipe) -> str:
    aside = any(isinstance(c, Tag) and c.on_error == "quarantine" for c in map(config_of, recipe.stages))
    return "read or tagged" if aside else "read"


def _reason(bad: BadInput) -> str:
    return f"line {bad.line}: {bad.reason}" if bad.line else bad.damage
