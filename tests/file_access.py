"""Calls in Python code that touch files by themselves, found in its syntax tree."""

from __future__ import annotations

import ast
from pathlib import Path

_METHODS = """
chmod exists glob hardlink_to is_dir is_file is_symlink iterdir lstat mkdir open read_bytes read_text readlink rglob
rmdir samefile stat symlink_to touch unlink write_bytes write_text
"""
METHODS = frozenset(_METHODS.split())
"""Methods of paths."""
ONE_ARGUMENT = frozenset({"rename", "replace"})
"""Methods of paths that strings and structs have too, with more arguments."""
_FUNCTIONS = """
open
os.access os.chmod os.link os.listdir os.lstat os.makedirs os.mkdir os.open os.readlink os.remove os.rename os.replace
os.rmdir os.scandir os.stat os.symlink os.truncate os.unlink os.utime os.walk
os.path.exists os.path.getmtime os.path.getsize os.path.isdir os.path.isfile os.path.islink os.path.lexists
os.path.realpath os.path.samefile glob.glob glob.iglob gzip.open bz2.open lzma.open
np.memmap np.fromfile np.load np.save
pq.ParquetFile pq.ParquetWriter pq.read_metadata pq.read_schema pq.read_table pq.write_table
pa.OSFile pa.memory_map pa.input_stream pa.output_stream open_csv
"""
FUNCTIONS = frozenset(_FUNCTIONS.split())
MODULES = ("shutil", "tempfile", "fcntl", "mmap", "smart_open")
"""Modules of which every call counts."""


def file_calls(path: Path) -> list[str]:
    """`NUMBER: CALL` for each call in a Python file that touches the file system."""
    tree = ast.parse(path.read_text())
    door = _doors(tree)
    found = [(n.lineno, _name(n.func)) for n in ast.walk(tree) if isinstance(n, ast.Call) and _touches(n, door)]
    return [f"{number}: {name}" for number, name in sorted(found)]


def _doors(tree: ast.AST) -> set[str]:
    """The names that modules of `io/` have in a file."""
    return {
        alias.asname or alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module == "dolma_pipeline.io"
        for alias in node.names
    }


def _touches(call: ast.Call, door: set[str]) -> bool:
    name = _name(call.func)
    if name in FUNCTIONS or name.startswith(tuple(f"{m}." for m in MODULES)):
        return True
    if not isinstance(call.func, ast.Attribute) or name.rpartition(".")[0] in door:
        return False
    attribute = call.func.attr
    if attribute in ONE_ARGUMENT:
        return len(call.args) == 1 and not call.keywords
    if attribute == "resolve":
        return not call.args
    # `.tofile(file)` writes past the sums of whoever has opened the file.
    return attribute in METHODS or attribute == "tofile"


def _name(node: ast.expr) -> str:
    """A dotted name as it stands in the code; what is called in it is cut out."""
    if isinstance(node, ast.Attribute):
        return f"{_name(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else "(…)"
