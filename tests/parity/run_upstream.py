"""Runs Dolma 1.2.1's own tests of behaviour against this package, and prints how many pass.

    python tests/parity/run_upstream.py CHECKOUT      (a checkout of allenai/dolma)

Exits with 1 if a test fails that is not among the justified differences of differences.json. The tests run unchanged,
in a copy of the checkout's `tests`, with the shim beside this file as `dolma`. Tests that need S3, a model or the
network are left out, and so are those of Dolma's internals; TESTS lists the others.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ET
from pathlib import Path

HERE = Path(__file__).resolve().parent
TESTS = {
    "mixer": ["test_mixer.py"],
    "deduper": ["test_deduper.py"],
    "runtime": ["test_runtime.py::TestRuntimeUtilities"],
    "extra": ["test_extra.py::TestExtra"],
    "tokenizer": [
        "test_tokenizer.py::TestTokenizer",
        "test_tokenizer.py::TestTokenizerCli",
        "test_tokenizer.py::TestShufflingTokenizer",
        "test_tokenizer.py::TestTokenizeSpecialTokens",
        "test_tokenizer.py::TestBosEosTokenAddition",
        "test_tokenizer.py::TokenizeOnNonStandardFields",
        "test_tokenizer.py::TestDtypeMismatch",
    ],
    "resharding": ["test_resharding.py"],
    "taggers": [
        "test_c4.py",
        "test_gopher.py",
        "test_length.py",
        "test_license.py",
        "test_repetitions.py",
        "test_code.py",
    ],
    "compat": ["test_data_types.py", "test_utils.py", "test_registry.py", "test_parallel.py"],
}
"""Files and classes below tests/python, by group."""


def main(checkout: Path) -> int:
    justified: dict[str, str] = json.loads((HERE / "differences.json").read_text())
    failed: dict[str, str] = {}
    total = 0
    with tempfile.TemporaryDirectory() as directory:
        shutil.copytree(checkout / "tests", Path(directory) / "tests")
        for group, names in TESTS.items():
            outcomes = run(Path(directory), names)
            for name, why in list(outcomes.items()):
                missing = missing_tokenizer(name, why, Path(directory))
                if missing:
                    print(f"left out {name}: {missing}")
                    del outcomes[name]
            passed = sum(not why for why in outcomes.values())
            total += len(outcomes)
            failed |= {name: why for name, why in outcomes.items() if why}
            print(f"{group:<12} {passed:>3} of {len(outcomes):>3} pass")
    for name, why in sorted(failed.items()):
        print(f"{'differs' if name in justified else 'FAILED '} {name}: {justified.get(name, why)}")
    for name in sorted(set(justified) - set(failed)):
        print(f"passes  {name}, a justified difference")
    print(f"{total - len(failed)} of {total} pass, {len(set(failed) & set(justified))} justified differences")
    return 1 if set(failed) - set(justified) else 0


def missing_tokenizer(name: str, why: str, directory: Path) -> str:
    """Returns which tokenizer a test failed for the lack of; empty if it did not.

    Nothing is downloaded: one of the checkout may be missing in it, and one of the Hugging Face Hub in the local cache.
    """
    if "llama3" in name and "No such file" in why:
        there = (directory / "tests/data/tokenizer/llama3-test-tokenizer.json").is_file()
        return "" if there else "the checkout lacks its tokenizer"
    hub = re.search(r"no tokenizer (\S+/\S+) model: expected|tokenizer `(\S+/\S+)`: expected a tokenizer\.json", why)
    return f"the cache of the Hugging Face Hub lacks {hub[1] or hub[2]}" if hub else ""


def run(directory: Path, names: list[str]) -> dict[str, str]:
    """Returns why each test failed, by its name; an empty string where it passed. Skipped tests are left out."""
    report = directory / "report.xml"
    report.unlink(missing_ok=True)
    root = HERE.parent.parent
    path = [str(HERE / "shim"), str(root), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path), "DOLMA_TESTS_SKIP_AWS": "true"}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--junitxml={report}"]
    tests = [f"tests/python/{name}" for name in names]
    done = subprocess.run([*command, *tests], cwd=directory, env=environment, capture_output=True, text=True)
    if done.returncode not in (0, 1) or not report.is_file():
        raise SystemExit(f"pytest ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    outcomes = {}
    for case in ET.parse(report).getroot().iter("testcase"):
        name = f"{case.get('classname', '').rpartition('.')[2]}.{case.get('name')}"
        problem = case.find("failure") if case.find("failure") is not None else case.find("error")
        if problem is None and case.find("skipped") is not None:
            continue
        outcomes[name] = "" if problem is None else (problem.get("message") or "failed").splitlines()[0][:160]
    return outcomes


if __name__ == "__main__":
    if len(sys.argv) != 2 or not (Path(sys.argv[1]) / "tests" / "python").is_dir():
        raise SystemExit("usage: run_upstream.py CHECKOUT (a checkout of allenai/dolma)")
    sys.exit(main(Path(sys.argv[1])))
