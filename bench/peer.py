"""dolma==1.2.1 in a virtual environment of its own: its pins are older than ours."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from dolma_pipeline.models import LANGUAGE_ID, find_model

# The last three are what pip ends up with anyway, after ten minutes of trying every release of boto.
REQUIREMENTS = ["dolma==1.2.1", "numpy<2", "setuptools<81", "boto3==1.28.17", "aiobotocore==2.5.4", "fsspec==2023.6.0"]


MODEL_MODULE = """
import os
from dolma.taggers.language import FastTextAllLanguagesDocumentTagger

FastTextAllLanguagesDocumentTagger.MODEL_PATH = os.environ["DOLMA_BENCH_MODEL"]
"""
"""A module of taggers that gives the peer the language model that we use; it would download one for every run."""


def with_model(arguments: list[str], directory: Path) -> tuple[list[str], dict[str, str]]:
    """Arguments and environment with which the peer's language identification reads our model file."""
    if not any(a.startswith("ft_lang_id") for a in arguments):
        return arguments, {}
    module = directory / "bench_model.py"
    module.write_text(MODEL_MODULE)
    return [*arguments, "--tagger_modules", str(module)], {"DOLMA_BENCH_MODEL": str(find_model(LANGUAGE_ID))}


def peer(cache: Path) -> Path:
    """The `dolma` command of the peer; $DOLMA_PEER_VENV names an environment that is there already."""
    venv = Path(os.environ.get("DOLMA_PEER_VENV", cache / "dolma-1.2.1"))
    command = venv / "bin" / "dolma"
    if not command.exists():
        print(f"installing {REQUIREMENTS[0]} into {venv}", file=sys.stderr)
        subprocess.run([sys.executable, "-m", "venv", str(venv)], check=True)
        subprocess.run([str(venv / "bin" / "pip"), "install", "--quiet", *REQUIREMENTS], check=True)
    return command


if __name__ == "__main__":
    from bench.run import CACHE

    print(peer(CACHE))
