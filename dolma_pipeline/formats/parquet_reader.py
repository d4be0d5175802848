"""Documents out of Parquet files of anybody's making.

A row that has no id or no text, or one that is not UTF-8, is set aside alone. A file is refused by the name and the
type of the column that cannot be read, before any row is; damage within it costs the rest of a row group.

A row is read only if all of its columns can be, whichever of them are wanted: so every stage reads the same rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from dolma_pipeline import _native
from dolma_pipeline.errors import DataError
from dolma_pipeline.formats.arrow_json import check_type, is_identifier, is_text, json_values, strings
from dolma_pipeline.formats.columns import Columns, missing_column, rules_of
from dolma_pipeline.formats.parquet_errors import ERRORS, reason
from dolma_pipeline.formats.piece import Piece
from dolma_pipeline.io import fs
from dolma_pipeline.io.arrow import open_parquet

METADATA = "metadata"
OTHER_FIELDS = "other_fields"
"""Column of a file of ours: a JSON object of the fields that have no columns of their own."""
JSON = {b"dolma": b"json"}
"""Marks, in the schema of a file of ours, a column of strings as JSON."""
ROWS = 1024
"""Number of rows read at a time."""
MOST_GROUPS = 5
"""Number of damaged row groups that a sentence names one by one."""

Bad = tuple[int, int, str, bytes, int]
"""A row that is no document: its number from 1, and from 0, the reason, the row as JSON, and the length of that."""


class Lost(NamedTuple):
    """Rows of a row group that cannot be read; all numbers from 1, the last row included."""

    group: int
    first: int
    last: int
    why: str

    def __str__(self) -> str:
        return f"row group {self.group}, rows {self.first} to {self.last}, {self.why}"


class ParquetReader:
    """Streams the documents of one file; iterate once, then ask for `damage` and `unread`."""

    def __init__(self, path: str, *, columns: Columns | None, keep_raw: bool, piece: Piece | None = None) -> None:
        self.path = path
        self._piece = piece
        self.damage: str | None = None
        """Why the file, or some of its row groups, could not be read."""
        self.unread: list[tuple[int, int]] = []
        """The rows that could not be read: first and last, from 1. None of a file whose footer cannot be read."""
        self.footer = False
        """Whether the footer could be read, so that the number of rows is known."""
        self._columns = columns = columns if columns is None or not columns.as_dolma else None
        self._keep_raw = keep_raw
        self._rules = dict(columns.rules() if columns is not None else {"id": "id", "text": "text"})
        self._places: dict[str, str] = {}
        """What `_open` finds: name in a document -> top-level column."""
        self._nested: list[str] = []
        """What `_open` finds: columns with objects in which mapped fields are."""
        self._row = 0

    def __iter__(self) -> Iterator[tuple[pa.RecordBatch, list[Bad]]]:
        """Batches as `Documents` has them, each with the bad rows among those it was made of."""
        size = fs.stat(self.path).size
        if size == 0:
            return
        piece = self._piece
        try:
            file = self._open()
            self.footer = True
            self._check(file.schema_arrow)
        except (DataError, *ERRORS) as error:
            self._refuse(error, file if self.footer else None)
            if piece is not None and piece.number > 0:
                # What is wrong with the whole file is told by the first of its pieces.
                self.damage, self.unread = None, []
            return
        needed = self._needed(file.schema_arrow)
        lost: list[Lost] = []
        end = 0
        for group in range(file.num_row_groups):
            self._row, end = end, end + max(0, file.metadata.row_group(group).num_rows)
            if piece is not None and piece.number != _piece_of(file.metadata.row_group(group), piece.of, size):
                continue
            # One at a time: what is read of the others is not lost with a damaged one.
            try:
                for batch in file.iter_batches(batch_size=ROWS, row_groups=[group]):
                    yield self._documents(batch if needed is None else batch.select(needed))
                    self._row += batch.num_rows
                why = f"expected {end - self._row} more rows, found the end of the row group"
            except (DataError, *ERRORS) as error:
                why = self._column(file, group) + reason(error)
            if self._row < end:
                lost.append(Lost(group + 1, self._row + 1, end, why))
        self._lose(lost, end)

    def _refuse(self, error: BaseException, file: pq.ParquetFile | None) -> None:
        """Says why none of the file is read."""
        if not isinstance(error, DataError):
            self.damage = f"the file is truncated or corrupt: {reason(error)}"
            return
        self.damage = f"the file cannot be read: {error}"
        if file is not None and file.metadata.num_rows > 0:
            self.unread = [(1, file.metadata.num_rows)]

    def _lose(self, lost: list[Lost], rows: int) -> None:
        """Says which of the `rows` of the file were lost, and why."""
        if not lost:
            return
        for each in lost:
            if self.unread and self.unread[-1][1] == each.first - 1:
                self.unread[-1] = (self.unread[-1][0], each.last)
            else:
                self.unread.append((each.first, each.last))
        gone = sum(last - first + 1 for first, last in self.unread)
        places = "; ".join(map(str, lost[:MOST_GROUPS]))
        more = len(lost) - MOST_GROUPS
        self.damage = f"the file is truncated or corrupt: {gone:,} of {rows:,} rows are not read: {places}" + (
            f"; and {more:,} more row group{'s' if more > 1 else ''}" if more > 0 else ""
        )

    def _open(self) -> pq.ParquetFile:
        with fs.open_input(self.path) as head:
            if head.read(4) == b"PARE":
                raise DataError("it is encrypted (it begins with `PARE`); decrypt it first")
        # Only files that have checksums are checked, and only such files take longer.
        return open_parquet(self.path)

    def _check(self, schema: pa.Schema) -> None:
        """Finds the mapped columns; raises DataError for columns that cannot be read as documents."""
        twice = next((n for n in schema.names if schema.names.count(n) > 1), None)
        if twice is not None:
            raise DataError(f"expected columns of different names, found two called `{twice}`")
        for field in schema:
            try:
                check_type(field.type)
            except DataError as error:
                raise DataError(f"column `{field.name}`: {error}") from None
        self._find(schema)

    def _find(self, schema: pa.Schema) -> None:
        """Finds the mapped columns; raises DataError for one that is missing or that holds something else."""
        invents = self._columns is not None and not isinstance(self._columns.id, str)
        rules = {**({} if "id" in self._rules else {"id": "id"}), **self._rules}
        if "source" not in rules and "source" in schema.names:
            rules["source"] = "source"
        for name, column in rules.items():
            if column is None:
                continue
            column = column.removeprefix("$.")
            head = column.split(".")[0]
            if column in schema.names:
                self._places[name] = column
            elif head in schema.names and head != column:
                self._nested.append(head)
            elif name != "id" or not invents:
                likely = [f.name for f in schema if is_text(f.type) and f.name not in rules]
                raise DataError(missing_column(column, schema.names, likely if column == "text" else ()))
        for name, fits, wanted in (("id", is_identifier, "text or whole numbers"), ("text", is_text, "text")):
            kind = schema.field(self._places[name]).type if name in self._places else pa.null()
            if not fits(kind):
                raise DataError(f"column `{self._places[name]}`: expected {wanted}, found {kind}")
        # As in JSON lines, a source that is no text is nobody's name.
        if "source" in self._places and not is_text(schema.field(self._places["source"]).type):
            del self._places["source"]

    def _needed(self, schema: pa.Schema) -> list[str] | None:
        if self._keep_raw:
            return None
        needed = [self._places[n] for n in ("id", "text", "source") if n in self._places] + self._nested
        return [n for n in schema.names if n in needed]

    def _documents(self, batch: pa.RecordBatch) -> tuple[pa.RecordBatch, list[Bad]]:
        """The documents among the rows of a batch."""
        original, bad = batch, dict[int, str]()
        for name in ("id", "text", "source"):
            column = self._places.get(name)
            if column is None:
                continue
            values, unreadable = strings(batch.column(column))
            batch = _with(batch, column, values)
            if name == "text" or (name == "id" and (self._columns is None or isinstance(self._columns.id, str))):
                missing = pc.indices_nonzero(values.is_null()).to_pylist()
                bad |= {row: bad.get(row, f"missing field `{column}`") for row in missing}
            bad |= {row: f"`{column}`: {why}" for row, why in unreadable.items()}
        rows = pa.array(range(self._row, self._row + batch.num_rows), pa.int64())
        refused: list[Bad] = []
        if bad:
            for row in sorted(bad):
                number, line = self._row + row, _lines(original.slice(row, 1), ())[0]
                refused.append((number + 1, number, bad[row], line, len(line)))
            good = pa.array([row not in bad for row in range(batch.num_rows)])
            batch, rows = batch.filter(good), rows.filter(good)
        if not self._keep_raw and not self._nested:
            return self._short(batch, rows), refused
        lines = pa.array(_lines(batch, self._nested), pa.large_binary())
        records, more = _native.read_lines(lines, rows, keep_raw=self._keep_raw, columns=rules_of(self._columns))
        return records, sorted([*refused, *more])

    def _short(self, batch: pa.RecordBatch, rows: pa.Int64Array) -> pa.RecordBatch:
        """Documents without their lines: nothing needs to become JSON."""
        text = batch.column(self._places["text"])
        ids = batch.column(self._places["id"]) if "id" in self._places else pa.nulls(len(text), pa.large_string())
        if ids.null_count:
            ids = pc.coalesce(ids, _native.content_ids(text))
        none = pa.nulls(len(text), pa.large_string())
        source = batch.column(self._places["source"]) if "source" in self._places else none
        return pa.RecordBatch.from_pydict(
            {"id": ids, "text": text, "source": source, "line": pc.add(rows, 1), "offset": rows}
        )

    def _column(self, file: pq.ParquetFile, group: int) -> str:
        """The column that cannot be read, as far as reading each again tells."""
        for name in file.schema_arrow.names:
            try:
                file.read_row_group(group, columns=[name])
            except ERRORS:
                return f"column `{name}`: "
        return ""


def _piece_of(group: pq.RowGroupMetaData, of: int, size: int) -> int:
    """The number of the piece, of `of` in a file of `size` bytes, in which the middle of a row group lies."""
    columns = [group.column(number) for number in range(group.num_columns)]
    starts = [c.data_page_offset if c.dictionary_page_offset is None else c.dictionary_page_offset for c in columns]
    middle = min(starts, default=0) + sum(c.total_compressed_size for c in columns) // 2
    # Offsets in a damaged footer may be any: each row group is in one piece all the same.
    return int(max(0, min(of - 1, middle * of // max(1, size))))


def _with(batch: pa.RecordBatch, name: str, values: pa.Array) -> pa.RecordBatch:
    return batch.set_column(batch.schema.get_field_index(name), pa.field(name, values.type), values)


def _lines(batch: pa.RecordBatch, objects: Sequence[str]) -> list[bytes]:
    """Rows as JSON lines, null left out. Columns in `objects` are objects, be it as text."""
    lines: list[list[bytes]] = [[] for _ in range(batch.num_rows)]
    others: list[bytes | None] = []
    for field, column in zip(batch.schema, batch.columns, strict=True):
        values = json_values(column)
        if field.name == OTHER_FIELDS:
            others = _objects(column, values)
            values = [None if o is not None else v for v, o in zip(values, others, strict=True)]
        if field.metadata is not None and JSON.items() <= field.metadata.items():
            values = [None if v is None else one_line(msgspec.json.decode(v, type=str)) for v in values]
        elif field.name == METADATA or field.name in objects:
            found = _objects(column, values)
            values = [v if o is None else o for v, o in zip(values, found, strict=True)]
        key = msgspec.json.encode(field.name) + b":"
        for line, value in zip(lines, values, strict=True):
            if value is not None:
                line.append(key + value)
    for line, other in zip(lines, others, strict=False):
        if other is not None:
            _add_others(line, other)
    return [b"{" + b",".join(line) + b"}" for line in lines]


def one_line(text: str) -> bytes:
    """JSON without line ends: a string has none that is not escaped."""
    return text.replace("\n", " ").replace("\r", " ").strip().encode()


def _objects(column: pa.Array, values: list[bytes | None]) -> list[bytes | None]:
    """The JSON objects that a column holds, as structs or as text; None for a value that is none."""
    if not is_text(column.type):
        return [v if v is not None and v.startswith(b"{") else None for v in values]
    return [_object(msgspec.json.decode(v)) if v is not None and v.startswith(b'"') else None for v in values]


def _object(text: str) -> bytes | None:
    if not text.lstrip().startswith("{"):
        return None
    try:
        msgspec.json.decode(text, type=dict[str, msgspec.Raw])
    except (msgspec.DecodeError, RecursionError):
        return None
    return one_line(text)


def _add_others(line: list[bytes], value: bytes) -> None:
    """Adds the members of an object to a line; the object as a whole where one of them is there already."""
    fields = msgspec.json.decode(value, type=dict[str, msgspec.Raw])
    members = [msgspec.json.encode(name) + b":" for name in fields]
    if any(part.startswith(name) for name in members for part in line):
        line.append(msgspec.json.encode(OTHER_FIELDS) + b":" + value)
    else:
        line.extend(name + bytes(raw) for name, raw in zip(members, fields.values(), strict=True))
