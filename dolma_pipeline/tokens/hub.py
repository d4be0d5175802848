"""Tokenizers by their names on the Hugging Face Hub, as far as an earlier download left them on this machine.

Nothing here uses the network: a run gives the same tokens with and without one.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

from dolma_pipeline.errors import ConfigError
from dolma_pipeline.io import fs

_NAME = re.compile(r"[\w-][\w.-]*(/[\w-][\w.-]*)?")
FILE = "tokenizer.json"


def is_hub_name(name: str) -> bool:
    """Whether `name` could be that of a repository on the Hub, such as `allenai/dolma2-tokenizer` or `gpt2`."""
    return _NAME.fullmatch(name) is not None and not name.endswith(".json")


def cache_directories(environment: Mapping[str, str] = os.environ) -> list[Path]:
    """Where Hugging Face libraries keep what they download, the most specific setting first."""
    home = environment.get("HF_HOME")
    user = environment.get("XDG_CACHE_HOME") or "~/.cache"
    candidates = [
        environment.get("HF_HUB_CACHE"),
        environment.get("HUGGINGFACE_HUB_CACHE"),
        environment.get("TRANSFORMERS_CACHE"),
        f"{home}/hub" if home else f"{user}/huggingface/hub",
    ]
    return list(dict.fromkeys(Path(c).expanduser() for c in candidates if c))


def cached_tokenizer(name: str, environment: Mapping[str, str] = os.environ) -> Path:
    """The tokenizer.json of the repository `name` in one of the caches: that of its main branch.

    Raises ConfigError if no cache has it, or if a cache has several revisions and does not say which is the main one.
    """
    directories = cache_directories(environment)
    for directory in directories:
        found = _in_repository(name, directory / f"models--{name.replace('/', '--')}")
        if found is not None:
            return found
    looked = " or ".join(f"`{d}`" for d in directories)
    raise ConfigError(
        f"tokenizer `{name}`: expected a {FILE}, a directory that holds one, or a repository of the Hugging Face Hub "
        f"that was downloaded before; found no such file, and no `models--{name.replace('/', '--')}` with a {FILE} in "
        f"{looked}; `hf download {name} {FILE}` puts it there, HF_HOME says where else to look"
    )


def _in_repository(name: str, repository: Path) -> Path | None:
    main = repository / "refs" / "main"
    if fs.is_file(main):
        file = repository / "snapshots" / fs.read_text(main).strip() / FILE
        return file if fs.is_file(file) else None
    revisions = sorted(fs.find(repository, f"snapshots/*/{FILE}"))
    if len(revisions) > 1:
        raise ConfigError(
            f"tokenizer `{name}`: expected `refs/main` or one revision in {repository}, found {len(revisions)} "
            f"revisions; name one of them by its path, such as {revisions[0]}"
        )
    return revisions[0] if revisions else None
