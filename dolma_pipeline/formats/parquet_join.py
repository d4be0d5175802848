"""Parquet files put one behind the other without decoding them.

The row groups are copied as they are, and the footers become one in which the places are moved. So joining costs what
copying costs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import IO, Any

from dolma_pipeline.errors import DataError
from dolma_pipeline.formats import thrift
from dolma_pipeline.formats.thrift import Field, Fields, Items
from dolma_pipeline.io import fs
from dolma_pipeline.io.atomic import COPIED, Output, publishing

MAGIC = b"PAR1"
SCHEMA, ROWS, GROUPS, KEY_VALUES = 2, 3, 4, 5
"""Fields of FileMetaData, as parquet.thrift numbers them; below those of RowGroup, ColumnChunk and ColumnMetaData."""
COLUMNS, GROUP_ROWS, GROUP_OFFSET, ORDINAL = 1, 3, 5, 7
CHUNK_OFFSET, META, OFFSET_INDEX, COLUMN_INDEX = 2, 3, 4, 6
PAGES = (9, 10, 11, 14)
"""Places of the data, index and dictionary pages, and of the Bloom filter."""
MOST_ORDINALS = 1 << 15


def join_parquet(parts: Sequence[str], path: str, metadata: Mapping[str, str]) -> Output | None:
    """Writes the rows of the files `parts`, of one schema, to `path`; None, and nothing, if their schemas differ.

    `metadata` takes the place of what the files say under its keys. Files without rows are left out. Raises DataError
    for a part that is no Parquet file.
    """
    footers = [read_footer(part) for part in parts]
    filled = [(part, *footer) for part, footer in zip(parts, footers, strict=True) if footer[0][ROWS].value > 0]
    filled = filled or [(part, *footer) for part, footer in zip(parts[:1], footers, strict=False)]
    joined = dict(filled[0][1])
    if any(
        footer[SCHEMA] != joined[SCHEMA] or _own(footer, metadata) != _own(joined, metadata) for _, footer, _ in filled
    ):
        return None
    groups: list[Fields] = []
    with publishing(path) as published:
        published.file.write(MAGIC)
        for part, footer, end in filled:
            moved_by = published.file.tell() - len(MAGIC)
            with fs.open_input(part) as file:
                file.seek(len(MAGIC))
                _copy(file, published.file, end - len(MAGIC))
            for group in footer[GROUPS].value.values:
                groups.append(_moved(group, moved_by, len(groups)))
        joined[ROWS] = Field(thrift.I64, sum(footer[ROWS].value for _, footer, _ in filled))
        joined[GROUPS] = Field(thrift.LIST, Items(thrift.STRUCT, groups))
        pairs = [*_own(joined, metadata), *((key.encode(), value.encode()) for key, value in metadata.items())]
        items = [{1: Field(thrift.BINARY, key), 2: Field(thrift.BINARY, value)} for key, value in pairs]
        joined[KEY_VALUES] = Field(thrift.LIST, Items(thrift.STRUCT, items))
        written = thrift.encode(dict(sorted(joined.items())))
        published.file.write(written + len(written).to_bytes(4, "little") + MAGIC)
    return published.output


def read_footer(path: str) -> tuple[Fields, int]:
    """The footer of a Parquet file, and the offset at which it begins. Raises DataError if the file has none."""
    with fs.open_input(path) as file:
        size = file.seek(0, 2)
        file.seek(max(0, size - 8))
        tail = file.read(8)
        begin = size - 8 - int.from_bytes(tail[:4], "little")
        if size < 12 or tail[4:] != MAGIC or begin < len(MAGIC):
            raise DataError(f"{path}: expected a Parquet file, which ends in `PAR1`, found `{tail[4:]!r}`")
        file.seek(begin)
        return thrift.decode(file.read(size - 8 - begin)), begin


def _own(footer: Fields, metadata: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
    """What a footer says under other keys than those of `metadata`."""
    found = footer[KEY_VALUES].value.values if KEY_VALUES in footer else []
    pairs = [(each[1].value, each[2].value if 2 in each else b"") for each in found]
    return [(key, value) for key, value in pairs if key.decode(errors="replace") not in metadata]


def _copy(file: IO[bytes], to: Any, count: int) -> None:
    while count > 0 and (data := file.read(min(COPIED, count))):
        to.write(data)
        count -= len(data)


def _moved(group: Fields, by: int, number: int) -> Fields:
    """A row group that stands `by` bytes further on, as number `number` of its file."""
    columns = [_moved_chunk(chunk, by) for chunk in group[COLUMNS].value.values]
    moved = {**group, COLUMNS: Field(thrift.LIST, Items(thrift.STRUCT, columns))}
    _move(moved, GROUP_OFFSET, by)
    if ORDINAL in moved:
        moved[ORDINAL] = Field(thrift.I16, number)
        if number >= MOST_ORDINALS:
            del moved[ORDINAL]
    return moved


def _moved_chunk(chunk: Fields, by: int) -> Fields:
    moved = dict(chunk)
    for place in (CHUNK_OFFSET, OFFSET_INDEX, COLUMN_INDEX):
        _move(moved, place, by)
    if META in moved:
        meta = dict(moved[META].value)
        for place in PAGES:
            _move(meta, place, by)
        moved[META] = Field(thrift.STRUCT, meta)
    return moved


def _move(fields: Fields, place: int, by: int) -> None:
    # A place of 0 says that there is none.
    if place in fields and fields[place].value > 0:
        fields[place] = Field(fields[place].kind, fields[place].value + by)
