"""What a test needs that is not everywhere: where it is missing, the skip names the command that runs the test.

`make test` ends with the list of these reasons. No test skips by itself: tests/test_needs.py sees to that.
"""

from __future__ import annotations

from typing import Any, Literal, NoReturn

import pytest

By = Literal[
    "make test",
    "make test VENV=NEW",
    "make parity",
    "DOLMA_TEST_DATA=DIR make test",
    "DOLMA_OLMO_VENV=DIR make parity",
    "Linux",
]
"""Where a test that was skipped would run: a command, or the system that has what it looks at."""


def skip(missing: str, by: By) -> NoReturn:
    """Skips the test for what is `missing`, a phrase."""
    where = f"`{by}` runs this" if "make" in by else f"{by} has it"
    pytest.skip(f"{missing}: {where}", allow_module_level=True)


def module(name: str, by: By = "make test") -> Any:
    """The module `name`, which `by` installs; without it, the test is skipped."""
    try:
        return pytest.importorskip(name, exc_type=ImportError)
    except pytest.skip.Exception:
        skip(f"the package `{name}` is not installed", by)
