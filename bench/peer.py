"""dolma==1.2.1 in a virtual environment of its own: its pins are older than ours."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

REQUIREMENTS = ["dolma==1.2.1", "numpy<2", "setuptools<81"]


def peer(cache: Path) -> Path:
    """The `dolma` command of the peer; $DOLMA_PEER_VENV names an environment that is there already."""
    venv = Path(os.environ.get("DOLMA_PEER_VENV", cache / "dolma-1.2.1"))
    command = venv / "bin" / "dolma"
    if not command.exists():
        print(f"installing {REQUIREMENTS[0]} into {venv}", file=sys.stderr)
        subprocess.run([sys.executable, "-m", "venv", str(venv)], check=True)
        subprocess.run([str(venv / "bin" / "pip"), "install", "--quiet", *REQUIREMENTS], check=True)
    return command
