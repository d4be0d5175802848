"""Attribute files, row for row beside their documents: Parquet (a column per attribute) or Dolma's JSON lines.

Columns have the types of kinds.py. JSON lines have numbers and spans as `[[start, end, score], ...]`, texts and flags
as plain JSON. A float64 comes back from them as one span over the whole text, every other kind as it was.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import cast

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from msgspec import Struct

from dolma_pipeline import _native
from dolma_pipeline.engine.task import Output
from dolma_pipeline.errors import DataError
from dolma_pipeline.formats.columns import shown_id
from dolma_pipeline.formats.documents import Documents
from dolma_pipeline.formats.kinds import SPANS as SPANS
from dolma_pipeline.formats.kinds import TYPES, Kind, kind_of
from dolma_pipeline.formats.other_texts import KEY, PastTheEnd, TextDigest, other_texts, recorded
from dolma_pipeline.formats.parquet_errors import named
from dolma_pipeline.io.arrow import open_parquet, parquet_schema, parquet_writer
from dolma_pipeline.io.atomic import Draft
from dolma_pipeline.io.cache import local_copy
from dolma_pipeline.io.writing import writing

DOCUMENT = pa.float64()
ROW_GROUP = 65_536
"""Most rows held before they are written."""
GROUP_BYTES = 32 << 20
"""Most bytes of columns held: spans of long documents reach this long before the rows do."""

BATCH_BYTES = 8 << 20
"""Bytes of all columns together that are read at a time."""


class AttributeWriter:
    """Writes the attribute file of one shard; `.parquet` by extension, else JSON lines."""

    def __init__(
        self,
        path: str | Path,
        *,
        with_source: bool = True,
        declared: bool = True,
        empty: bool = False,
        any_id: bool = False,
    ) -> None:
        """`declared`: all batches have the columns of the first; else they are held until the end to be joined.

        `empty`: JSON lines have `"key": []` for a text without a span and for a score that is NaN, as Dolma's dedupe
        writes it. `any_id`: JSON lines have ids that are no strings as they were; the others have them behind a mark.
        """
        self._empty = empty
        self._any_id = any_id
        self.path = Path(path)
        self._declared = declared
        self._with_source = with_source
        self._parquet = self.path.suffix == ".parquet"
        self._lines: _native.LineWriter | None = None
        self._table: pq.ParquetWriter | None = None
        self._draft: Draft | None = None
        self._pending: list[pa.RecordBatch] = []
        self._rows = self._bytes = self._all_rows = 0
        self._digest = TextDigest()
        self.record: str | None = None
        """What a Parquet file says of the texts it was made of, where they are not seen here."""
        self.of_piece = False
        """Whether the rows are those of a piece of a file, and are to be joined with others."""
        if self._parquet:
            self._draft = Draft(str(path))
        else:
            self._lines = _native.LineWriter(str(path))

    def write(self, documents: Documents, columns: Mapping[str, pa.Array]) -> None:
        """Adds the rows of `documents`; `columns` by key, the same keys in the same order every time."""
        lengths = None if self._parquet else _native.char_lengths(documents.text)
        self.write_rows(documents.id, columns, lengths=lengths, source=documents.source, texts=documents.text)

    def write_rows(
        self,
        ids: pa.LargeStringArray,
        columns: Mapping[str, pa.Array],
        *,
        lengths: pa.Int64Array | None = None,
        source: pa.LargeStringArray | None = None,
        texts: pa.LargeStringArray | None = None,
    ) -> None:
        """The same without the documents; JSON lines need `lengths` (code points of each text).

        A Parquet file records of which `texts` it was made, where they are given.
        """
        if self._lines is not None:
            shown = source if self._with_source else None
            keys, arrays = list(columns), list(columns.values())
            try:
                self._lines.write_attributes(ids, lengths, shown, keys, arrays, empty=self._empty, any_id=self._any_id)
            except ValueError as error:
                raise DataError(f"{self.path}: {error}") from None
            return
        if texts is not None:
            self._digest.add(texts)
        batch = pa.RecordBatch.from_pydict({"id": ids, **columns})
        self._pending.append(batch)
        self._rows += batch.num_rows
        self._all_rows += batch.num_rows
        self._bytes += batch.nbytes
        if self._declared and (self._rows >= ROW_GROUP or self._bytes >= GROUP_BYTES):
            with writing(self.path):
                self._flush(batch.schema)

    def _flush(self, schema: pa.Schema) -> None:
        if self._table is None:
            assert self._draft is not None
            # Statistics and dictionaries cost time here and are never asked for.
            self._table = parquet_writer(
                self._draft, schema, compression="zstd", compression_level=1, use_dictionary=False,
                write_statistics=False, store_schema=True, column_encoding=_encodings(schema),
                write_batch_size=ROW_GROUP,
            )  # fmt: skip
        tables = [pa.Table.from_batches([b]) for b in self._pending] or [schema.empty_table()]
        self._table.write_table(pa.concat_tables(tables, promote_options="default"), row_group_size=ROW_GROUP)
        self._pending = []
        self._rows = self._bytes = 0

    def finish(self) -> Output:
        if self._lines is not None:
            size, digest = self._lines.finish()
            return Output(str(self.path), size, digest)
        assert self._draft is not None
        with writing(self.path):
            if self._pending or self._table is None:
                none = pa.schema([("id", pa.large_string())])
                self._flush(pa.unify_schemas([b.schema for b in self._pending] or [none]))
            if self._table is not None:
                seen = self._digest.of_piece() if self.of_piece else self._digest.hex()
                record = seen if self._digest.rows == self._all_rows else self.record
                if record is not None:
                    self._table.add_key_value_metadata({KEY: record})
                self._table.close()
            return self._draft.publish()

    def abort(self) -> None:
        if self._lines is not None:
            self._lines.abort()
        # Closing writes, which fails where the disk is full.
        with contextlib.suppress(OSError, pa.ArrowException):
            if self._table is not None:
                self._table.close()
        if self._draft is not None:
            self._draft.abort()


ENCODINGS = {"start": "DELTA_BINARY_PACKED", "end": "DELTA_BINARY_PACKED", "score": "BYTE_STREAM_SPLIT"}
"""Encodings of the columns of spans. Offsets rise by little and scores share most bytes, so there is a seventh less to
compress, and to keep."""


def _encodings(schema: pa.Schema) -> dict[str, str] | None:
    spans = [field.name for field in schema if pa.types.is_list(field.type)]
    return {f"{s}.list.element.{name}": encoding for s in spans for name, encoding in ENCODINGS.items()} or None


class EndOfPiece(Struct, frozen=True, kw_only=True):
    """What is known of an attribute file when a piece of the documents beside it was read."""

    left: str
    """What is wrong, where rows are left behind the last piece."""
    recorded: str | None
    """What the file says of the texts that it was made of."""
    texts: str
    """What `joined_digest` needs to know of those that were read."""
    past: dict[str, tuple[int, str]]
    """What `PastTheEnd` has found."""
    kinds: dict[str, str] = {}
    """The kind of each attribute of JSON lines that the piece has a value of."""


class AttributeCursor:
    """Reads some attributes of one file in step with its documents."""

    def __init__(
        self,
        path: str | Path,
        keys: Sequence[str],
        *,
        raw: bool = False,
        any_id: bool = False,
        documents: str = "the documents",
        first_row: int = 0,
    ) -> None:
        """`any_id`: the ids may be any values, as those of the documents; `documents`: their file, for messages.

        `first_row`: number of rows before that of the first document, where the documents are a piece of their file.
        """
        self._path = str(path)
        self._documents = documents
        self._keys = list(keys)
        self._raw = raw
        self._parquet = self._path.endswith(".parquet")
        self._rows = self._begun = self._first_row = first_row
        self._kinds: dict[str, str] = {}
        self._past = PastTheEnd()
        self._texts = TextDigest()
        self._recorded: str | None = None
        if self._parquet:
            self._recorded = recorded(self._path)
            self._batches = _parquet_batches(self._path, self._keys, first_row)
            self._rest: pa.Table | None = None
        else:
            self._reader = _native.AttributeReader(str(local_copy(self._path)), self._keys, raw=raw, any_id=any_id)
            self._reader.skip_rows(first_row)

    def next(self, documents: Documents) -> dict[str, pa.Array]:
        """The columns for the next `len(documents)` rows; `__raw__` holds the JSON objects where asked for.

        Raises DataError for a row that belongs to another document: the files do not match.
        """
        count = len(documents)
        table = self._take(count) if self._parquet else self._next_lines(count)
        if table.num_rows != count:
            raise DataError(
                f"{self._at(self._rows + table.num_rows + 1)}: expected a row for each document, found "
                f"{self._rows + table.num_rows} rows and at least {self._rows + count} documents; tag the documents "
                f"again"
            )
        table = table.combine_chunks()
        ids = table.column("id").cast(pa.large_string())
        if not ids.equals(pa.chunked_array([documents.id])):
            row = next(i for i in range(count) if ids[i].as_py() != documents.id[i].as_py())
            raise DataError(
                f"{self._at(self._rows + row + 1)}: expected the attributes of document "
                f"`{shown_id(documents.id[row].as_py())}`, found those of `{shown_id(ids[row].as_py())}` (line "
                f"{documents.line[row].as_py()} of the documents); tag the documents again"
            )
        names = {"raw": "__raw__"} if self._raw else {}
        found = {names.get(name, name): _one_chunk(table.column(name)) for name in table.schema.names if name != "id"}
        if self._recorded is not None:
            self._texts.add(documents.text)
        else:
            self._past.check(found, documents, lambda row: self._at(self._rows + row + 1))
        if not self._parquet:
            for key in found.keys() & set(self._keys) - self._kinds.keys():
                if found[key].null_count < count:
                    self._kinds[key] = str(kind_of(found[key].type))
        self._begun = self._rows
        self._rows += count
        return found

    def finish(self) -> list[str]:
        """What speaks for attributes of other texts than these; after the last documents were read.

        Raises DataError if rows are left, or if the file says that it was made of other texts: the files do not match.
        """
        left = self._left()
        if left:
            raise DataError(left)
        if self._recorded is not None and self._recorded != self._texts.hex():
            raise DataError(other_texts(self._path, self._documents))
        return self._past.warnings(self._path)

    def place(self, row: int) -> str:
        """Returns the place of a row of the last batch."""
        return self._at(self._begun + row + 1)

    def finish_piece(self, *, last: bool) -> EndOfPiece:
        """What `finish` looks at, for pieces of a file of documents: only all of them together tell."""
        left = self._left() if last else ""
        texts = self._texts.of_piece()
        kinds = dict(sorted(self._kinds.items()))
        return EndOfPiece(left=left, recorded=self._recorded, texts=texts, past=self._past.found, kinds=kinds)

    def check_before(self, more: int = 0) -> None:
        """Raises DataError where the rows before a piece show what is wrong: a value's kind follows from the first.

        `more`: number of rows behind the last batch to look at.
        """
        if self._first_row and not self._parquet:
            problem = kinds_problem(self._path, self._keys, self._rows + more)
            if problem:
                raise DataError(problem)

    def _next_lines(self, count: int) -> pa.Table:
        try:
            return pa.Table.from_batches([self._reader.next_rows(count)])
        except DataError:
            self.check_before(count)
            raise

    def _left(self) -> str:
        """A sentence for a row behind the last of the documents; empty where there is none."""
        left = self._take(1) if self._parquet else self._reader.next_rows(1)
        if not left.num_rows:
            return ""
        return (
            f"{self._at(self._rows + 1)}: expected the end of the file after a row for each of {self._rows} "
            f"documents, found another row, of document `{shown_id(left.column('id')[0].as_py())}`; tag the "
            f"documents again"
        )

    def _at(self, row: int) -> str:
        """Returns the place of a row: a line of JSON lines is one."""
        return f"{self._path}: row {row}" if self._parquet else f"{self._path}:{row}"

    def _take(self, count: int) -> pa.Table:
        parts = [] if self._rest is None else [self._rest]
        have = sum(p.num_rows for p in parts)
        while have < count:
            batch = next(self._batches, None)
            if batch is None:
                break
            parts.append(pa.Table.from_batches([batch]))
            have += batch.num_rows
        if not parts:
            return pa.table({"id": pa.array([], pa.large_string())})
        table = pa.concat_tables(parts)
        self._rest = table.slice(count)
        return table.slice(0, count)


def kinds_problem(path: str, keys: Sequence[str], rows: int) -> str:
    """What a reader says where the values of a key are of two kinds in the first `rows` rows; empty if none are."""
    reader = _native.AttributeReader(str(local_copy(path)), list(keys), any_id=True)
    try:
        while read := reader.next_rows(min(ROW_GROUP, rows)).num_rows:
            rows -= read
    except DataError as error:
        return str(error)
    return ""


def _parquet_batches(path: str, keys: Sequence[str], first_row: int = 0) -> Iterator[pa.RecordBatch]:
    """No method: a generator that holds its cursor would keep a file's columns until the garbage collector comes by."""
    skipped = first_row
    with named(path):
        file = open_parquet(path)
        schema = file.schema_arrow
        present = [k for k in keys if k in schema.names]
        _check_columns(path, schema, present)
        groups = list(range(file.num_row_groups))
        while groups and file.metadata.row_group(groups[0]).num_rows <= skipped:
            skipped -= file.metadata.row_group(groups.pop(0)).num_rows
        size = _batch_rows(file.metadata)
        for batch in file.iter_batches(batch_size=size, row_groups=groups, columns=["id", *present]):
            if skipped < batch.num_rows:
                yield typed(path, batch.slice(skipped) if skipped else batch)
            skipped = max(0, skipped - batch.num_rows)


