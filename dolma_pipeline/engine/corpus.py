"""The corpus between two stages: shards, and the attributes that stand beside them."""

from __future__ import annotations

import hashlib
from pathlib import Path

import msgspec
from msgspec import Struct, structs

from dolma_pipeline.config.recipe import Recipe, Source
from dolma_pipeline.config.yaml_file import json_path
from dolma_pipeline.engine.roots import QUARANTINE
from dolma_pipeline.errors import ConfigError
from dolma_pipeline.formats.columns import Columns
from dolma_pipeline.formats.kinds import Kind
from dolma_pipeline.formats.piece import Piece
from dolma_pipeline.io import fs
from dolma_pipeline.io.files import find_files, fixed_directory, relative_name, replace_component
from dolma_pipeline.io.fs import real_path
from dolma_pipeline.io.url import local
from dolma_pipeline.mixers.computed import ComputedTags
from dolma_pipeline.mixers.keys import Earlier
from dolma_pipeline.report.units import counted

FORMS = ("parquet", "jsonl.gz", "jsonl.zst", "jsonl")
"""Extensions of attribute files, in the order in which they are looked for."""


class Shard(Struct, frozen=True, kw_only=True):
    """A file of documents, or a piece of a large one; never empty of meaning without its source and its name in it."""

    source: str
    name: str
    """Path below the documents directory, with extensions; unique within the source."""
    path: str
    label: str
    """How provenance calls the file: independent of where the work directory is."""
    size: int | None = None
    """Bytes of a file that was there before the run; of others it is known once they are written."""
    columns: Columns | None = None
    """Where its documents keep their fields, if not under the standard names."""
    task: str | None = None
    """The phase that writes it, where it is not there before the run."""
    piece: Piece | None = None
    """Which of its rows are meant; None for all of them."""

    @property
    def id(self) -> str:
        if self.piece is None:
            return f"{self.source}/{self.name}"
        return f"{self.source}/{self.name}.{self.piece.number + 1:05d}-of-{self.piece.of:05d}"


class Corpus(Struct, kw_only=True):
    """What a stage finds: shards in canonical order, and experiment -> shard id -> attribute file."""

    shards: list[Shard]
    attributes: dict[str, dict[str, str]] = {}
    keys: dict[str, list[str]] = {}
    """Attribute keys of each experiment where they are known before it has run."""
    kinds: dict[str, dict[str, Kind]] = {}
    """The kinds of these keys, as far as they are known too."""
    computed: list[ComputedTags] = []
    """Taggers whose attributes are in no file: the next stage, which is a mix, runs them itself."""
    failures: list[str] = []
    """Experiments whose files mark the documents on which a tagger failed."""
    read_in_pieces: str | None = None
    """The phase of a task for each piece of the large shards, whose reports say how many documents it has."""
    earlier: list[Earlier] = []
    """The attributes before each stage that has written the documents anew."""
    raw: bool = True
    """Whether these are the sources themselves, whose bad lines go to quarantine."""


class Places(Struct, frozen=True, kw_only=True):
    """Where a recipe's files go."""

    work_dir: Path
    scratch_dir: str
    """The directory for files between two phases; it may be outside of the work directory."""
    recipe: Recipe

    def shown(self, path: str) -> str:
        """How data names a file: relative to the work directory if it is in it, for it must not say where that is."""
        return path.removeprefix(f"{self.work_dir}/")

    def directory(self, destination: str | None, *default: str) -> Path:
        """What a stage writes to: its `destination`, or its place in the work directory."""
        return local(destination) if destination else self.work_dir.joinpath(*default)

    def attributes(self, shard: Shard, experiment: str, form: str) -> str:
        """The attribute file of `shard`: in the work directory, in a shared one, or where Dolma would look for it."""
        source = self.recipe.sources.get(shard.source, Source())
        if source.destination is not None and not form.startswith("parquet"):
            return str(local(source.destination) / shard.name)
        if source.attributes_dir is not None:
            return str(_shared(source.attributes_dir, experiment, shard.name, form))
        if self.recipe.layout == "work_dir":
            return f"{self.work_dir}/attributes/{experiment}/{shard.source}/{stem(shard.name)}.{form}"
        path = replace_component(Path(shard.path), source.document_dir, f"attributes/{experiment}")
        if path is None:
            raise ConfigError(
                f"{json_path(('sources', shard.source))}: expected a directory `{source.document_dir}` in the path "
                f"of the documents, found {shard.path}: attribute files take its place with `attributes/{experiment}`"
            )
        return str(path.with_name(f"{stem(path.name)}.{form}") if form == "parquet" else path)

    def quarantine(self, shard: Shard) -> str:
        if shard.piece is not None:
            return f"{self.scratch_dir}/{QUARANTINE}/{shard.id}.jsonl"
        return f"{self.work_dir}/quarantine/{shard.source}/{shard.name}.jsonl"

    def quarantine_of(self, shard: Shard, columns: Columns | None) -> str:
        """The file for lines in which `columns` do not find a document.

        Who looks for the fields elsewhere than the other stages finds other lines bad, and so has a file of its own,
        which depends on the fields alone: stages that look for the same ones may share a reading.
        """
        if columns == shard.columns:
            return self.quarantine(shard)
        mark = hashlib.blake2b(msgspec.json.encode(columns), digest_size=4).hexdigest()
        return self.quarantine(structs.replace(shard, name=f"{shard.name}.{mark}"))

    def failures(self, phase: str, shard: Shard) -> str:
        """Documents of `shard` that a tagger of `phase` failed on."""
        if shard.piece is not None:
            return f"{self.scratch_dir}/{QUARANTINE}/{phase}/{shard.id}.jsonl"
        return f"{self.work_dir}/quarantine/{phase}/{shard.source}/{shard.name}.jsonl"

    def scratch(self, phase: str, shard: Shard, suffix: str) -> str:
        """The file that `phase` leaves of `shard` for the phases after it.

        A string: a plan makes several of these paths for each of maybe a million shards, and joining a `Path` costs
        twenty times as much.
        """
        return f"{self.scratch_dir}/{phase}/{shard.id}{suffix}"

    def scratch_file(self, phase: str, name: str) -> str:
        """A file that `phase` leaves for the phases after it, which is about no single shard."""
        return f"{self.scratch_dir}/{phase}/{name}"


