"""A test that is skipped says which command runs it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

import pytest

from tests import needs

ROOT = Path(__file__).resolve().parent.parent
SKIP = re.compile(r"pytest\.(?:skip|importorskip|mark\.skip\w*|mark\.xfail)\b")


def test_the_reason_of_a_skip_names_the_command_that_runs_it() -> None:
    with pytest.raises(pytest.skip.Exception) as skipped:
        needs.module("no_such_package_here", "make parity")
    assert skipped.value.msg == "the package `no_such_package_here` is not installed: `make parity` runs this"
    with pytest.raises(pytest.skip.Exception) as skipped:
        needs.skip("no /proc", "Linux")
    assert skipped.value.msg == "no /proc: Linux has it"


def test_no_test_skips_in_another_way() -> None:
    files = [p for p in (ROOT / "tests").rglob("*.py") if p.name not in ("needs.py", "test_needs.py")]
    assert [p.name for p in files if SKIP.search(p.read_text())] == []


def test_the_make_file_has_the_targets_that_reasons_name() -> None:
    targets = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.M))
    named = {by.partition("make ")[2].split()[0] for by in get_args(needs.By) if "make" in by}
    assert named == {"test", "parity"}
    assert named <= targets
