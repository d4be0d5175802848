"""Decisions that code must keep, kept by code."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PYTHON = sorted(
    p
    for folder in ("dolma_pipeline", "taggers", "mixers", "dedupe", "bench")
    for p in (ROOT / folder).rglob("*.py")
    if "dolma_pipeline/taggers" not in p.as_posix()
    and "dolma_pipeline/mixers" not in p.as_posix()
    and "dolma_pipeline/dedupe" not in p.as_posix()
)
RUST = sorted((ROOT / "rust_ext").glob("*/src/**/*.rs"))
MOST_LINES = 450


@pytest.mark.parametrize("path", [*PYTHON, *RUST], ids=lambda p: p.relative_to(ROOT).as_posix())
def test_one_noun_per_file(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= MOST_LINES


@pytest.mark.parametrize("path", RUST, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_rust_does_not_panic_on_input(path: Path) -> None:
    if path.name == "tests.rs":
        return
    code = path.read_text().split("#[cfg(test)]")[0]
    code = "\n".join(line.split("//")[0] for line in code.splitlines())
    assert re.findall(r"\.unwrap\(\)|\.expect\(|panic!|todo!|unimplemented!|unsafe ", code) == []


LOWER = {
    "errors": set(),
    "task": {"errors"},
    "globbing": {"errors"},
    "writing": set(),
    "storage": {"errors", "task", "globbing", "writing", "_native"},
    "formats": {"errors", "task", "storage", "writing", "_native"},
}
STAGES = {"plan", "run", "cli", "stages", "executors", "ledger", "manifest"}


def imported(path: Path) -> set[str]:
    """The parts of the package that a file imports."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("dolma_pipeline"):
            parts = node.module.split(".")
            found |= {parts[1]} if len(parts) > 1 else {a.name for a in node.names}
    return found


@pytest.mark.parametrize("part", ["taggers", "mixers", "dedupe", "tokens", "train", "collect", "formats"])
def test_imports_point_one_way(part: str) -> None:
    folder = ROOT / part if (ROOT / part).is_dir() else ROOT / "dolma_pipeline" / part
    for path in folder.rglob("*.py"):
        assert imported(path) & STAGES == set(), path


def test_lower_parts_import_only_what_is_below() -> None:
    for part, allowed in LOWER.items():
        base = ROOT / "dolma_pipeline" / part
        for path in base.rglob("*.py") if base.is_dir() else [base.with_suffix(".py")]:
            assert imported(path) - {part} <= allowed, path


def test_only_the_ray_executor_imports_ray() -> None:
    importing = [
        p.relative_to(ROOT).as_posix() for p in PYTHON if re.search(r"^\s*(import|from) ray\b", p.read_text(), re.M)
    ]
    assert importing == ["dolma_pipeline/executors/ray.py", "dolma_pipeline/executors/ray_cluster.py"]
