"""fastText classifiers from labelled documents: read and split per shard, trained in one task, judged on what was held
out, with a manifest beside the model that says how to read texts for it.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util

from dolma_pipeline.errors import ConfigError

PACKAGES = ("fasttext-numpy2", "fasttext-wheel", "fasttext")


def require_fasttext() -> str:
    """`package version` of the library that trains; raises ConfigError, which says how to get it, without it."""
    if importlib.util.find_spec("fasttext") is not None:
        for package in PACKAGES:
            try:
                return f"{package} {importlib.metadata.version(package)}"
            except importlib.metadata.PackageNotFoundError:
                continue
        return "fasttext unknown"
    raise ConfigError(
        "training a classifier needs the fasttext library, found none; `pip install fasttext-numpy2` brings it "
        "(using a trained one needs nothing)"
    )
