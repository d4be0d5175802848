"""`main` raises where our command returns an exit code."""

from __future__ import annotations

from dolma_pipeline.cli.main import main as command
from dolma_pipeline.compat import DolmaConfigError, DolmaError


def main(argv: list[str]) -> None:
    code = command(argv)
    if code == 2:
        raise DolmaConfigError(f"exit code 2 of {argv}")
    if code:
        raise DolmaError(f"exit code {code} of {argv}")
