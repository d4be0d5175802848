"""A YAML or JSON file as plain data, with the line of every key.

The dialect is YAML 1.1 without its surprises: `1e-6` is a number, `1:30`, `2024-01-01` and `010` are strings, keys are
always strings (`no: 0.5` names Norway), and a key that stands twice is an error instead of a silent last one wins.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from msgspec import Struct

from dolma_pipeline.errors import ConfigError
from dolma_pipeline.io import fs
from dolma_pipeline.io.remote import read_remote_text

Step = str | int
"""A key or an index on the way to a value."""

PACKAGES = {"s3": "s3", "s3a": "s3", "gs": "gcs", "azure": "azure", "http": "http", "https": "http"}
"""Extras of smart-open that bring what a scheme needs."""
MAX_DEPTH = 100
MAX_REPEATED = 100_000
"""Most values that aliases or references may repeat: nine lines of nine aliases each would be 387 million."""
_INT = re.compile(r"^[-+]?(?:0|[1-9][0-9_]*|0x[0-9a-fA-F][0-9a-fA-F_]*|0o[0-7][0-7_]*|0b[01][01_]*)$")
_FLOAT = re.compile(
    r"^[-+]?(?:(?:\d[\d_]*)?\.\d[\d_]*|\d[\d_]*\.|\d[\d_]*(?=e))(?:e[-+]?\d+)?$", re.ASCII | re.IGNORECASE
)
_SPECIAL = re.compile(r"^(?:[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$")
_TRUE = frozenset({"true", "True", "TRUE", "yes", "Yes", "YES", "on", "On", "ON"})
_FALSE = frozenset({"false", "False", "FALSE", "no", "No", "NO", "off", "Off", "OFF"})
_NULL = frozenset({"", "~", "null", "Null", "NULL"})


_NAME = re.compile(r"^[\w-]+$")
_STEP = re.compile(r'\.([\w-]+)|\[(\d+)\]|\[("(?:[^"\\]|\\.)*")\]')
_TYPED_STEP = re.compile(r"(?:^|\.)([^.\[\]]+)|\[(\d+)\]")
_PLAIN = "plain"
"""The tag of every scalar without quotes: what it means is up to `plain_value`."""


def json_path(path: Sequence[Step]) -> str:
    """`$.stages[1].tag`, as every message about a value calls it."""
    steps = (f"[{s}]" if isinstance(s, int) else f".{s}" if _NAME.match(s) else f"[{json.dumps(s)}]" for s in path)
    return "$" + "".join(steps)


def leading_path(text: str) -> tuple[tuple[Step, ...], str]:
    """The steps of the `$.path` that a message begins with, and what follows them; no steps where it does not."""
    steps: list[Step] = []
    position = 1
    while text.startswith("$") and (match := _STEP.match(text, position)) is not None:
        name, index, quoted = match.groups()
        steps.append(int(index) if index is not None else name if name is not None else json.loads(quoted))
        position = match.end()
    return tuple(steps), text[position:]


def parse_path(name: str) -> tuple[Step, ...]:
    """The steps of `a.b[0].c`, as it is typed; none if it is not of that form."""
    steps: list[Step] = []
    position = 0
    while position < len(name):
        match = _TYPED_STEP.match(name, position)
        if match is None:
            return ()
        steps.append(match[1] if match[1] is not None else int(match[2]))
        position = match.end()
    return tuple(steps)


class File(Struct, frozen=True):
    """A parsed file: its name as the user gave it, its data, and where its keys stand."""

    name: str
    data: Any
    root: Any = None
    """The YAML node of the whole, or None where lines are not known."""

    def where(self, path: Sequence[Step]) -> str:
        """`recipe.yaml:12`: the line of the key at `path`, or of the nearest one above that is in the file."""
        line = self._line(path)
        return self.name if line is None else f"{self.name}:{line}"

    def holds(self, path: Sequence[Step]) -> bool:
        """Whether the file itself has something at `path`."""
        value = self.data
        for step in path:
            inside = isinstance(value, list) and isinstance(step, int) and step < len(value)
            if not inside and not (isinstance(value, dict) and step in value):
                return False
            value = value[step]
        return True

    def _line(self, path: Sequence[Step]) -> int | None:
        node, line = self.root, None
        for step in path:
            if isinstance(node, yaml.MappingNode):
                found = next((pair for pair in node.value if pair[0].value == step), None)
            elif isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
                found = (node.value[step], node.value[step])
            else:
                found = None
            if found is None:
                break
            line, node = found[0].start_mark.line + 1, found[1]
        return line


def merge(below: Any, above: Any) -> Any:
    """`above` over `below`: mappings key by key, anything else whole."""
    if isinstance(below, dict) and isinstance(above, dict):
        return {**below, **{key: merge(below.get(key), value) for key, value in above.items()}}
    return above


def parse(text: str, name: str) -> File:
    """The one document in `text`; raises ConfigError with line and column for anything else."""
    if name.endswith(".json"):
        return File(name, _parse_json(text, name))
    try:
        root = yaml.compose(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f":{mark.line + 1}:{mark.column + 1}" if mark is not None else ""
        what = ", ".join(part for part in (error.context, error.problem) if part)
        raise ConfigError(f"{name}{place}: not YAML: {what}") from None
    except yaml.YAMLError as error:
        raise ConfigError(f"{name}: not YAML: {' '.join(str(error).split())}") from None
    except RecursionError:
        raise ConfigError(f"{name}: expected at most {MAX_DEPTH} levels of nesting, found more") from None
    try:
        data = None if root is None else _Builder(name).build(root, ())
    except RecursionError:
        raise ConfigError(f"{name}: expected at most {MAX_DEPTH} levels of nesting, found more") from None
    repeated = repeated_values(data)
    if repeated > MAX_REPEATED:
        raise ConfigError(
            f"{name}: expected aliases that repeat at most {MAX_REPEATED:,d} values, found {repeated:,d}; write out "
            f"what is wanted"
        )
    return File(name, data, root)


def parse_value(text: str, name: str = "value") -> Any:
    """The value that `text` would have in a file: `3` a number, `[a, b]` a list, `` an empty string."""
    return parse(text, name).data if text.strip() else text


def read(location: str) -> File:
    """Reads and parses a file, local or remote (`s3://`, `https://`)."""
    try:
        if "://" in location:
            text = read_remote_text(location)
        else:
            text = fs.read_text(Path(location).expanduser())
    except FileNotFoundError:
        raise ConfigError(f"{location}: expected a YAML or JSON file, found none{_nearby(location)}") from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"{location}: expected UTF-8 text, found other bytes at offset {error.start}") from None
    except ImportError:
        raise ConfigError(f"{location}: could not be read: {missing_packages(location)}") from None
    except (OSError, NotImplementedError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ConfigError(f"{location}: could not be read: {reason}") from None
    return parse(text, location)


def missing_packages(url: str) -> str:
    """Returns what to say where the packages that read `url` are not installed."""
    scheme = url.partition("://")[0]
    return (
        f"the packages for `{scheme}://` are not installed; `pip install 'smart-open[{PACKAGES.get(scheme, 'all')}]'` "
        f"brings them, or copy the file here"
    )


def _nearby(location: str) -> str:
    directory = Path(location).expanduser().parent
    if not fs.is_directory(directory):
        return f"; the directory {directory} is not there either"
    names = sorted(p.name for p in fs.list_directory(directory) if p.suffix in (".yaml", ".yml", ".json"))
    return f"; in {directory} there are {', '.join(names[:8])}" if names else ""


def _parse_json(text: str, name: str) -> Any:
    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key, value in pairs:
            if key in found:
                raise ConfigError(f"{name}: the key `{key}` stands twice in one object; leave one")
            found[key] = value
        return found

    try:
        return json.loads(text, object_pairs_hook=unique)
    except json.JSONDecodeError as error:
        raise ConfigError(f"{name}:{error.lineno}:{error.colno}: not JSON: {error.msg}") from None
    except RecursionError:
        raise ConfigError(f"{name}: expected at most {MAX_DEPTH} levels of nesting, found more") from None


def repeated_values(data: Any) -> int:
    """Returns how many more values `data` has when each shared list and mapping is counted wherever it stands."""
    sizes: dict[int, int] = {}
    once = 0

    def size(value: Any) -> int:
        nonlocal once
        if not isinstance(value, (dict, list)):
            return 1
        if id(value) not in sizes:
            items = value.values() if isinstance(value, dict) else value
            once += 1 + sum(not isinstance(item, (dict, list)) for item in items)
            sizes[id(value)] = 1 + sum(map(size, items))
        return sizes[id(value)]

    whole = size(data)
    return whole - max(once, 1)


def plain_value(text: str) -> Any:
    """What a scalar without quotes means."""
    if text in _NULL:
        return None
    if text in _TRUE or text in _FALSE:
        return text in _TRUE
    if _INT.match(text):
        return int(text.replace("_", ""), 0)
    if _FLOAT.match(text):
        return float(text.replace("_", ""))
    if _SPECIAL.match(text):
        return float(text.replace(".", "").lower())
    return text


class _Loader(yaml.SafeLoader):
    """YAML's syntax alone: it decides nothing about types."""

    yaml_implicit_resolvers = {None: [(_PLAIN, re.compile(""))]}  # noqa: RUF012


