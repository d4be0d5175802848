"""Names of files: paths of this machine, and later `s3://bucket/key`. No name is looked up here."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TypeAlias

from dolma_pipeline.errors import ConfigError

Location: TypeAlias = "str | os.PathLike[str]"
"""What every function of this folder takes: a Url, a path as text, or a Path, which is always one of this machine."""
LOCAL = "file"
_SCHEME = re.compile(r"^([a-z][a-z0-9+.-]*)://")


class Url(str):
    """The name of a file or directory; pathlib would make `s3:/bucket` of `s3://bucket`, and this type does not."""

    __slots__ = ()

    @property
    def scheme(self) -> str:
        """`file` where none is written."""
        found = _SCHEME.match(self)
        return found[1] if found else LOCAL

    @property
    def _head(self) -> str:
        found = _SCHEME.match(self)
        return found[0] if found else ""

    @property
    def path(self) -> str:
        """The name without its scheme: a path, or bucket and key."""
        return str(self)[len(self._head) :]

    @property
    def name(self) -> str:
        return self.path.rstrip("/").rpartition("/")[2]

    @property
    def parent(self) -> Url:
        """The directory that holds it; a root and a bucket are their own."""
        path = self.path.rstrip("/")
        above, _, _ = path.rpartition("/")
        if self._head and self.scheme != LOCAL:
            return Url(self._head + (above or path))
        return Url(self._head + (above or ("/" if self.path.startswith("/") else ".")))

    @property
    def suffixes(self) -> list[str]:
        """The endings of the name: `.jsonl` and `.gz`."""
        return [f".{part}" for part in self.name.lstrip(".").split(".")[1:]]

    @property
    def suffix(self) -> str:
        return next(reversed(self.suffixes), "")

    def __truediv__(self, other: str) -> Url:
        if other.startswith("/") or _SCHEME.match(other):
            return Url(other)
        return Url(f"{self.rstrip('/')}/{other}" if self.path.strip("/") else f"{self}{other}")

    def with_name(self, name: str) -> Url:
        parent = self.parent
        return Url(name) if parent == "." else parent / name

    def relative_to(self, directory: str) -> str:
        """The way to it from a directory above; raises ValueError if that is none."""
        above = directory.rstrip("/") + "/"
        if not self.startswith(above):
            raise ValueError(f"{self}: expected a name below {directory}")
        return str(self)[len(above) :]

    def local(self) -> Path:
        """Returns it as a path of this machine, `~` spelled out.

        Raises ConfigError for a scheme without a backend and for a name that is not UTF-8.
        """
        check_name(self)
        if self.scheme != LOCAL:
            raise no_backend(self)
        return Path(self.path).expanduser()


def local(path: str) -> Path:
    """Returns `path` as a local one; see `Url.local`."""
    return Url(path).local()


def no_backend(url: Url) -> ConfigError:
    return ConfigError(f"{url}: expected a local path, found `{url.scheme}://`; copy the files here first")


def check_name(name: str, where: str = "") -> None:
    """Raises ConfigError for a name that is not UTF-8."""
    try:
        name.encode()
    except UnicodeEncodeError:
        shown = os.fsencode(name).decode(errors="backslashreplace")
        prefix = f"{where}: " if where else ""
        raise ConfigError(f"{prefix}expected a name in UTF-8, found {shown}; rename it") from None