def _shared(directory: str, experiment: str, name: str, form: str) -> Path:
    """The attribute file, in a directory that recipes share, of the documents called `name` below their source."""
    return local(directory).absolute() / experiment / f"{stem(name)}.{form}"


def stem(name: str) -> str:
    """`a/b.jsonl.gz` -> `a/b`: without the extensions of formats and compressions."""
    for extension in (".gz", ".zst", ".zstd"):
        name = name.removesuffix(extension)
    for extension in (".jsonl", ".json", ".parquet"):
        name = name.removesuffix(extension)
    return name


def source_shards(name: str, source: Source) -> list[Shard]:
    """The files of a `documents` source in canonical order, or as its `order` says."""
    where = json_path(("sources", name, "documents"))
    files = find_files(source.documents or [], where)
    names: dict[str, Path] = {}
    shards = []
    # What has a destination of its own keeps there the path that it has below the fixed part of its glob, as in Dolma.
    names_of = _below(files, source) if source.destination is not None else _names(files, source.document_dir)
    for path, relative in zip(files, names_of, strict=True):
        if relative in names:
            raise ConfigError(
                f"{where}: {names[relative]} and {path} would both be called `{relative}`; put them in two sources"
            )
        names[relative] = path
        path_of = str(path)
        size = fs.stat(path).size
        shards.append(Shard(source=name, name=relative, path=path_of, label=path_of, columns=source.columns, size=size))
    if source.order == "given":
        ranks = _ranks(source.documents or [], where)
        return sorted(shards, key=lambda s: (ranks[s.path], Path(s.path)))
    return sorted(shards, key=lambda s: s.name)


def _ranks(patterns: str | list[str], where: str) -> dict[str, int]:
    """The position of the first of `patterns` that finds each file."""
    ranks: dict[str, int] = {}
    for i, pattern in enumerate([patterns] if isinstance(patterns, str) else patterns):
        for path in find_files([pattern], where):
            ranks.setdefault(str(path), i)
    return ranks


def shared_files(shards: list[Shard]) -> list[str]:
    """A sentence for each pair of sources with files in common: their documents count twice."""
    first: dict[str, Shard] = {}
    shared: dict[tuple[str, str], list[str]] = {}
    for shard in shards:
        other = first.setdefault(real_path(shard.path), shard)
        if other is not shard:
            shared.setdefault((other.source, shard.source), []).append(shard.path)
    return [
        f"{counted(len(paths), 'file')} {'is' if len(paths) == 1 else 'are'} in source `{one}` and in source `{two}`, "
        f"so that their documents count twice, the first: {paths[0]}"
        for (one, two), paths in shared.items()
    ]


def _below(files: list[Path], source: Source) -> list[str]:
    patterns = [source.documents] if isinstance(source.documents, str) else source.documents or []
    bases = [local(fixed_directory(p)) for p in patterns]
    return [next(f.relative_to(b).as_posix() for b in bases if f.is_relative_to(b)) for f in files]


def _names(files: list[Path], directory: str) -> list[str]:
    below = [relative_name(f, directory) for f in files]
    if all(b is not None for b in below) and len(set(below)) == len(below):
        return [str(b) for b in below]
    parents = [f.parent for f in files]
    common = parents[0]
    while not all(p == common or common in p.parents for p in parents):
        common = common.parent
    return [f.relative_to(common).as_posix() for f in files]


def existing_attributes(recipe: Recipe, shards: list[Shard]) -> dict[str, dict[str, str]]:
    """Attribute files that were there before: those a source names in `attributes`, beside its documents."""
    found: dict[str, dict[str, str]] = {}
    for shard in shards:
        source = recipe.sources[shard.source]
        for experiment in source.attributes:
            found.setdefault(experiment, {})[shard.id] = str(_existing(shard, source, experiment))
    return found


def _existing(shard: Shard, source: Source, experiment: str) -> Path:
    where = f"{json_path(('sources', shard.source, 'attributes'))}: `{experiment}`"
    if source.attributes_dir is not None:
        candidates = [_shared(source.attributes_dir, experiment, shard.name, form) for form in FORMS]
        wanted = f"{candidates[0].with_suffix('')}.({'|'.join(FORMS)})"
    else:
        beside = replace_component(Path(shard.path), source.document_dir, f"attributes/{experiment}")
        if beside is None:
            raise ConfigError(f"{where}: {shard.path} is in no directory `{source.document_dir}`")
        candidates = [beside, *(beside.with_name(f"{stem(beside.name)}.{form}") for form in FORMS)]
        wanted = str(beside)
    for candidate in candidates:
        if fs.is_file(candidate):
            return candidate
    raise ConfigError(f"{where}: expected attributes for {shard.path}, found no {wanted}")
