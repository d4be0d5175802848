"""Which files a work directory may write, and which of those it once wrote it removes: nothing writes them any more.

The plan declares the places its stages write to as claims. Before anything runs, files that are there already in a
claimed place must be this recipe's own: `ledger/owner.json` says whose a work directory is, and what it has claimed.
"""

from __future__ import annotations

import glob
import hashlib
import os
import re
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Literal

import msgspec
from msgspec import Struct

from dolma_pipeline.config.recipe import Recipe
from dolma_pipeline.engine.ledger import stands
from dolma_pipeline.engine.ledger import written as written_by
from dolma_pipeline.engine.roots import Roots, default_roots, scratch_name
from dolma_pipeline.engine.segments import MOST_ENTRIES, Entry, Place, phases, places, read, rewrite
from dolma_pipeline.errors import ConfigError, DataError, StageError
from dolma_pipeline.io import fs
from dolma_pipeline.io.atomic import read_json, write_json
from dolma_pipeline.io.fs import real_path
from dolma_pipeline.io.globbing import matches
from dolma_pipeline.io.lease import locked
from dolma_pipeline.report.units import counted
from dolma_pipeline.secrets import hide_in_settings

OWNER = "owner.json"
MANIFEST = "manifest.json"
Existing = Literal["own", "told", "same", "replace"]
"""Which files may be written over: those of this recipe; the same, and it is said where the settings have changed; of
this recipe with the same settings; any."""


class Claim(Struct, frozen=True, kw_only=True):
    """Files that a stage is going to write."""

    place: str
    """A file, or with `names` a directory."""
    where: str
    """The setting that chose the place, as in `$.stages[1].mix.destination`."""
    remedy: str
    """What to change so that the stage writes elsewhere, as in "another `name` or `destination`"."""
    names: tuple[str, ...] = ()
    """Patterns of the files below the directory `place`."""
    source: str | None = None
    """The file that the claimed one is made from, if it is one file."""
    kind: str = ""
    """The kind of the stage, if a user brings it."""

    @property
    def keys(self) -> list[str]:
        """What the claim is called in owner.json."""
        return [f"{self.place}/{name}" for name in self.names] or [self.place]

    def examples(self) -> list[str]:
        """A path for each kind of claimed file."""
        names = [re.sub(r"\[[^]]*\]|\*", "0", name.replace("**/", "")) for name in self.names]
        return [os.path.abspath(path) for path in ([f"{self.place}/{name}" for name in names] or [self.place])]  # noqa: PTH100

    def existing(self) -> list[str]:
        """The claimed files that are there."""
        if not self.names:
            return [self.place] if fs.is_taken(self.place) else []
        directory = Path(self.place)
        return (
            sorted(str(p) for name in self.names for p in fs.find(directory, name))
            if fs.is_directory(directory)
            else []
        )


class Owner(Struct, frozen=True, kw_only=True):
    """ledger/owner.json: whose work directory this is."""

    recipe: str
    settings: str = ""
    """Digest of everything in the recipe but its work_dir."""
    places: list[str] = []
    """What the recipe has claimed outside of the work directory."""
    scratch: str = ""
    """The directory of its scratch files, where it is not in the work directory."""
    work_dir: str = ""
    """Where the work directory was then, without links."""
    parts: dict[str, list[str]] = {}
    """Phases of runs with an account of their own, such as `dolma stat --recipe`, by account."""


class Removed(Struct, kw_only=True):
    """What became of the files that no stage writes any more."""

    files: list[str] = []
    left: list[str] = []
    """Outside of the work directory, where no stage writes now, or changed since they were written."""

    def lines(self) -> list[str]:
        """A sentence for each kind of them."""
        lines = []
        if self.files:
            what = counted(len(self.files), "file")
            lines.append(f"removed {what} of an earlier run that no stage writes any more, the first: {self.files[0]}")
        if self.left:
            what = counted(len(self.left), "file")
            lines.append(
                f"warning: left {what} of an earlier run that no stage writes any more, for no stage writes there now "
                f"or the file has changed since; remove what you do not need. The first: {self.left[0]}"
            )
        return lines


