"""What Ray's workers run. It is sent to them by value, so that it runs before they import this package.

Ray puts the driver's current directory first in its workers' sys.path. A source checkout there would be imported
instead of the installed package that the driver runs.
"""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dolma_pipeline

Code = dict[str, Any]
"""Plain values only: the worker has no class of ours yet."""


def make_digest() -> Callable[[str], str]:
    """A function that hashes the Python files of a package with their names; it can be sent by value."""

    def digest(package: str) -> str:
        found = hashlib.blake2b(digest_size=16)
        for root, folders, names in os.walk(package, followlinks=True):
            folders.sort()
            for path in sorted(Path(root, n) for n in names if n.endswith(".py")):
                found.update(path.relative_to(package).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
        return found.hexdigest()

    return digest


def code_here(*, compare: bool = True) -> Code:
    """The package that this process runs, and where it finds its modules.

    With `compare`, workers refuse to run other files of the same name.
    """
    package = str(Path(dolma_pipeline.__file__).resolve().parent)
    cwd = str(Path.cwd())
    return {
        "package": package,
        "version": dolma_pipeline.__version__,
        "digest": make_digest()(package) if compare else None,
        "path": [str(Path(p).absolute()) for p in sys.path],
        "prefixes": [sys.prefix, sys.base_prefix],
        "cwd": cwd,
        # What Ray adds to the path of its workers.
        "added": [cwd, str(Path(sys.argv[0]).resolve().parent)],
    }


def make_probe() -> Callable[[str, str], bool]:
    """A function that tells whether the file at a path holds a text; sent to a node by value."""

    def probe(path: str, text: str) -> bool:
        try:
            return Path(path).read_text() == text
        except OSError:
            return False

    return probe


def make_worker() -> type:
    """The class of the actors. A class inside a function is pickled by value, and so is what it refers to."""
    digest = make_digest()

    def use_package(code: Code) -> str | None:
        """Imports the driver's package, wherever this worker was started; returns what is wrong."""
        import importlib
        import importlib.util
        import os
        import sys

        def inside(path: str) -> bool:
            return any(path == p or path.startswith(p + os.sep) for p in code["prefixes"])

        theirs: list[str] = code["path"]
        unwanted = set(code["added"]) - set(theirs)
        own = [p for p in sys.path if p not in unwanted and p not in theirs]
        kept = [p for p in sys.path if p in theirs and inside(p)]
        users = [p for p in theirs if not inside(p)]
        sys.path[:] = list(dict.fromkeys([*users, *kept, *own, *theirs]))
        if Path(code["cwd"]).is_dir():
            os.chdir(code["cwd"])
        os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
        for name in [m for m in sys.modules if m == "dolma_pipeline" or m.startswith("dolma_pipeline.")]:
            del sys.modules[name]
        start = Path(code["package"], "__init__.py")
        try:
            if start.is_file():
                spec = importlib.util.spec_from_file_location(
                    "dolma_pipeline", start, submodule_search_locations=[code["package"]]
                )
                if spec is None or spec.loader is None:
                    return f"cannot import {start}"
                package = importlib.util.module_from_spec(spec)
                sys.modules["dolma_pipeline"] = package
                spec.loader.exec_module(package)
            else:
                package = importlib.import_module("dolma_pipeline")
            importlib.import_module("dolma_pipeline.executors.answer")
        except Exception as error:
            return (
                f"expected dolma_pipeline {code['version']} as in {code['package']}, but importing it failed: "
                f"{type(error).__name__}: {error}"
            )
        place = str(Path(package.__file__ or start).resolve().parent)
        if code["digest"] is not None and digest(place) != code["digest"]:
            return (
                f"expected dolma_pipeline {code['version']} as in {code['package']}, found another one in {place}; "
                "install the same version on every node"
            )
        return None

    class Worker:
        """Executes tasks one after another in a process of its own."""

        def __init__(self, code: Code) -> None:
            self._code = code
            self._context: Any = None

        def ready(self) -> tuple[str, str | None]:
            """Returns the name of the node, and what keeps this worker from working."""
            import platform

            name, problem = platform.node(), use_package(self._code)
            if problem is None:
                from dolma_pipeline.engine.task import Context

                self._context = Context()
            return name, problem

        def execute(self, encoded: bytes) -> bytes:
            from dolma_pipeline.executors.answer import perform

            return perform(encoded, self._context)

    return Worker
