"""`dolma clean`: frees the room that runs need no more."""

from __future__ import annotations

import argparse

from dolma_pipeline.report.units import counted, size


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("runs", nargs="+", metavar="RUN", help="the work directory of a run")
    parser.add_argument("--dry-run", action="store_true", help="only say what would be removed")
    parser.add_argument(
        "--moved",
        action="store_true",
        help="the runs were moved, not copied: remove the scratch files in a scratch_dir that they left before, too",
    )


def run(arguments: argparse.Namespace) -> int:
    from dolma_pipeline.engine.clean import clean_run

    for directory in arguments.runs:
        found = clean_run(directory, dry_run=arguments.dry_run, moved=arguments.moved)
        did = "would remove" if arguments.dry_run else "removed"
        what = f"{counted(found.files, 'scratch file')}, {size(found.bytes)}" if found.files else "nothing"
        print(f"{directory}: {did} {what}")
        if found.left:
            print(f"{directory}: {found.left}")
    return 0
