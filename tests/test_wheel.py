"""The wheel holds everything, symlinked packages and data files included, and works away from the repository."""

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
LEFT_OUT = shutil.ignore_patterns(
    ".git", ".venv", "target", "build", "runs", "*.so", "__pycache__", "*.egg-info", ".*_cache"
)
SCRIPT = """
import dolma_pipeline, dolma_pipeline._native as native
from dolma_pipeline.taggers.registry import load_taggers
from dolma_pipeline.mixers.names import resolve_names
from dolma_pipeline.dedupe.keys import KeyOp
from importlib.resources import files
assert 'sources:' in (files('dolma_pipeline') / 'recipes' / 'quickstart.yaml').read_text()
print(native.__name__, dolma_pipeline.__version__)
"""


@pytest.mark.slow
@pytest.mark.timeout(1200)  # without a cache of compiled crates it builds them all
def test_the_wheel_works_elsewhere(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    shutil.copytree(ROOT, tree, symlinks=True, ignore=LEFT_OUT)
    options = ["--no-deps", "--no-build-isolation", "--quiet", "--wheel-dir", str(tmp_path)]
    command = [sys.executable, "-m", "pip", "wheel", *options, "."]
    subprocess.run(command, cwd=tree, check=True, timeout=900)
    (wheel,) = tmp_path.glob("*.whl")
    assert "abi3" in wheel.name
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "site")
        names = archive.namelist()
    assert "dolma_pipeline/taggers/registry.py" in names
    assert "dolma_pipeline/_native.pyi" in names
    assert not [n for n in names if n.startswith(("taggers/", "mixers/", "dedupe/", "tests/", "bench/"))]
    code = f"import sys; sys.path.insert(0, {str(tmp_path / 'site')!r})\n{SCRIPT}"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.stdout.startswith("dolma_pipeline._native "), done.stderr
