"""datatrove's token files: `X.ds`, ids of two or four bytes; `X.ds.index`, where each document ends (uint64, in
tokens); `X.ds.metadata`, three lines: `tokenizer|bytes of a token`, the tokens, and the tokens for people.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dolma_pipeline.errors import DataError
from dolma_pipeline.io import fs
from dolma_pipeline.io.cache import map_array

SIZES = {2: "uint16", 4: "uint32"}
PREFIXES = " kMGTPEZY"


def read_ends(path: str | Path) -> NDArray[np.unsignedinteger]:
    """The ends of the documents in a .ds.index, mapped into memory."""
    size = fs.stat(path).size
    if size % 8:
        raise DataError(f"{path}: expected 8 bytes for each document, found {size}: the file was cut")
    return map_array(path, "<u8") if size else np.empty(0, dtype="<u8")


def read_metadata(path: str | Path) -> tuple[str, str, int]:
    """(name of the tokenizer, dtype, tokens) of a .ds.metadata."""
    lines = fs.read_text(path, errors="replace").splitlines()
    name, _, size = lines[0].rpartition("|") if lines else ("", "", "")
    if len(lines) < 2 or not size.isdecimal() or int(size) not in SIZES or not lines[1].strip().isdecimal():
        raise DataError(
            f"{path}: expected `tokenizer|2` or `tokenizer|4` and a line with the tokens, found {lines[:2]}"
        )
    return name, SIZES[int(size)], int(lines[1])


def metadata(tokenizer: str, dtype: str, tokens: int) -> str:
    """The content of a .ds.metadata."""
    return f"{tokenizer}|{np.dtype(dtype).itemsize}\n{tokens}\n{for_people(tokens)}"


def for_people(tokens: int) -> str:
    """`1.23 GT`: three digits and a prefix, as datatrove shows it."""
    mantissa, _, exponent = f"{tokens:.2e}".partition("e")
    power = int(exponent)
    scaled = float(mantissa) * 10 ** (power % 3)
    return f"{scaled:.{2 - power % 3}f} {PREFIXES[power // 3].strip()}T"
