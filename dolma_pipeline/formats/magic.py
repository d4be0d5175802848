"""Formats that the first bytes of a file give away."""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass


@dataclass(frozen=True)
class Foreign:
    """A format that is not read as documents."""

    name: str
    remedy: str
    """What the user can do, as the end of a sentence; FILE and OUT stand for names."""


def _unpack(name: str, command: str) -> Foreign:
    return Foreign(name, f"`{command}` unpacks it")


EXTRACT = "extract the text, and write it as JSON lines with `id` and `text`"
PARTS = "unpack it, and name the files in it"
UTF_16 = Foreign("UTF-16 text", "`iconv -f UTF-16 -t UTF-8 FILE` writes it as UTF-8")
UTF_16_LE = Foreign("UTF-16 text", "`iconv -f UTF-16LE -t UTF-8 FILE` writes it as UTF-8")
UTF_16_BE = Foreign("UTF-16 text", "`iconv -f UTF-16BE -t UTF-8 FILE` writes it as UTF-8")
UTF_32 = Foreign("UTF-32 text", "`iconv -f UTF-32 -t UTF-8 FILE` writes it as UTF-8")
ARROW_STREAM = Foreign(
    "an Arrow IPC stream",
    "`pyarrow.parquet.write_table(pyarrow.ipc.open_stream(FILE).read_all(), OUT)` writes it as Parquet",
)

MAGIC: tuple[tuple[bytes, Foreign], ...] = (
    (b"\x1f\x8b\x08", _unpack("gzip", "gzip -dc FILE")),
    (b"\x28\xb5\x2f\xfd", _unpack("zstd", "zstd -dc FILE")),
    (b"PAR1", Foreign("Parquet", "decompress it, and give it a name that ends in `.parquet`")),
    (b"\xfd7zXZ\x00", _unpack("xz", "xz -dc FILE")),
    (b"LZIP", _unpack("lzip", "lzip -dc FILE")),
    (b"\x04\x22\x4d\x18", _unpack("lz4", "lz4 -dc FILE")),
    (b"\xff\x06\x00\x00sNaPpY", Foreign("snappy", PARTS)),
    (b"\x1f\x9d", _unpack("compress (.Z)", "gzip -dc FILE")),
    (b"PK\x03\x04", Foreign("a zip archive", f"`unzip FILE` to {PARTS}")),
    (b"PK\x05\x06", Foreign("an empty zip archive", "leave it out")),
    (b"7z\xbc\xaf\x27\x1c", Foreign("a 7-Zip archive", f"`7z x FILE` to {PARTS}")),
    (b"Rar!\x1a\x07", Foreign("a RAR archive", PARTS)),
    (
        b"ARROW1",
        Foreign(
            "an Arrow IPC file (Feather)",
            "`pyarrow.parquet.write_table(pyarrow.feather.read_table(FILE), OUT)` writes it as Parquet",
        ),
    ),
    (
        b"FEA1",
        Foreign("Feather", "`pyarrow.parquet.write_table(pyarrow.feather.read_table(FILE), OUT)` writes Parquet"),
    ),
    (b"Obj\x01", Foreign("Avro", "`fastavro FILE` writes its records as JSON lines")),
    (b"SQLite format 3\x00", Foreign("an SQLite database", "`sqlite3 FILE` can write a table as JSON")),
    (b"\x89HDF\r\n\x1a\n", Foreign("HDF5", EXTRACT)),
    (b"\x93NUMPY", Foreign("a NumPy array", EXTRACT)),
    (b"\x80\x04\x95", Foreign("a Python pickle", EXTRACT)),
    (b"\x80\x05\x95", Foreign("a Python pickle", EXTRACT)),
    (b"WARC/", Foreign("WARC", EXTRACT)),
    (b"%PDF-", Foreign("PDF", EXTRACT)),
    (b"%!PS", Foreign("PostScript", EXTRACT)),
    (b"{\\rtf", Foreign("RTF", EXTRACT)),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", Foreign("an Office document", EXTRACT)),
    (b"\x89PNG\r\n", Foreign("an image", EXTRACT)),
    (b"\xff\xd8\xff", Foreign("an image", EXTRACT)),
    (b"version https://git-lfs.github.com/spec/", Foreign("a Git LFS pointer", "`git lfs pull` fetches the file")),
    (b"\xff\xfe\x00\x00", UTF_32),
    (b"\x00\x00\xfe\xff", UTF_32),
    (b"\xff\xfe", UTF_16),
    (b"\xfe\xff", UTF_16),
)
BZIP2 = re.compile(rb"BZh[1-9](?:1AY&SY|\x17rE8P\x90)")
ORC_START = re.compile(rb"ORC[^ -~]")


def by_magic(head: bytes) -> Foreign | None:
    """Returns the format that `head`, the first bytes of a file, belongs to."""
    for magic, found in MAGIC:
        if head.startswith(magic):
            return found
    if BZIP2.match(head):
        return _unpack("bzip2", "bzip2 -dc FILE")
    if ORC_START.match(head):
        return Foreign("ORC", "`pyarrow.parquet.write_table(pyarrow.orc.read_table(FILE), OUT)` writes it as Parquet")
    if head[257:262] == b"ustar":
        return Foreign("a tar archive", f"`tar -xf FILE` to {PARTS}")
    if head.startswith(b"\xff\xff\xff\xff") and len(head) > 8 and 0 < struct.unpack("<i", head[4:8])[0] < 1 << 24:
        return ARROW_STREAM
    return _wide_text(head[:16])


def _wide_text(start: bytes) -> Foreign | None:
    """UTF-16 or UTF-32 without a byte order mark: the other bytes of ASCII characters in it are zero."""
    if len(start) < 8:
        return None
    for place in (0, 3):
        if all((b != 0) == (i % 4 == place) for i, b in enumerate(start)):
            return UTF_32
    for zeros, others, found in ((start[1::2], start[::2], UTF_16_LE), (start[::2], start[1::2], UTF_16_BE)):
        if not any(zeros) and all(32 <= b < 127 or b in b"\t\r\n" for b in others):
            return found
    return None
