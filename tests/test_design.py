"""Decisions that code must keep, kept by code."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from pathlib import Path
from typing import Any

import pytest

from dolma_pipeline.engine.registry import BUILT_IN
from tests.file_access import file_calls

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


COMPILED_TWICE = ROOT / "rust_ext" / "core" / "src" / "minhash" / "avx2.rs"
"""Calls functions that are compiled for AVX2, once the processor is known to have it: Rust has no safe way to."""


@pytest.mark.parametrize("path", RUST, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_rust_does_not_panic_on_input(path: Path) -> None:
    if path.name == "tests.rs":
        return
    code = path.read_text().split("#[cfg(test)]")[0]
    code = "\n".join(line.split("//")[0] for line in code.splitlines())
    if path == COMPILED_TWICE:
        code = code.replace("unsafe { compiled(", "")
    assert re.findall(r"\.unwrap\(\)|\.expect\(|panic!|todo!|unimplemented!|unsafe ", code) == []


LOWER = {
    "errors": set(),
    "io": {"errors", "_native"},
    "formats": {"errors", "engine", "io", "_native"},
}
STAGES = {"cli", "stages", "executors"}


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


def test_the_engine_imports_no_stage() -> None:
    """A plan loads the modules of its stages by their kinds, and a task names its functions."""
    importing = [p.name for p in (ROOT / "dolma_pipeline" / "engine").glob("*.py") if "stages" in imported(p)]
    assert importing == []


def test_only_a_worker_executes() -> None:
    """Whoever keeps books calls nothing that a task names."""
    calling = [
        p.name
        for p in sorted((ROOT / "dolma_pipeline" / "engine").glob("*.py"))
        if re.search(r"^from dolma_pipeline\.engine\.task import .*\b(call|named)\b", p.read_text(), re.M)
    ]
    assert calling == ["shared_reading.py", "worker.py"]


def modules_of(path: Path) -> set[str]:
    """The modules of the package that a file imports from."""
    tree = ast.walk(ast.parse(path.read_text()))
    return {node.module for node in tree if isinstance(node, ast.ImportFrom) and node.module}


def test_stages_and_examples_import_the_contract_and_not_the_plan() -> None:
    inside = {"dolma_pipeline.engine.plan", "dolma_pipeline.engine.builder", "dolma_pipeline.engine.map_reduce"}
    stages = sorted((ROOT / "dolma_pipeline" / "stages").glob("*.py"))
    assert len(stages) > 10
    for path in [*stages, *(ROOT / "examples").glob("*.py")]:
        assert modules_of(path) & inside == set(), path
    for path in (ROOT / "examples").glob("*.py"):
        parts = {m for m in modules_of(path) if m.startswith("dolma_pipeline")}
        assert parts <= {"dolma_pipeline", "dolma_pipeline.engine", "dolma_pipeline.engine.stage"}, path


def kinds_named(path: Path) -> set[str]:
    """The kinds of stages that a file tests for, lists beside each other, or takes from a stage by their name."""
    names = {kind.kind for kind in BUILT_IN}
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Compare) and any(
            isinstance(n, ast.Attribute) and n.attr == "kind" for n in ast.walk(node)
        ):
            found |= {n.value for n in ast.walk(node) if isinstance(n, ast.Constant) and n.value in names}
        if isinstance(node, (ast.Tuple, ast.List)) and len(node.elts) > 1:
            values = [str(n.value) if isinstance(n, ast.Constant) else "" for n in node.elts]
            found |= set(values) if set(values) <= names else set()
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in ("stage", "s"):
            found |= {node.attr} & names
    return found


def test_kinds_of_stages_stand_in_the_registry_alone() -> None:
    for folder in ("engine", "config", "report", "executors", "stages"):
        for path in (ROOT / "dolma_pipeline" / folder).glob("*.py"):
            # A role has the name of a kind, and a file of a stage may name its own.
            assert kinds_named(path) - {"tokens", path.stem} == set(), path


def test_only_the_ray_executor_imports_ray() -> None:
    importing = [
        p.relative_to(ROOT).as_posix() for p in PYTHON if re.search(r"^\s*(import|from) ray\b", p.read_text(), re.M)
    ]
    assert importing == ["dolma_pipeline/executors/ray.py", "dolma_pipeline/executors/ray_cluster.py"]


TOUCH_FILES = {
    "dolma_pipeline/cli/main.py": "closes the standard streams",
    "dolma_pipeline/cli/signals.py": "reads the processes of this machine, to end all of them",
    "dolma_pipeline/collect/installed.py": "reads the texts that every machine has",
    "dolma_pipeline/compat/core/paths.py": "has the calls of Dolma for code that moves here",
    "dolma_pipeline/errors.py": "says why the system refused a file, below the door",
    "dolma_pipeline/executors/ray_cluster.py": "looks whether other nodes see the same disk, and silences a stream",
    "dolma_pipeline/executors/ray_worker.py": "is sent to nodes that do not have this package yet",
    "dolma_pipeline/secrets.py": "asks whether a value is the name of a file, whatever it is",
}
"""Files outside `io/` that touch the file system by themselves, and why. The list only becomes shorter."""
DOOR = [
    p
    for folder in ("dolma_pipeline", "taggers", "mixers", "dedupe")
    for p in sorted((ROOT / folder).rglob("*.py"))
    if p.parent == p.parent.resolve() and not p.is_relative_to(ROOT / "dolma_pipeline" / "io")
]


@pytest.mark.parametrize("path", DOOR, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_every_byte_goes_through_one_door(path: Path) -> None:
    calls = file_calls(path)
    if path.relative_to(ROOT).as_posix() in TOUCH_FILES:
        assert calls, "it touches no file by itself any more: take it from the list"
    else:
        assert calls == [], "use dolma_pipeline.io: fs, atomic, cache, arrow"


def test_the_list_of_exceptions_names_files() -> None:
    assert {p.relative_to(ROOT).as_posix() for p in DOOR} >= set(TOUCH_FILES)


def test_calls_that_touch_files_are_found(tmp_path: Path) -> None:
    path = tmp_path / "a.py"
    path.write_text("""