def check_plan(claims: Sequence[Claim], inputs: Iterable[str], patterns_read: Iterable[str] = ()) -> None:
    """Raises ConfigError if two tasks would write one file, if a task would write over an input, or if what it writes
    would be read as an input by the next run.

    `inputs`: the files that the recipe reads; `patterns_read`: the globs that found them.
    """
    taken: dict[str, Claim] = {}
    for claim in claims:
        for key in claim.keys:
            first = taken.setdefault(key, claim)
            if first is not claim:
                of = f" for {first.source} and {claim.source}" if first.source and claim.source else ""
                other = f", which {first.where} names too" if first.where != claim.where else ""
                raise ConfigError(
                    f"{claim.where}: expected a file of its own for every output, found {key} twice{of}{other}; "
                    f"give {claim.remedy}, or other file names"
                )
    files = {real_path(c.place): c for c in claims if not c.names}
    patterns = [(f"{glob.escape(str(fs.resolve(c.place)))}/{name}", c) for c in claims for name in c.names]
    for path in inputs:
        real = real_path(path)
        covering = files.get(real) or next((c for pattern, c in patterns if matches(pattern, real)), None)
        if covering is not None:
            raise ConfigError(
                f"{covering.where}: expected a place outside of the input, found {path}, which is read and would be "
                f"written over; give {covering.remedy}"
            )
    for pattern in patterns_read:
        whole = os.path.join(os.path.abspath(pattern), "*") if fs.is_directory(pattern) else os.path.abspath(pattern)  # noqa: PTH100, PTH118
        read = next((c for c in claims if any(matches(whole, path) for path in c.examples())), None)
        if read is not None:
            raise ConfigError(
                f"{read.where}: expected a place that no source reads, found {read.place}, where `{pattern}` would "
                f"find what this run writes the next time; give {read.remedy}, or a pattern of the input alone"
            )


def settings_of(recipe: Recipe) -> str:
    """A digest of everything in `recipe` but where its run is kept."""
    plain = hide_in_settings(msgspec.to_builtins(recipe))
    for where in ("work_dir", "scratch_dir"):
        plain.pop(where, None)
    return hashlib.blake2b(msgspec.json.encode(plain, order="deterministic"), digest_size=8).hexdigest()


def read_owner(work_dir: Path) -> Owner | None:
    """Whose work directory it is; None where no recipe has run in it."""
    path = work_dir / "ledger" / OWNER
    if fs.is_file(path):
        owner: Owner = read_json(path, Owner)
        return owner
    try:
        # A run of an earlier version left its name in the manifest alone.
        found = read_json(work_dir / MANIFEST)
    except (FileNotFoundError, DataError):
        return None
    named = isinstance(found, dict) and "recipe" in found and isinstance(found.get("name"), str)
    return Owner(recipe=found["name"]) if named else None


def has_own_scratch(owner: Owner, work_dir: Path) -> bool:
    """Whether the scratch files that `owner` names are those of the run in `work_dir`, however that is spelled.

    A run that was copied names those of the first one, and one that was moved those of its former place.
    """
    if owner.work_dir:
        return owner.work_dir == str(fs.resolve(work_dir))
    spelled = {work_dir, Path(os.path.normpath(work_dir)), fs.resolve(work_dir)}
    return Path(owner.scratch).name in map(scratch_name, spelled)


def scratch_elsewhere(owner: Owner | None, work_dir: Path) -> str:
    """A sentence about the scratch files that a run has left where it was before; empty where there are none."""
    if owner is None or not owner.scratch or has_own_scratch(owner, work_dir) or not fs.is_directory(owner.scratch):
        return ""
    return (
        f"this run was moved or copied, and scratch files of its former place are in {owner.scratch}: "
        "`dolma clean --moved` removes them, where no other run needs them"
    )


def check_places(
    roots: Roots, recipe: Recipe, claims: Sequence[Claim], *, existing: Existing = "own", renamed: bool = False
) -> list[str]:
    """What there is to say of the places that `recipe` is going to write to.

    Raises StageError if the work directory is another recipe's, and ConfigError if a file is there that may not be
    written over. `renamed`: the recipe has a new name.
    """
    work_dir = Path(roots.work_dir)
    owner = read_owner(work_dir)
    name = hide_in_settings(recipe.name)
    if owner is not None and owner.recipe != name and not renamed:
        raise StageError(
            f"{work_dir}: expected the work_dir of recipe `{name}`, found that of recipe `{owner.recipe}`, "
            f"whose files would be overwritten; give this recipe a work_dir of its own, or, if it is the same recipe "
            f"under a new name, run it once with `--renamed`"
        )
    left = scratch_elsewhere(owner, work_dir)
    said = _check_existing(roots, _outside(work_dir, claims), owner, settings_of(recipe), existing)
    return [*said, left] if left and owner is not None and owner.scratch != roots.scratch else said


