"""The counts of all shards as one: the figures, and the page that shows them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from msgspec import Struct

from dolma_pipeline.engine.task import Context, Report
from dolma_pipeline.errors import StageError
from dolma_pipeline.fertility.measure import read_counts
from dolma_pipeline.fertility.page import write_page
from dolma_pipeline.fertility.result import NO_GROUP, TokenizerInfo, fertility
from dolma_pipeline.io.atomic import output, write_json
from dolma_pipeline.tokens.reference import ReferenceEngine

RESULT = "fertility.json"
PAGE = "report.html"


class MergeFertility(Struct, frozen=True, kw_only=True):
    """The counts of shards in the order of the corpus, and name -> path of the tokenizers they are of."""

    title: str
    counts: list[str]
    tokenizers: dict[str, str]
    shown: dict[str, str] = {}
    """How the result names those files."""
    by: str | None = None
    sample: float = 1.0
    baseline: str | None = None
    directory: str


def merge_fertility(config: MergeFertility, context: Context) -> Report:
    """Writes fertility.json and report.html; raises StageError for a corpus without text."""
    infos = []
    for name, path in config.tokenizers.items():
        file = output(path)
        infos.append(
            TokenizerInfo(
                name=name,
                path=config.shown.get(name, path),
                blake3=file.blake3,
                vocab_size=ReferenceEngine(Path(path)).vocab_size,
            )
        )
    result = fertility(
        (read_counts(path) for path in config.counts),
        infos,
        by=config.by,
        sample=config.sample,
        baseline=config.baseline,
    )
    if not result.total.documents:
        raise StageError(f"{config.directory}: expected documents to measure tokenizers on, found none with text")
    warnings = []
    if config.by is not None and set(result.groups) == {NO_GROUP}:
        warnings.append(f"{config.directory}: no document has `{config.by}` to group it by")
    if config.baseline is not None and config.baseline not in result.groups:
        known = ", ".join(f"`{name}`" for name in result.groups)
        warnings.append(f"{config.directory}: no document is of the baseline `{config.baseline}`, but of {known}")
    directory = Path(config.directory)
    written = write_json(directory / RESULT, result)
    write_page(directory / PAGE, config.title, result)
    details: dict[str, Any] = {
        info.name: {"tokens": figures.tokens, "tokens_per_word": figures.tokens_per_word}
        for info, figures in zip(infos, result.total.tokenizers, strict=True)
    }
    return Report(outputs=[written, output(directory / PAGE)], details=details, warnings=warnings)
