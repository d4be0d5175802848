"""Claimed files at the end of a run: what a stage said that it will write, beside what its tasks have reported."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from dolma_pipeline.engine.outputs import Claim
from dolma_pipeline.errors import StageError
from dolma_pipeline.io import fs


def check_claims(claims: Sequence[Claim], known: Collection[str], work_dir: str) -> list[str]:
    """Returns a warning for each file that a stage of a user claims and lacks; `known`: the files of all reports.

    Raises StageError for one that is there and that no report names: the manifest would lack it. A claim of patterns
    may stay without a file, and so may one of a built-in stage: not all settings make each of its files.
    """
    left = [claim for claim in claims if claim.kind and not claim.names and claim.place not in known]
    # A report may name the file by another path, which is rare.
    others = {fs.real_path(path) for path in known} if left else set()
    warnings = []
    for claim in left:
        if fs.real_path(claim.place) in others:
            continue
        if fs.is_file(claim.place):
            raise StageError(
                f"{claim.where}: expected a report that names {claim.place}, which the stage claims and has written, "
                "found none, so that the manifest would lack it; let the task return "
                "`Report(outputs=[stage.output(path)])`"
            )
        # Where it was run is no part of what was made.
        place = claim.place.removeprefix(f"{work_dir}/")
        warnings.append(
            f"{claim.where}: the stage `{claim.kind}` claims {place} and has not written it; it should claim what it "
            "writes, or files that may be missing by a pattern: `builder.claim(directory, pattern, ...)`"
        )
    return warnings
