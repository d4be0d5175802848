"""`extends: base.yaml`: a recipe that says only what it has other than another one.

Mappings are merged key by key, anything else, lists too, is replaced as a whole. The path of the base is relative to
the file that names it; a base may extend another one.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from msgspec.structs import replace

from dolma_pipeline.config.yaml_file import File, Step, merge, read
from dolma_pipeline.errors import ConfigError
from dolma_pipeline.io import fs

KEY = "extends"


class Extended(File, frozen=True):
    """A file and those it extends as one: each value stands where it was given last."""

    layers: tuple[File, ...] = ()
    """The file itself, then its base, then the base of that."""

    def where(self, path: Sequence[Step]) -> str:
        owner = next((layer for layer in self.layers if _owns(layer, path)), self.layers[0])
        return owner.where(path)


def extended(file: File) -> File:
    """`file` merged over what it extends; the file itself if it extends nothing.

    Raises ConfigError for a base that is not there, that is no mapping, or that extends itself on the way.
    """
    layers = [file]
    while isinstance(layers[-1].data, dict) and KEY in layers[-1].data:
        layers.append(_base(layers))
    if len(layers) == 1:
        return file
    own = [replace(layer, data={k: v for k, v in layer.data.items() if k != KEY}) for layer in layers]
    data = own[-1].data
    for layer in reversed(own[:-1]):
        data = merge(data, layer.data)
    return Extended(file.name, data, file.root, tuple(own))


def _base(layers: list[File]) -> File:
    """The file that the last of `layers` extends."""
    file = layers[-1]
    name, where = file.data[KEY], f"{file.where((KEY,))}: $.{KEY}"
    if not isinstance(name, str) or not name:
        raise ConfigError(f"{where}: expected the path of one recipe, such as `base.yaml`, found {name!r}")
    near = "://" in name or Path(name).expanduser().is_absolute()
    location = name if near else str(Path(file.name).parent / name) if "://" not in file.name else _sibling(file, name)
    if fs.resolve(Path(location)) in [fs.resolve(Path(layer.name)) for layer in layers]:
        raise ConfigError(f"{where}: expected a recipe that does not extend itself, found {location} again")
    try:
        base = read(location)
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from None
    if not isinstance(base.data, dict):
        raise ConfigError(f"{where}: expected a recipe, found {location}, which is no mapping")
    return base


def _sibling(file: File, name: str) -> str:
    return f"{file.name.rpartition('/')[0]}/{name}"


def _owns(file: File, path: Sequence[Step]) -> bool:
    """Whether the value at `path`, or a list or a scalar that it is part of, was given in `file`."""
    value = file.data
    for step in path:
        if not isinstance(value, dict):
            return True
        if step not in value:
            return False
        value = value[step]
    return True