class _Builder:
    """Plain data from YAML nodes; a node that aliases share is built once."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._built: dict[int, Any] = {}
        self._merged = 0
        """Number of keys that `<<` has brought in."""
        self._open: set[int] = set()

    def build(self, node: Any, path: tuple[Step, ...]) -> Any:
        if id(node) in self._built:
            return self._built[id(node)]
        if id(node) in self._open:
            raise self._error(node, "an alias that holds itself; leave it out")
        if len(path) > MAX_DEPTH:
            raise self._error(node, f"more than {MAX_DEPTH} levels of nesting")
        self._open.add(id(node))
        if isinstance(node, yaml.MappingNode):
            value: Any = self._mapping(node, path)
        elif isinstance(node, yaml.SequenceNode):
            self._check_tag(node, "seq")
            value = [self.build(item, (*path, i)) for i, item in enumerate(node.value)]
        else:
            value = self._scalar(node)
        self._open.discard(id(node))
        self._built[id(node)] = value
        return value

    def _mapping(self, node: Any, path: tuple[Step, ...]) -> dict[str, Any]:
        self._check_tag(node, "map")
        own: dict[str, Any] = {}
        lines: dict[str, int] = {}
        merged: dict[str, Any] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                raise self._error(key_node, "a key that is a list or a mapping; keys are strings")
            key = key_node.value
            if key == "<<" and key_node.tag == _PLAIN:
                merged = {**self._merge(value_node, path), **merged}
                continue
            line = key_node.start_mark.line + 1
            if key in own:
                raise self._error(key_node, f"the key `{key}` a second time (first in line {lines[key]}); leave one")
            lines[key] = line
            own[key] = self.build(value_node, (*path, key))
        return {**merged, **own}

    def _merge(self, node: Any, path: tuple[Step, ...]) -> dict[str, Any]:
        """What `<<: *a` or `<<: [*a, *b]` brings in; of two the first counts."""
        parts = node.value if isinstance(node, yaml.SequenceNode) else [node]
        built = [self.build(part, (*path, "<<")) for part in parts]
        if not all(isinstance(part, dict) for part in built):
            raise self._error(node, "`<<` with something else than mappings to merge")
        self._merged += sum(map(len, built))
        if self._merged > MAX_REPEATED:
            raise self._error(node, f"`<<` that merges more than {MAX_REPEATED:,d} keys; write out what is wanted")
        return functools.reduce(lambda later, earlier: {**later, **earlier}, reversed(built), {})

    def _scalar(self, node: Any) -> Any:
        if node.tag == _PLAIN:
            return plain_value(node.value)
        self._check_tag(node, "str")
        return node.value

    def _check_tag(self, node: Any, kind: str) -> None:
        if node.tag != f"tag:yaml.org,2002:{kind}":
            raise self._error(node, f"the tag `{node.tag}`; tags have no meaning here")

    def _error(self, node: Any, found: str) -> ConfigError:
        return ConfigError(f"{self._name}:{node.start_mark.line + 1}: found {found}")
