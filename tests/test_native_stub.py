"""The stub of the native extension says what the extension has: names, parameters, their kinds and their defaults."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests import needs

ROOT = Path(__file__).resolve().parent.parent
PASSED_OVER = r"dolma_pipeline\._native\.__all__"
"""A list that PyO3 makes of the names, which the stub has anyway."""


def test_the_stub_is_that_of_the_extension(tmp_path: Path) -> None:
    needs.module("mypy")
    allowed = tmp_path / "allowed.txt"
    allowed.write_text(PASSED_OVER + "\n")
    options = ["--concise", "--allowlist", str(allowed), "--mypy-config-file", "pyproject.toml"]
    command = [sys.executable, "-m", "mypy.stubtest", "dolma_pipeline._native", *options]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=240)
    assert (done.returncode, done.stdout) == (0, ""), done.stdout + done.stderr
