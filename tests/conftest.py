"""Fixtures that every test may use."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from dolma_pipeline import user_modules
from tests import needs

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real documents, `SOURCE/documents/*.jsonl.gz`; $DOLMA_TEST_DATA names another place for them."""
    path = Path(os.environ.get("DOLMA_TEST_DATA", ROOT.parent / "shared" / "data"))
    if not (path / "manpages" / "documents").is_dir():
        needs.skip(f"no document collection at {path}", "DOLMA_TEST_DATA=DIR make test")
    return path


@pytest.fixture(autouse=True)
def tests_are_no_modules_of_users() -> Iterator[None]:
    """Forgets that `tests` is a module of users, which it becomes where a recipe of a test names one of its modules."""
    yield
    user_modules._imported.discard("tests")