def attribute_batches(path: str | Path, keys: Sequence[str]) -> Iterator[pa.RecordBatch]:
    """Yields the rows of an attribute file: id, and a column for each of `keys`."""
    if str(path).endswith(".parquet"):
        for batch in _parquet_batches(str(path), keys):
            yield batch.set_column(0, pa.field("id", pa.large_string()), batch.column("id").cast(pa.large_string()))
        return
    known = attribute_kinds(path)
    reader = _native.AttributeReader(str(local_copy(path)), list(keys), kinds=[known.get(key) for key in keys])
    while (batch := reader.next_rows(ROW_GROUP)).num_rows:
        yield batch


def _check_columns(path: str, schema: pa.Schema, keys: Sequence[str]) -> None:
    """Raises DataError unless `schema` has ids, and a column of some kind under each of `keys`, once."""
    for key in ("id", *keys):
        if schema.names.count(key) != 1:
            found = "none" if key not in schema.names else f"{schema.names.count(key)} of that name"
            raise DataError(f"{path}: expected one column `{key}`, found {found}")
    for key in keys:
        type = schema.field(key).type
        if kind_of(type) is None and not pa.types.is_null(type):
            raise DataError(
                f"{path}: column `{key}`: expected numbers, strings, booleans, or lists of structs of start, end and "
                f"score, found {type}"
            )


