"""dolma==1.2.1 in a virtual environment of its own: its pins are older than ours."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

# The last three are what pip ends up with anyway, after ten minutes of trying every release of boto.
REQUIREMENTS = ["dolma==1.2.1", "numpy<2", "setuptools<81", "boto3==1.28.17", "aiobotocore==2.5.4", "fsspec==2023.6.0"]


def peer(cache: Path) -> Path:
    """The `dolma` command of the peer; $DOLMA_PEER_VENV names an environment that is there already."""
    venv = Path(os.environ.get("DOLMA_PEER_VENV", cache / "dolma-1.2.1"))
    command = venv / "bin" / "dolma"
    if not command.exists():
        print(f"installing {REQUIREMENTS[0]} into {venv}", file=sys.stderr)
        subprocess.run([sys.executable, "-m", "venv", str(venv)], check=True)
        subprocess.run([str(venv / "bin" / "pip"), "install", "--quiet", *REQUIREMENTS], check=True)
    return command
