r"""Interpolation in configurations, in the syntax of OmegaConf.

    ${a.b[0].c}  ${.sibling}  ${..aunt}     the value at another place of the same configuration
    ${oc.env:NAME}  ${oc.env:NAME,default}  an environment variable
    ${oc.select:a.b,default}                the value at another place if there is one
    ${oc.decode:TEXT}  ${oc.create:TEXT}    TEXT as a YAML value
    ${oc.dict.keys:a.b}  ${oc.dict.values:a.b}  the keys, or the values, of the mapping at another place, as a list
    ${oc.deprecated:a.b}                    the value at another place, with a note that this key is deprecated
    ${d.glob:PATTERN}                       the files that match, as a list; none is an error
    ${d.processes:N}                        max(1, CPUs - N)
    ${d.cache:URL}                          a local copy of the file at URL, downloaded once

They nest, and stand alone (the value keeps its type) or within a longer string. `\${` is a literal `${`; inside,
quotes or a backslash protect `,` and `}`.
"""

from __future__ import annotations

import hashlib
import os
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from dolma_pipeline.config.yaml_file import (
    MAX_REPEATED,
    Step,
    json_path,
    missing_packages,
    parse_value,
    repeated_values,
)
from dolma_pipeline.errors import ConfigError, suggest, unknown
from dolma_pipeline.io import fs
from dolma_pipeline.io.files import find_files
from dolma_pipeline.io.remote import download
from dolma_pipeline.secrets import remember

Where = Callable[[Sequence[Step]], str]
MAX_DEPTH = 50
"""Maximum depth of interpolations within each other."""
MAX_CHAIN = 120
"""The most containers and references that lead to a value: above what a file may nest, below what Python bears."""
MAX_TEXT = 1 << 20
"""Most characters of a string that interpolations make."""
_MISSING = object()
_STEP = re.compile(r"\[(\d+)\]|([^.\[\]]+)|\.")
_OPENING = re.compile(r"(\\*)\$\{")


class Text(str):
    """A string that an interpolation made: where a number is wanted it is read as one, as OmegaConf does."""

    __slots__ = ()


def resolve(data: Any, defaults: Any = None, where: Where = json_path) -> Any:
    """A copy of `data` with every interpolation replaced by its value.

    A reference to what `data` does not hold finds it in `defaults`. Raises ConfigError, which begins with
    `where(path)`, for an unknown resolver or place, an unset variable, a pattern that matches nothing and a cycle.
    """
    resolved = _Resolution(data, defaults, where).at(())
    repeated = repeated_values(resolved)
    if repeated > MAX_REPEATED:
        raise ConfigError(
            f"{where(())}: expected references that repeat at most {MAX_REPEATED:,d} values, found {repeated:,d}; "
            f"write out what is wanted"
        )
    return resolved