def typed(path: str, batch: pa.RecordBatch) -> pa.RecordBatch:
    """Returns a batch with its columns in the types of their kinds; other people's files have others, such as int32."""
    for i, (name, column) in enumerate(zip(batch.schema.names, batch.columns, strict=True)):
        kind = kind_of(column.type) if name != "id" else None
        if kind is None or column.type == TYPES[kind]:
            continue
        try:
            batch = batch.set_column(i, pa.field(name, TYPES[kind]), _cast(column, kind))
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError, pa.ArrowTypeError) as error:
            raise DataError(f"{path}: column `{name}`: expected {TYPES[kind]}, found {column.type}: {error}") from None
    return batch


def _cast(column: pa.Array, kind: Kind) -> pa.Array:
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if kind != "spans":
        return column.cast(TYPES[kind])
    fields = [pc.struct_field(column.flatten(), f.name).cast(f.type) for f in SPANS.value_type]
    if any(field.null_count for field in fields):
        raise pa.ArrowInvalid("a span lacks its start, end or score")
    counts = pc.fill_null(pc.list_value_length(column), 0).to_numpy(zero_copy_only=False)
    offsets = pa.array([0, *counts.cumsum().tolist()], pa.int32())
    items = pa.StructArray.from_arrays(fields, fields=list(SPANS.value_type))
    return pa.ListArray.from_arrays(offsets, items, type=SPANS)


