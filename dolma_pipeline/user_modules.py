"""Modules of users: imported by their dotted name, the path of a `.py` file, or the directory of a package.

A module that a task calls is named `SOURCE@DIGEST`: how the recipe names it, and a digest of its content. A worker
imports it by that name, and a task whose module has changed is done again.
"""

from __future__ import annotations

import functools
import hashlib
import importlib
import importlib.util
import re
import sys
import traceback
from pathlib import Path
from types import FrameType, ModuleType

from dolma_pipeline.errors import ConfigError, StageError
from dolma_pipeline.io import fs

_imported: set[str] = set()
"""The names of modules of users that this process has imported; of a module in a package, that of the package."""
_ORIGIN = re.compile(r"(?P<source>.+)@(?P<digest>[0-9a-f]{16})(/(?P<module>[\w.]+))?")


def import_module(module: str, where: str, *, kind: str = "tagger", renewed: bool = False) -> ModuleType:
    """The module called `module`; `where` is how a message begins, and `kind` is in the name of a file's module.

    A file is imported once, or with `renewed` once for each of its contents. Raises ConfigError if it cannot be.
    """
    try:
        if module.endswith(".py"):
            return _noted(_import_file(Path(module), kind, renewed))
        return _noted(_import_package(Path(module)) if _is_directory(module) else importlib.import_module(module))
    except ConfigError as error:
        raise ConfigError(f"{where}{error}") from None
    except FileNotFoundError as error:
        if module.endswith(".py") and not fs.is_file(module):
            raise ConfigError(
                f"{where}expected a module name, a .py file or the directory of a package, found no file `{module}`"
            ) from None
        raise ConfigError(f"{where}importing `{module}` failed: FileNotFoundError: {error}") from error
    except Exception as error:
        raise ConfigError(f"{where}importing `{module}` failed: {type(error).__name__}: {error}") from error


def _noted(module: ModuleType) -> ModuleType:
    _imported.add(module.__name__.partition(".")[0])
    return module


def innermost(error: BaseException) -> tuple[FrameType, int] | None:
    """The last call, and the line in it, in a module of a user that an exception came by; None if it came by none."""
    found = None
    for frame, line in traceback.walk_tb(error.__traceback__):
        name = str(frame.f_globals.get("__name__")).partition(".")[0]
        if name in _imported and name != "dolma_pipeline":
            found = (frame, line)
    return found


def files_of(module: ModuleType) -> list[Path]:
    """The source of a module; of a package all its modules, any of which it may use."""
    if module.__file__ is None:
        return []
    file = Path(module.__file__)
    return fs.find(file.parent, "**/*.py") if file.name == "__init__.py" else [file]


def origin(source: str, module: ModuleType) -> str:
    """`SOURCE@DIGEST`; the digest is of the package that the module is in, if it is in one."""
    whole = sys.modules.get(module.__name__.partition(".")[0], module)
    digest = hashlib.blake2b(digest_size=8)
    for file in files_of(whole):
        content = fs.read_bytes(file)
        digest.update(f"{file.name}\0{len(content)}\0".encode() + content)
    return f"{source}@{digest.hexdigest()}"


def load(name: str) -> ModuleType:
    """The module that a task names: `package.module`, or `SOURCE@DIGEST`, with `/package.module` for another of its."""
    found = _ORIGIN.fullmatch(name)
    return importlib.import_module(name) if found is None else _load_origin(found["source"], name)


@functools.lru_cache(maxsize=64)
def _load_origin(source: str, name: str) -> ModuleType:
    module = import_module(source, "", kind="stage", renewed=True)
    expected, _, other = name.removeprefix(source).partition("/")
    if origin("", module) != expected:
        raise StageError(f"{source}: expected the module as it was when the run began, found it changed; run again")
    return _noted(importlib.import_module(other)) if other else module


def _is_directory(module: str) -> bool:
    """Whether a name is that of a directory, and not of a module that can be imported, which goes first as in Dolma."""
    if not fs.is_directory(module):
        return False
    return "/" in module or importlib.util.find_spec(module) is None


def _import_package(path: Path) -> ModuleType:
    """The package in the directory `path`, under the name of that directory, so that it can import its own modules."""
    resolved = fs.resolve(path)
    if not fs.is_file(resolved / "__init__.py"):
        raise ConfigError(f"expected a Python package, found the directory `{path}` without a file `__init__.py`")
    name = resolved.name
    if not name.isidentifier():
        raise ConfigError(f"expected a directory with a name that Python can import, found `{path}`; rename it")
    known = sys.modules.get(name)
    if known is None:
        sys.path.insert(0, str(resolved.parent))
        try:
            known = importlib.import_module(name)
        finally:
            sys.path.remove(str(resolved.parent))
    if str(resolved) not in [str(fs.resolve(p)) for p in getattr(known, "__path__", ())]:
        raise ConfigError(
            f"expected a package with a name of its own at `{path}`, found another module `{name}`, of "
            f"{known.__file__ or 'Python itself'}; rename the directory"
        )
    return known


def _import_file(path: Path, kind: str, renewed: bool) -> ModuleType:
    """Imported once, under a name that its place makes unique: two projects may both have a `taggers.py`."""
    resolved = fs.resolve(path, strict=True)
    content = fs.read_bytes(resolved) if renewed else b""
    digest = hashlib.sha256(str(resolved).encode() + content).hexdigest()[:12]
    name = f"_dolma_{kind}_module_{resolved.stem}_{digest}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, resolved)
    if spec is None or spec.loader is None:
        raise ConfigError(f"expected a Python module, found `{path}`")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module
