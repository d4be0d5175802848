"""Workers run the package of the driver, whatever stands in the current directory."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SEND = """
import json, sys
from ray import cloudpickle
from dolma_pipeline.executors.ray_worker import code_here, make_worker
code = code_here() | json.loads(sys.argv[2])
open(sys.argv[1], "wb").write(cloudpickle.dumps((make_worker(), code)))
"""
RECEIVE = """
import json, pickle, sys
sys.path.insert(0, sys.argv[2])  # as Ray does with the directory of the driver
kind, code = pickle.load(open(sys.argv[1], "rb"))
early = [m for m in sys.modules if m.startswith("dolma_pipeline")]
node, problem = kind(code).ready()
import dolma_pipeline
print(json.dumps([early, problem, dolma_pipeline.__file__, sys.argv[2] in sys.path]))
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A directory with a package of our name that cannot be imported."""
    package = tmp_path / "checkout" / "dolma_pipeline"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("raise RuntimeError('imported from the current directory')\n")
    return package.parent


def sent(checkout: Path, **changed: str) -> list[object]:
    """What a worker in `checkout` finds."""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    path = str(checkout.parent / "worker.pickle")
    code = [sys.executable, "-P", "-c"]
    subprocess.run([*code, SEND, path, json.dumps(changed)], cwd=checkout, env=environment, check=True)
    command = [*code, RECEIVE, path, str(checkout)]
    done = subprocess.run(command, cwd=checkout, env=environment, check=True, capture_output=True, text=True)
    return list(json.loads(done.stdout))


def test_the_package_of_the_driver_is_imported(checkout: Path) -> None:
    assert sent(checkout) == [[], None, str(ROOT / "dolma_pipeline" / "__init__.py"), False]


def test_another_version_is_refused(checkout: Path) -> None:
    package = ROOT / "dolma_pipeline"
    assert sent(checkout, digest="0")[1] == (
        f"expected dolma_pipeline 0.1.0 as in {package}, found another one in {package}; install the same version on "
        "every node"
    )


TAGGER = """
from dolma_pipeline import tagger
@tagger("{name}_v1")
def one(text: str) -> float:
    return 1.0
"""


@pytest.mark.slow
def test_a_command_started_in_a_checkout_runs_the_installed_package(checkout: Path, tmp_path: Path) -> None:
    """Taggers of a file in the current directory, and of a module on the driver's path, are found as well."""
    (checkout / "documents").mkdir()
    (checkout / "documents" / "a.jsonl").write_text('{"id":"1","text":"one"}\n')
    (checkout / "near.py").write_text(TAGGER.format(name="near"))
    (tmp_path / "modules").mkdir()
    (tmp_path / "modules" / "far.py").write_text(TAGGER.format(name="far"))
    (tmp_path / "bin").mkdir()
    script = tmp_path / "bin" / "dolma"
    script.write_text("import sys\nfrom dolma_pipeline.cli.main import main\nsys.exit(main())\n")
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), str(tmp_path / "modules")])}
    options = ["--documents", "documents/*", "--experiment", "e", "--taggers", "near_v1", "far_v1"]
    options += ["--tagger_modules", "near.py", "far", "--processes", "2"]
    command = [sys.executable, str(script), "tag", *options]
    done = subprocess.run(command, cwd=checkout, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    row = json.loads((checkout / "attributes" / "e" / "a.jsonl").read_text())
    assert row["attributes"] == {"e__near_v1__score": [[0, 3, 1.0]], "e__far_v1__score": [[0, 3, 1.0]]}
