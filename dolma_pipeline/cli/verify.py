"""`dolma verify`: whether the files of a run are what its manifest says, and every document accounted for."""

from __future__ import annotations

import argparse

from dolma_pipeline.errors import VerifyError
from dolma_pipeline.report.units import counted


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "runs", nargs="+", metavar="RUN", help="the work directory of a finished run, or its manifest.json"
    )


def run(arguments: argparse.Namespace) -> int:
    from dolma_pipeline.engine.verify import judge

    total = 0
    for directory in arguments.runs:
        verdict = judge(directory)
        problems = verdict.problems
        for problem in problems:
            print(f"{directory}: {problem}")
        for note in verdict.notes:
            print(f"{directory}: note: {note}")
        if not problems:
            print(f"{directory}: every file and every count is as its manifest says")
        total += len(problems)
    if total:
        raise VerifyError(
            f"{counted(total, 'problem')} found; running the recipe again redoes what is not as it was, `--force` also "
            "files whose size and time are still the same"
        )
    return 0