def claim_places(
    roots: Roots, recipe: Recipe, claims: Sequence[Claim], *, part: tuple[str, list[str]] | None = None
) -> None:
    """Enters `recipe` as the owner of `work_dir` and of the places it writes to.

    `part`: account and phases of a run of a part of the recipe. Raises StageError if another run is writing there.
    """
    work_dir = Path(roots.work_dir)
    owner = read_owner(work_dir)
    outside = _outside(work_dir, claims)
    keys = {key for c in outside for key in c.keys}
    parts = dict(owner.parts) if owner is not None else {}
    if part is not None:
        parts[part[0]] = part[1]
    # A part of a recipe has other settings than the whole; it writes nothing that the whole does not but its report.
    settings = owner.settings if part is not None and owner is not None else settings_of(recipe)
    places = sorted(keys | set(owner.places if owner is not None else ()))
    scratch = roots.scratch if roots != default_roots(work_dir) else ""
    if owner is not None and owner.scratch not in ("", scratch) and has_own_scratch(owner, work_dir):
        # The run keeps its scratch files elsewhere from now on, and nobody would find the old ones again.
        fs.remove_tree(owner.scratch, ignore_errors=True)
    name = hide_in_settings(recipe.name)
    real = str(fs.resolve(work_dir)) if scratch else ""
    after = Owner(recipe=name, settings=settings, places=places, scratch=scratch, work_dir=real, parts=parts)
    _enter(work_dir, owner, after)
    for directory, other in _neighbours(work_dir) if outside else []:
        common = keys.intersection(other.places)
        if common and locked(directory):
            raise StageError(
                f"{min(common)}: expected a place that no other run writes to, but `{other.recipe}` is at work there, "
                f"whose ledger is {directory}; wait for it, or write elsewhere"
            )


def _outside(work_dir: Path, claims: Sequence[Claim]) -> list[Claim]:
    return [c for c in claims if not Path(c.place).absolute().is_relative_to(work_dir)]


def _neighbours(work_dir: Path) -> Iterator[tuple[Path, Owner]]:
    """The ledgers beside this one, and whose they are."""
    for path in sorted(fs.find(work_dir.parent, f"*/ledger/{OWNER}")):
        directory = path.parent.parent
        if directory != work_dir:
            yield directory, read_json(path, Owner)


def release_places(work_dir: Path, claims: Sequence[Claim]) -> None:
    """After a run that failed: what it claimed and wrote nothing of is free for others."""
    owner = read_owner(work_dir)
    if owner is None:
        return
    free = {key for c in claims for key in c.keys if not c.existing()}
    _enter(work_dir, owner, msgspec.structs.replace(owner, places=[p for p in owner.places if p not in free]))


def _enter(work_dir: Path, before: Owner | None, after: Owner) -> None:
    path = work_dir / "ledger" / OWNER
    if before != after or not fs.is_file(path):
        write_json(path, after)


def _check_existing(
    roots: Roots, claims: Sequence[Claim], owner: Owner | None, settings: str, existing: Existing
) -> list[str]:
    work_dir = Path(roots.work_dir)
    there = [(c, found) for c in claims if (found := c.existing())]
    if not there:
        return []
    owned = set(owner.places) if owner is not None else set()
    foreign = [(c, found) for c, found in there if not owned.issuperset(c.keys)]
    if foreign:
        # A ledger of an earlier version has no claims, but it lists every file it has written.
        own = {path for phase in phases(work_dir) for path in written_by(roots, phase)}
        foreign = [(c, left) for c, found in foreign if (left := [f for f in found if f not in own])]
    changed = bool(owner is not None and owner.settings and owner.settings != settings)
    if existing == "replace":
        count = sum(len(found) for _, found in foreign)
        return [f"writing over {counted(count, 'file')} of another command"] if count else []
    if foreign:
        claim, files = foreign[0]
        count = sum(len(found) for _, found in foreign)
        by = _writer(work_dir, claim) or "another command, or another program"
        raise ConfigError(
            f"{claim.where}: expected a place without files of others, found {files[0]}{_more(count)}, written by "
            f"{by}; give {claim.remedy}, or remove the old files"
        )
    if changed and existing in ("same", "told"):
        claim, files = there[0]
        before = f"{files[0]}{_more(sum(len(found) for _, found in there))}"
        if existing == "told":
            return [f"this command wrote {before} before with other settings; its files are written anew"]
        raise ConfigError(
            f"{claim.where}: expected a place without files, found {before}, which this command wrote before with "
            f"other settings; give {claim.remedy}, or remove the old files"
        )
    return []


