"""What types cannot say of the settings of `decontaminate`."""

from __future__ import annotations

from dolma_pipeline.config.checks import Checks, Path
from dolma_pipeline.stages.decontaminate.config import Decontaminate


def check_decontaminate(checks: Checks, config: Decontaminate, path: Path) -> None:
    """Notes what is wrong with the settings at `path`."""
    checks.name(config.name, (*path, "name"))
    checks.experiment(config.name, (*path, "name"))
    if config.method == "paragraphs":
        for key in ("ngram", "threshold"):
            if getattr(config, key) is not None:
                checks.note((*path, key), "has no effect with `method: paragraphs`, which compares whole paragraphs")
    if config.method == "overlap" and config.least == 0.0:
        checks.note((*path, "threshold"), "expected more than 0 for `overlap`, found 0, which marks every document")