def _batch_rows(metadata: pq.FileMetaData) -> int:
    """Rows that are about BATCH_BYTES: a batch goes over the ends of row groups, so their size does not bound it.

    Values are counted, of eight bytes each: what they take in the file says little, as they are packed there.
    """
    longest = 1.0
    for group in map(metadata.row_group, range(metadata.num_row_groups)):
        values = sum(group.column(c).num_values for c in range(group.num_columns))
        longest = max(longest, 8 * values / max(1, group.num_rows))
    return max(1, min(ROW_GROUP, int(BATCH_BYTES / longest)))


def _one_chunk(column: pa.ChunkedArray) -> pa.Array:
    if column.num_chunks == 1:
        return column.chunk(0)
    combined = column.combine_chunks()
    if isinstance(combined, pa.ChunkedArray):
        return combined.chunk(0) if combined.num_chunks else pa.array([], combined.type)
    return combined


def attribute_keys(path: str | Path, rows: int = 1000) -> list[str]:
    """The attributes a file holds: all of a Parquet file's, those in the first `rows` rows of a JSONL one."""
    return list(attribute_kinds(path, rows))


def attribute_kinds(path: str | Path, rows: int = 1000) -> dict[str, Kind | None]:
    """The same with their kinds; None where there are only nulls, or (in Parquet) a type of no kind.

    Numbers that JSON lines have as `[[0, length, score]]` are spans.
    """
    if str(path).endswith(".parquet"):
        with named(path):
            return {field.name: kind_of(field.type) for field in parquet_schema(path) if field.name != "id"}
    return {key: cast("Kind | None", kind) for key, kind in _native.attribute_kinds(str(local_copy(path)), rows)}