class _Resolution:
    def __init__(self, data: Any, defaults: Any, where: Where) -> None:
        self._data = data
        self._defaults = defaults
        self._where = where
        self._done: dict[tuple[Step, ...], Any] = {}
        self._open: list[tuple[Step, ...]] = []

    def at(self, path: tuple[Step, ...], raw: Any = _MISSING) -> Any:
        """The value at `path` with all that is in it resolved."""
        if path in self._done:
            return self._done[path]
        if path in self._open:
            chain = " -> ".join(json_path(p) for p in [*self._open[self._open.index(path) :], path])
            raise self._error(path, f"expected a value, found a reference to itself: {chain}")
        if len(self._open) > MAX_CHAIN:
            raise self._error(path, f"expected at most {MAX_CHAIN} references in a row, found more")
        value = _walk(self._data, path) if raw is _MISSING else raw
        self._open.append(path)
        if isinstance(value, str):
            value = self._string(value, path)
        elif isinstance(value, dict):
            value = {key: self.at((*path, key), item) for key, item in value.items()}
        elif isinstance(value, list):
            value = [self.at((*path, i), item) for i, item in enumerate(value)]
        self._open.pop()
        self._done[path] = value
        return value

    def _string(self, text: str, path: tuple[Step, ...]) -> Any:
        parts: list[Any] = []
        position = 0
        while (opening := _OPENING.search(text, position)) is not None:
            slashes = len(opening[1])
            parts.append(text[position : opening.start()] + "\\" * (slashes // 2))
            if slashes % 2:
                parts.append("${")
                position = opening.end()
            else:
                value, position = self._interpolation(text, opening.end(), path, 0)
                parts.append(value)
        if not parts:
            return text
        parts.append(text[position:])
        return self._join(parts, path)

    def _interpolation(self, text: str, position: int, path: tuple[Step, ...], depth: int) -> tuple[Any, int]:
        """The value of what begins behind `${`, and the position behind its `}`."""
        if depth > MAX_DEPTH:
            raise self._error(path, f"expected at most {MAX_DEPTH} interpolations within each other, found more")
        head: str | None = None
        arguments: list[list[Any]] = [[]]
        while position < len(text):
            char = text[position]
            if text.startswith("${", position):
                value, position = self._interpolation(text, position + 2, path, depth + 1)
                arguments[-1].append(value)
                continue
            if char == "}":
                values = [self._join(_strip(parts), path) for parts in arguments]
                if head is None:
                    return self._reference(str(values[0]), path), position + 1
                return self._call(head, values, path), position + 1
            if char == "\\" and text[position + 1 : position + 2] in tuple("\\,:}'\""):
                arguments[-1].append(_Quoted(text[position + 1]))
                position += 2
                continue
            if char in "'\"" and not any(str(p).strip() for p in arguments[-1]):
                end = text.find(char, position + 1)
                if end < 0:
                    break
                arguments[-1].append(_Quoted(text[position + 1 : end]))
                position = end + 1
                continue
            if char == ":" and head is None:
                head = str(self._join(_strip(arguments[0]), path))
                arguments = [[]]
            elif char == "," and head is not None:
                arguments.append([])
            else:
                arguments[-1].append(char)
            position += 1
        raise self._error(path, f"expected `}}` for every `${{`, found none in `{text}`; `\\${{` is a literal `${{`")

    def _join(self, parts: list[Any], path: tuple[Step, ...]) -> Any:
        """One value alone keeps its type; several are one string."""
        kept = [p for p in parts if not (isinstance(p, str) and p == "")]
        if len(kept) == 1 and not isinstance(kept[0], str):
            return kept[0]
        for part in kept:
            if isinstance(part, (dict, list)):
                kind = "a list" if isinstance(part, list) else "a mapping"
                raise self._error(path, f"expected a plain value within a string, found {kind}")
        length = sum(len(p) for p in kept if isinstance(p, str))
        if length > MAX_TEXT:
            raise self._error(
                path, f"expected interpolations that make at most {MAX_TEXT:,d} characters, found {length:,d}"
            )
        return Text("".join(_plain(p) for p in kept))

    def _reference(self, name: str, path: tuple[Step, ...]) -> Any:
        value = self._lookup(name, path)
        if value is _MISSING:
            raise self._error(path, f"expected a value at `{name}`, found none{self._close(name)}")
        return value

    def _lookup(self, name: str, path: tuple[Step, ...]) -> Any:
        target = self._target(name, path)
        value = self._data
        for i, step in enumerate(target):
            if isinstance(value, str):  # itself an interpolation, of something larger
                resolved = _walk(self.at(target[:i]), target[i:])
                return resolved if resolved is not _MISSING else _walk(self._defaults, target)
            value = _walk(value, (step,))
            if value is _MISSING:
                return _walk(self._defaults, target)
        return self.at(target)

    def _target(self, name: str, path: tuple[Step, ...]) -> tuple[Step, ...]:
        """`a.b[0]` from the top; `.a` beside the value at `path`, and each further dot one level up."""
        dots = len(name) - len(name.lstrip("."))
        if dots > len(path):
            raise self._error(path, f"expected at most {len(path)} dots before a relative reference, found `{name}`")
        steps: list[Step] = list(path[: len(path) - dots]) if dots else []
        for match in _STEP.finditer(name[dots:]):
            if match[1] is not None:
                steps.append(int(match[1]))
            elif match[2] is not None:
                steps.append(match[2].strip())
        return tuple(steps)

    def _close(self, name: str) -> str:
        keys = list(self._data) if isinstance(self._data, dict) else []
        return suggest(name, keys)

    def _call(self, name: str, values: list[Any], path: tuple[Step, ...]) -> Any:
        if name == "oc.select":
            value = self._lookup(str(values[0]), path)
            return value if value is not _MISSING else values[1] if len(values) > 1 else None
        if name in ("oc.dict.keys", "oc.dict.values"):
            found = self._reference(str(values[0]), path)
            if not isinstance(found, dict):
                raise self._error(path, f"expected a mapping at `{values[0]}`, found `{_plain(found)}`")
            return list(found) if name == "oc.dict.keys" else list(found.values())
        if name == "oc.deprecated":
            print(f"dolma: note: {self._where(path)} is deprecated; set `{values[0]}` instead", file=sys.stderr)
            return self._reference(str(values[0]), path)
        function = RESOLVERS.get(name)
        if function is None:
            known = [*RESOLVERS, "oc.select", "oc.dict.keys", "oc.dict.values", "oc.deprecated"]
            raise self._error(path, unknown("resolver", name, known))
        return function(values, self._where(path))

    def _error(self, path: Sequence[Step], text: str) -> ConfigError:
        return ConfigError(f"{self._where(path)}: {text}")


class _Quoted(str):
    """Text that is not stripped."""

    __slots__ = ()


def _strip(parts: list[Any]) -> list[Any]:
    """Without the white space at both ends that no quotes protect."""
    kept = list(parts)
    for end in (0, -1):
        while (
            kept and isinstance(kept[end], str) and not isinstance(kept[end], (_Quoted, Text)) and kept[end].isspace()
        ):
            kept.pop(end)
    return kept


def _plain(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return str(value)


def _walk(value: Any, path: Sequence[Step]) -> Any:
    for step in path:
        if isinstance(value, list):
            if isinstance(step, str) and step.isdecimal():
                step = int(step)
            if not isinstance(step, int) or step >= len(value):
                return _MISSING
            value = value[step]
        elif isinstance(value, dict) and step in value:
            value = value[step]
        else:
            return _MISSING
    return value


def _one(values: list[Any]) -> str:
    """Commas are part of a pattern or a URL."""
    return ",".join(str(v) for v in values)


def _env(values: list[Any], where: str) -> Any:
    name = str(values[0])
    if name in os.environ:
        remember(name)
        return Text(os.environ[name])
    if len(values) > 1:
        default = values[1] if len(values) == 2 else _one(values[1:])
        return None if default == "null" else default
    raise ConfigError(
        f"{where}: expected the environment variable `{name}`, found it unset; "
        f"export it, or give a default: `${{oc.env:{name},default}}`"
    )


def _decode(values: list[Any], where: str) -> Any:
    return parse_value(_one(values))


def _create(values: list[Any], where: str) -> Any:
    """What is a mapping or a list already stays one."""
    return values[0] if len(values) == 1 and not isinstance(values[0], str) else parse_value(_one(values))


def _glob(values: list[Any], where: str) -> list[str]:
    return [str(path) for path in find_files(_one(values), where)]


def _processes(values: list[Any], where: str) -> int:
    text = _one(values).strip() or "0"
    if not re.fullmatch(r"\d+", text):
        raise ConfigError(
            f"{where}: expected a number of CPUs to leave free, found `{text}`, as in `${{d.processes:2}}`"
        )
    return max(1, (os.cpu_count() or 1) - int(text))


def _cache(values: list[Any], where: str) -> str:
    url = _one(values)
    if "://" not in url:
        if not fs.exists(Path(url).expanduser()):
            raise ConfigError(f"{where}: expected a URL or a local file to cache, found no `{url}`")
        return url
    path = cache_directory() / f"{hashlib.blake2b(url.encode(), digest_size=8).hexdigest()}-{_file_name(url)}"
    if fs.exists(path):
        return str(path)
    try:
        download(url, path)
    except ImportError:
        raise ConfigError(f"{where}: could not download {url}: {missing_packages(url)}") from None
    # Each transport has its own exceptions, and none of them is a fault of this program.
    except Exception as error:
        reason = " ".join(str(error).split())
        raise ConfigError(f"{where}: could not download {url}: {type(error).__name__}: {reason}") from error
    return str(path)


def cache_directory() -> Path:
    """Where `${d.cache:}` keeps files: $DOLMA_CACHE, else `dolma_pipeline` in the user's cache directory."""
    chosen = os.environ.get("DOLMA_CACHE")
    if chosen:
        return Path(chosen)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "dolma_pipeline"


def _file_name(url: str) -> str:
    """The last part of a URL's path: extensions say how a file is compressed."""
    name = re.split(r"[?#]", url)[0].rstrip("/").rsplit("/", 1)[-1]
    return re.sub(r"[^\w.-]", "_", name)[-100:] or "file"


RESOLVERS: Mapping[str, Callable[[list[Any], str], Any]] = {
    "d.cache": _cache,
    "d.glob": _glob,
    "d.processes": _processes,
    "oc.create": _create,
    "oc.decode": _decode,
    "oc.env": _env,
}