from dolma_pipeline.io import fs
from dolma_pipeline.io import atomic as whole
open(name); Path(x).read_text(); (a / b).stat().st_size; os.path.exists(p); shutil.move(a, b); np.memmap(p)
here.replace(there); here.rename(there); path.resolve(); pq.ParquetFile(p); tempfile.mkdtemp(); array.tofile(f)
with gzip.open(p) as a, smart_open.open(b): pass
text.replace(a, b); structs.replace(a, b=1); fs.stat(p); whole.open(p); resolve(a); os.path.join(a, b); context.stat
""")
    assert file_calls(path) == [
        "4: (…).read_text",
        "4: (…).stat",
        "4: np.memmap",
        "4: open",
        "4: os.path.exists",
        "4: shutil.move",
        "5: array.tofile",
        "5: here.rename",
        "5: here.replace",
        "5: path.resolve",
        "5: pq.ParquetFile",
        "5: tempfile.mkdtemp",
        "6: gzip.open",
        "6: smart_open.open",
    ]


STILTED = re.compile(
    r"\A\s*of |\b(is|are) (an? )?[a-z]+errors?\b|\bwhat is not of\b|\bslip of the pen\b",
    re.IGNORECASE,
)
"""What no comment, docstring or help says: it begins with `Of`, or calls a mistake an exception."""
WRITTEN = sorted({*PYTHON, *(p for f in ("tests", "scripts") for p in (ROOT / f).rglob("*.py")), *ROOT.glob("*/*.pyi")})


def prose_of_python(text: str) -> list[str]:
    """Comments, docstrings (of fields too) and help texts; lines of a comment are one text."""
    found: list[ast.expr] = []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            found.append(node.value)
        if isinstance(node, ast.Call):
            found += [k.value for k in node.keywords if k.arg in ("description", "help", "epilog")]
            found += node.args if getattr(node.func, "attr", "") == "add_argument_group" else []
    said = [start for node in found if isinstance(start := beginning(node), str)]
    comments = [t for t in tokenize.generate_tokens(io.StringIO(text).readline) if t.type == tokenize.COMMENT]
    return said + joined([(t.start[0], t.start[1], t.string.lstrip("#: "), t.line[: t.start[1]]) for t in comments])


def beginning(node: ast.expr) -> Any:
    """The value of a constant; the first one of those that are joined."""
    while isinstance(node, (ast.BinOp, ast.JoinedStr)):
        node = node.left if isinstance(node, ast.BinOp) else node.values[0]
    return getattr(node, "value", None)


def prose_of_rust(text: str) -> list[str]:
    """Comments; lines of a comment are one text."""
    found = [(n, re.match(r"(.*?)//[/!]?(?: +|$)(.*)", line)) for n, line in enumerate(text.splitlines())]
    return joined([(n, m.start(2), m[2], m[1]) for n, m in found if m is not None])


def joined(comments: list[tuple[int, int, str, str]]) -> list[str]:
    """Lines (number, column, text, code before it) as texts: one that stands alone below another goes on with it."""
    found: list[str] = []
    last = (-2, -1)
    for number, column, text, before in comments:
        if not before.strip() and last == (number - 1, column) and text:
            found[-1] += f" {text}"
        else:
            found.append(text)
        last = (number, column) if text and not before.strip() else (-2, -1)
    return found


def test_prose_is_found_and_judged() -> None:
    python = '''
class A:
    x: int = 1
    """Of this class."""
    y = f(help="of bytes")  # of a trailing comment
    # A comment that goes on with the words
    # of the next line is one, and
    # a mistake is a DataError there.
    z: Annotated[int, Meta(description="of " + "text")] = g("of no help")
'''
    assert sorted(s for s in prose_of_python(python) if STILTED.search(s)) == [
        "A comment that goes on with the words of the next line is one, and a mistake is a DataError there.",
        "Of this class.",
        "of ",
        "of a trailing comment",
        "of bytes",
    ]
    rust = (
        "/// Of a field.\nlet x = 1; // of code\n// It is one\n// of two: a slip of the pen.\n\n//! It is an error.\n"
    )
    assert [s for s in prose_of_rust(rust) if STILTED.search(s)] == [
        "Of a field.",
        "of code",
        "It is one of two: a slip of the pen.",
    ]


@pytest.mark.parametrize("path", [*WRITTEN, *RUST], ids=lambda p: p.relative_to(ROOT).as_posix())
def test_prose_is_plain(path: Path) -> None:
    prose = prose_of_rust if path.suffix == ".rs" else prose_of_python
    assert [said for said in prose(path.read_text()) if STILTED.search(said)] == []
