"""Fixtures that every test may use."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests import needs

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real documents, `SOURCE/documents/*.jsonl.gz`; $DOLMA_TEST_DATA names another place for them."""
    path = Path(os.environ.get("DOLMA_TEST_DATA", ROOT.parent / "shared" / "data"))
    if not (path / "manpages" / "documents").is_dir():
        needs.skip(f"no document collection at {path}", "DOLMA_TEST_DATA=DIR make test")
    return path
