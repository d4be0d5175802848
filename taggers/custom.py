"""Taggers made of a file that a recipe names: a list of URLs, or a fastText classifier."""

from __future__ import annotations

from pathlib import Path

from dolma_pipeline.config.recipe import CustomTagger
from dolma_pipeline.errors import ConfigError
from dolma_pipeline.io import fs
from dolma_pipeline.models import ModelFiles, find_model
from dolma_pipeline.taggers.base import Tagger
from dolma_pipeline.taggers.classifiers import FastTextTagger
from dolma_pipeline.taggers.urls import UrlTagger

_MODEL = ModelFiles(what="fastText", names=(), install="")


def make_tagger(custom: CustomTagger) -> Tagger:
    """Loads what `custom` describes; raises ConfigError for a file that is not there, or not what it should be."""
    problem = mistake(custom)
    if problem is not None:
        raise ConfigError(f"tagger `{custom.name}`: {problem}")
    if custom.fasttext is not None:
        path = find_model(_MODEL, custom.fasttext)
        return FastTextTagger(
            custom.name,
            path,
            by=custom.by,
            labels=custom.labels,
            threshold=custom.threshold,
            lower=custom.lower,
        )
    paths = [Path(p) for p in ([custom.url_list] if isinstance(custom.url_list, str) else custom.url_list or [])]
    for path in paths:
        if not fs.is_file(path):
            raise ConfigError(f"tagger `{custom.name}`: expected a list at `{path}`, found no file there")
    return UrlTagger(custom.name, custom.mode, paths)


def mistake(custom: CustomTagger) -> str | None:
    """What in `custom` cannot be meant, if anything."""
    if (custom.url_list is None) == (custom.fasttext is None):
        found = "none" if custom.url_list is None else "both"
        return f"expected exactly one of `url_list` and `fasttext`, found {found}"
    standard = CustomTagger(name=custom.name)
    others = ("by", "labels", "threshold", "lower") if custom.fasttext is None else ("mode",)
    given = [o for o in others if getattr(custom, o) != getattr(standard, o)]
    if given:
        kind, other = ("url_list", "fasttext") if custom.fasttext is None else ("fasttext", "url_list")
        return f"expected no `{given[0]}` beside `{kind}`: it belongs to `{other}`"
    return None
