"""The outputs of a mix: which shards become one file, and what it is called."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath

from msgspec import Struct

from dolma_pipeline.config.recipe import Mix
from dolma_pipeline.engine.corpus import Shard, stem
from dolma_pipeline.errors import ConfigError
from dolma_pipeline.io.files import relative_name


class Group(Struct, frozen=True, kw_only=True):
    """The shards that become one output."""

    source: str
    shards: list[Shard]
    output: Shard


def groups(
    shards: list[Shard],
    mix: Mix,
    directory: Path,
    size_of: Callable[[Shard], int | None] = lambda shard: shard.size,
    where: str = "$",
) -> Iterator[Group]:
    """One output per input, named like it; or, with a size, as many neighbours of one source as fit in it.

    `size_of` a file that is not written yet is None: then it has an output to itself until it is.
    """
    if mix.max_size_in_bytes == 0:
        taken: dict[Path, str] = {}
        for shard in shards:
            name, path = _beside(shard, mix, directory)
            first = taken.setdefault(path, shard.path)
            if first != shard.path:
                raise ConfigError(
                    f"{where}: expected inputs of different names below `documents`, found {first} and {shard.path}: "
                    f"both would become {path}; mix them into two directories"
                )
            label = f"{mix.name}/{shard.source}/{name}"
            yield Group(
                source=shard.source,
                shards=[shard],
                output=Shard(source=shard.source, name=name, path=str(path), label=label),
            )
        return
    together: list[Shard] = []
    total = number = 0
    for shard in shards:
        size = size_of(shard)
        size = mix.max_size_in_bytes if size is None else size
        if together and (total + size > mix.max_size_in_bytes or shard.source != together[0].source):
            yield _joined(together, mix, directory, number)
            together, total, number = [], 0, number + 1
        together.append(shard)
        total += size
    if together:
        yield _joined(together, mix, directory, number, last=True)


def _beside(shard: Shard, mix: Mix, directory: Path) -> tuple[str, Path]:
    """The name and the path of the output of one input; Dolma's layout has no directory for the source."""
    name = shard.name
    if mix.as_dolma:
        name = (relative_name(Path(shard.path), "documents") or PurePosixPath(name)).as_posix()
    if mix.format != "input":
        kind = ".json" if mix.as_dolma and ".json" in (PurePosixPath(name).suffixes[-2:] or [""]) else ".jsonl"
        name = f"{stem(name)}.{mix.format}".replace(".jsonl", kind)
    documents = directory / "documents"
    return name, documents / name if mix.as_dolma else documents / shard.source / name


def _joined(shards: list[Shard], mix: Mix, directory: Path, number: int, *, last: bool = False) -> Group:
    # Dolma calls the last of its files, most often the only one, `.json`.
    form = mix.format.replace("jsonl", "json") if mix.as_dolma and last else mix.format
    name = f"{mix.name}-{number:04d}.{form}"
    source = shards[0].source
    shard = Shard(source=source, name=name, path=str(directory / name), label=f"{mix.name}/{name}")
    return Group(source=source, shards=shards, output=shard)
