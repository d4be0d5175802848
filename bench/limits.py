"""What one core can do at best with the same bytes: the distance a stage still has to go."""

from __future__ import annotations

import gzip
import time
import zlib
from collections.abc import Callable
from pathlib import Path

import msgspec
import zstandard


class Document(msgspec.Struct):
    id: str
    text: str


def limits(files: list[Path]) -> dict[str, float]:
    """MB of decompressed lines per CPU second, by operation."""
    packed = [f.read_bytes() for f in files]
    lines = [gzip.decompress(p) for p in packed]
    size = sum(len(p) for p in lines) / 1e6
    frames = [zstandard.compress(p, 3) for p in lines]
    decoder = msgspec.json.Decoder(Document)
    operations: dict[str, Callable[[], object]] = {
        "gunzip": lambda: [gzip.decompress(p) for p in packed],
        "unzstd": lambda: [zstandard.decompress(p) for p in frames],
        "typed msgspec decode": lambda: [decoder.decode_lines(p) for p in lines],
        "zstd-3 write": lambda: [zstandard.compress(p, 3) for p in lines],
        "gzip-6 write": lambda: [zlib.compress(p, 6) for p in lines],
    }
    found = {}
    for name, operation in operations.items():
        started = time.process_time()
        operation()
        found[name] = size / (time.process_time() - started)
    return found
