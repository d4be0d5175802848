"""What every writer needs: a temporary name that fits, the bytes of an array, and the file's name in an error of the
disk."""

from __future__ import annotations

import contextlib
import errno
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from typing_extensions import Buffer

TEMPORARY = re.compile(r"^\.(.+)\.tmp-\d+$")
"""What a file is called until it is whole: `.NAME.tmp-PID`, or `.NAME.STEP.tmp-PID`."""
LONGEST_STEM = 230
"""Bytes of the longest name that a temporary name repeats in full: file systems allow 255."""
DISK = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS})
"""Errors that only writing meets: the disk, a quota or the size allowed is used up, or the file system is read-only."""


def temporary_stem(name: str) -> str:
    """Returns `name` as its temporary name repeats it: a long one is cut, and ends in a hash of the whole."""
    data = os.fsencode(name)
    if len(data) <= LONGEST_STEM:
        return name
    # FNV-1a, which the native writers compute too (writer.rs).
    value = 0xCBF29CE484222325
    for byte in data:
        value = (value ^ byte) * 0x100000001B3 % 2**64
    head = LONGEST_STEM - 17
    while head > 0 and data[head] & 0xC0 == 0x80:
        head -= 1
    return f"{os.fsdecode(data[:head])}~{value:016x}"


def temporary_path(path: str | Path, step: str = "") -> Path:
    """Returns `.NAME.tmp-PID` beside `path`, where a file is written until it is whole; with a step
    `.NAME.STEP.tmp-PID`."""
    path = Path(path)
    middle = f".{step}" if step else ""
    return path.parent / f".{temporary_stem(path.name)}{middle}.tmp-{os.getpid()}"


@contextlib.contextmanager
def writing(path: str | Path) -> Iterator[None]:
    """Names `path` in the errors of the disk that come without a file, or with a temporary one.

    Python's own files name none once they are open, Arrow and numpy never do, and none says it in the system's words.
    """
    try:
        yield
    except OSError as error:
        name = error.filename
        if name is None:
            mine = error.errno in DISK or (error.errno is not None and temporary_stem(Path(path).name) in str(error))
        else:
            mine = TEMPORARY.match(Path(os.fsdecode(name)).name) is not None
        if not mine or error.errno is None:
            raise
        raise OSError(error.errno, os.strerror(error.errno), str(path)) from None


class Sink(Protocol):
    """Takes bytes: a file, or a draft of one."""

    def write(self, data: Buffer, /) -> int: ...


def write_array(file: Sink, array: Any) -> None:
    """Writes the bytes of a numpy array. Unlike `tofile` it raises the system's own error when the disk is full."""
    if array.size:
        file.write(memoryview(array).cast("B") if array.flags.c_contiguous else array.tobytes())