def _more(count: int) -> str:
    return f" and {count - 1:,} more" if count > 1 else ""


def _writer(work_dir: Path, claim: Claim) -> str | None:
    """The command that claimed the place, by the ledgers beside this one."""
    for directory, owner in _neighbours(work_dir):
        if not set(owner.places).isdisjoint(claim.keys):
            return f"`{owner.recipe}`, whose ledger is {directory}"
    return None


def remove_stale(
    roots: Roots,
    present: Mapping[str, Container[str]],
    known: Mapping[str, str],
    changed: Container[str],
    kept_phases: Iterable[str],
) -> Removed:
    """Removes the files, and the ledger entries, of tasks that the recipe does not have any more.

    `present`: names of the tasks there are now, by phase; `known`: the files they wrote; `changed`: phases that have
    entries which do not count any more, since others are not looked through; `kept_phases`: those of other runs.
    """
    removed = Removed()
    work_dir = Path(roots.work_dir)
    keep = set(kept_phases)
    written_now = _Written(known)
    for phase in phases(work_dir):
        if phase not in keep and (phase not in present or phase in changed):
            _clean(roots, phase, present.get(phase, ()), written_now, removed)
    removed.files, removed.left = sorted(set(removed.files)), sorted(set(removed.left))
    return removed


def _clean(roots: Roots, phase: str, present: Container[str], written_now: _Written, removed: Removed) -> None:
    """Removes the entries of a phase that do not count any more, with their files, and joins small segments."""
    work_dir = Path(roots.work_dir)
    seen: set[str] = set()
    anew: dict[Place, list[int]] = {}
    small: dict[Place, list[int]] = {}
    for place in places(work_dir, phase):
        entries = read(place, roots)
        live = []
        for number, entry in enumerate(entries):
            if place.aside or entry.task in seen or entry.task not in present:
                _remove_files(entry, roots, written_now, removed)
            else:
                seen.add(entry.task)
                live.append(number)
        if place.aside or len(live) < len(entries):
            anew[place] = live
        elif len(live) < MOST_ENTRIES // 2 or place.number is None:
            small[place] = live
    if anew or len(small) > 1:
        rewrite(work_dir, phase, anew | small)


def _remove_files(entry: Entry, roots: Roots, written_now: _Written, removed: Removed) -> None:
    """Removes the files of an entry that does not count any more, but for those that a task writes now."""
    for written in entry.outputs:
        file = written.path
        if not fs.is_taken(file) or written_now.holds(file):
            continue
        inside = Path(file).is_relative_to(roots.work_dir) or roots.scratch_phase(file) is not None
        mine = inside or written_now.beside(file)
        if mine and stands(written):
            fs.remove(file)
            removed.files.append(file)
            _remove_empty(Path(file).parent, roots)
        else:
            removed.left.append(file)


class _Written:
    """The files of this run by their real paths, which are found only if there is an old file to compare them with."""

    def __init__(self, paths: Iterable[str]) -> None:
        self._paths = paths

    @cached_property
    def _files(self) -> set[str]:
        return set(map(real_path, self._paths))

    @cached_property
    def _directories(self) -> set[str]:
        return {path.rpartition("/")[0] for path in self._files}

    def holds(self, file: str) -> bool:
        return real_path(file) in self._files

    def beside(self, file: str) -> bool:
        """Whether a file was written in the same directory."""
        return real_path(file).rpartition("/")[0] in self._directories


def _remove_empty(directory: Path, roots: Roots) -> None:
    tops = (Path(roots.work_dir), Path(roots.scratch))
    while any(directory != top and directory.is_relative_to(top) for top in tops):
        try:
            fs.remove_directory(directory)
        except OSError:
            return
        directory = directory.parent
