import json
import tempfile
import weakref
from pathlib import Path

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dolma_pipeline import _native
from dolma_pipeline.formats.attributes import SPANS, AttributeCursor, AttributeWriter, _parquet_batches
from dolma_pipeline.formats.documents import read_documents

ODD = (
    b'{"metadata": {"big": 123456789012345678901234567890, "f": 1.10, "e": 1E400, "deep": {"provenance": 1}},'
    b' "text": "a\\u0041\\/", "id": "x", "extra": [ 1,2 ], "z": null}'
)


def written(tmp_path: Path, line: bytes, **changes: object) -> bytes:
    source, out = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    source.write_bytes(line + b"\n")
    writer = _native.LineWriter(str(out))
    for documents in read_documents(source, keep_raw=True):
        writer.write_documents(documents.records, **changes)  # type: ignore[arg-type]
    writer.finish()
    return out.read_bytes().rstrip(b"\n")


def test_nothing_changed_is_byte_for_byte(tmp_path: Path) -> None:
    assert written(tmp_path, ODD) == ODD


def test_a_new_text_changes_nothing_else(tmp_path: Path) -> None:
    texts = pa.array(['new "text"\n'], pa.large_string())
    assert written(tmp_path, ODD, texts=texts) == ODD.replace(b'"a\\u0041\\/"', b'"new \\"text\\"\\n"')


def test_provenance_is_added_to_what_is_there(tmp_path: Path) -> None:
    # The nested key of that name is somebody else's: members are then copied one by one.
    out = written(tmp_path, ODD, provenance="dir/f.gz")
    assert b'"big":123456789012345678901234567890' in out
    assert b'"f":1.10,"e":1E400,"deep":{"provenance": 1},"provenance":"dir/f.gz:1"}' in out


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (b'{"id":"a","text":"t"}', b'{"id":"a","text":"t","metadata":{"provenance":"f:1"}}'),
        (b'{"id":"a","text":"t","metadata":{ }}', b'{"id":"a","text":"t","metadata":{ "provenance":"f:1"}}'),
        (b'{"id":"a","metadata":{"k":1},"text":"t"}', b'{"id":"a","metadata":{"k":1,"provenance":"f:1"},"text":"t"}'),
        (b'{"id":"a","text":"t","metadata":null}', b'{"id":"a","text":"t","metadata":{"provenance":"f:1"}}'),
        (b'{"id":"a","text":"t","metadata":"mine"}', b'{"id":"a","text":"t","metadata":"mine"}'),
        (
            b'{"id":"a","text":"t","metadata":{"provenance":"old","k":1}}',
            b'{"id":"a","text":"t","metadata":{"k":1,"provenance":"f:1"}}',
        ),
    ],
)
def test_provenance(tmp_path: Path, line: bytes, expected: bytes) -> None:
    assert written(tmp_path, line, provenance="f") == expected


def test_fields_are_left_out(tmp_path: Path) -> None:
    line = b'{"id":"a","drop":{"text":"no"},"text":"t","keep":1.0}'
    assert written(tmp_path, line, discard=["drop"]) == b'{"id":"a","text":"t","keep":1.0}'


def objects(*rows: str | None) -> pa.LargeBinaryArray:
    return pa.array([None if r is None else r.encode() for r in rows], pa.large_binary())


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        # In their place where there are some, else last; keys sorted, numbers as they are spelled.
        (
            '{"id":"a","attributes":{"own": 1.50, "k":0},"text":"t"}',
            '{"id":"a","attributes":{"B":[],"k":[[0,1,1e-5]],"own":1.50,"é":2},"text":"t"}',
        ),
        ('{"id":"a","text":"t"}', '{"id":"a","text":"t","attributes":{"B":[],"k":[[0,1,1e-5]],"é":2}}'),
        (
            '{"id":"a","text":"t","metadata":{"attributes":{"own":1}} }',
            '{"id":"a","text":"t","metadata":{"attributes":{"own":1}},"attributes":{"B":[],"k":[[0,1,1e-5]],"é":2}}',
        ),
        (
            '{"attributes":null,"id":"a","attributes":{"own":1},"text":"t"}',
            '{"id":"a","attributes":{"B":[],"k":[[0,1,1e-5]],"own":1,"é":2},"text":"t"}',
        ),
        (
            '{"id":"a","text":"t","attributes":[1]}',
            '{"id":"a","text":"t","attributes":{"B":[],"k":[[0,1,1e-5]],"é":2}}',
        ),
    ],
)
def test_attributes_are_merged(tmp_path: Path, line: str, expected: str) -> None:
    beside = [objects('{"k":[[0,1,0.5]],"é":2}'), objects(None), objects('{"k": [[0,1,1e-5]], "B":[]}')]
    assert written(tmp_path, line.encode(), attributes=beside).decode() == expected
    assert written(tmp_path, line.encode(), attributes=[]).decode() == line
    assert written(tmp_path, line.encode(), attributes=beside, discard=["attributes"]).count(b"k") == 0


def test_attributes_with_everything_else(tmp_path: Path) -> None:
    line, beside = b'{"text":"t","id":"a"}', [objects('{"k":1}')]
    texts = pa.array(["new"], pa.large_string())
    out = b'{"text":"new","id":"a","attributes":{"k":1},"metadata":{"provenance":"f:1"}}'
    changes = {"attributes": beside, "texts": texts, "provenance": "f"}
    assert written(tmp_path, line, **changes) == out
    assert written(tmp_path, line, **changes, copies=pa.array([2], pa.uint32())) == out + b"\n" + out
    assert written(tmp_path, line, **changes, discard=["text"]) == out.replace(b'"text":"new",', b"")


def test_attributes_of_other_rows_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="expected 1 rows, found 2"):
        written(tmp_path, b'{"text":"t","id":"a"}', attributes=[objects("{}", "{}")])
    with pytest.raises(TypeError, match="expected large_binary attributes, found Utf8"):
        written(tmp_path, b'{"text":"t","id":"a"}', attributes=[pa.array(["{}"])])


KEYS = st.text(max_size=3)
NUMBERS = st.sampled_from(["1.50", "1e400", "-0", "12345678901234567890123", '"]}, \\" "', "[ [0,1 ,0.10] ]", "{}"])


@given(st.lists(st.lists(st.tuples(KEYS, NUMBERS), max_size=5), min_size=1, max_size=3), st.booleans(), st.booleans())
def test_merging_equals_a_slow_twin(rows: list[list[tuple[str, str]]], own: bool, ascii_only: bool) -> None:
    def spelled(row: list[tuple[str, str]]) -> str:
        return "{" + " , ".join(f"{json.dumps(k, ensure_ascii=ascii_only)} : {v}" for k, v in row) + "}"

    merged = {k: v for row in rows for k, v in row}
    expected = ",".join(f"{json.dumps(k, ensure_ascii=False)}:{merged[k]}" for k in sorted(merged, key=str.encode))
    line = '{"id":"a","text":"t"' + (f',"attributes":{spelled(rows.pop(0))}' if own else "") + "}"
    with tempfile.TemporaryDirectory() as directory:
        out = written(Path(directory), line.encode(), attributes=[objects(spelled(row)) for row in rows]).decode()
    assert not rows or attributes_of(out) == "{" + expected + "}"


def attributes_of(line: str) -> str:
    return bytes(msgspec.json.decode(line, type=dict[str, msgspec.Raw])["attributes"]).decode()


def test_columns_become_the_objects_of_an_attribute_file(tmp_path: Path) -> None:
    lengths = pa.array([3, 4], pa.int64())
    spans = pa.array([[], [{"start": 1, "end": 2, "score": 1.0}]], SPANS)
    columns = [pa.array([0.5, None]), spans]
    found = _native.attribute_objects(lengths, ["e__t__doc", "e__t__spans"], columns)
    assert found.to_pylist() == [b'{"e__t__doc":[[0,3,0.5]]}', b'{"e__t__spans":[[1,2,1.0]]}']
    some = _native.attribute_objects(lengths, ["e__t__doc"], columns[:1], pa.array([False, True]))
    assert some.to_pylist() == [None, b"{}"]
    with pytest.raises(ValueError, match="expected 2 rows, found 1"):
        _native.attribute_objects(lengths, [], [], pa.array([True]))
    with pytest.raises(ValueError, match="attribute `x`: 1 rows, not 2"):
        _native.attribute_objects(lengths, ["x"], [pa.array([0.5])])


def test_copies(tmp_path: Path) -> None:
    line = b'{"id":"a","text":"t"}'
    assert written(tmp_path, line, copies=pa.array([3], pa.uint32())) == b"\n".join([line] * 3)
    assert written(tmp_path, line, copies=pa.array([0], pa.uint32())) == b""


def twin(text: str, edits: list[tuple[int, int, int]], replacements: list[str]) -> str:
    out, at = [], 0
    for start, end, which in edits:
        out += [text[at:start], replacements[which]]
        at = end
    return "".join([*out, text[at:]])


@given(st.text(max_size=40), st.lists(st.integers(0, 40), max_size=8))
def test_edits_equal_a_slow_twin(text: str, cuts: list[int]) -> None:
    bounds = sorted(min(c, len(text)) for c in cuts)
    edits = [(a, b, i % 2) for i, (a, b) in enumerate(zip(bounds[::2], bounds[1::2], strict=False))]
    fields = [("start", pa.int64()), ("end", pa.int64()), ("replacement", pa.int32())]
    rows = [[dict(zip(("start", "end", "replacement"), e, strict=True)) for e in edits]]
    array = pa.array(rows, pa.list_(pa.struct(fields)))
    (found,) = _native.apply_edits(pa.array([text], pa.large_string()), array, ["", "<é>"]).to_pylist()
    assert found == (twin(text, edits, ["", "<é>"]) if edits else None)


@pytest.mark.parametrize("name", ["o.jsonl", "o.jsonl.gz", "o.jsonl.zst"])
def test_a_file_is_whole_or_not_there(tmp_path: Path, name: str) -> None:
    path = tmp_path / "new" / name
    writer = _native.LineWriter(str(path))
    writer.write(b'{"id":"a","text":"t"}\n' * 1000)
    assert not path.exists()
    size, digest = writer.finish()
    assert path.stat().st_size == size
    assert _native.blake3_file(str(path)) == digest
    assert [p.name for p in path.parent.iterdir()] == [name]
    assert sum(len(d) for d in read_documents(path)) == 1000
    abandoned = _native.LineWriter(str(path))
    abandoned.write(b"x")
    abandoned.abort()
    assert path.stat().st_size == size
    assert [p.name for p in path.parent.iterdir()] == [name]


def test_a_file_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    directory = tmp_path / "file"
    directory.write_text("not a directory")
    with pytest.raises(OSError, match="file"):
        _native.LineWriter(str(directory / "o.jsonl"))


def test_attribute_rows_are_dolmas(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    spans = pa.list_(pa.struct([("start", pa.int64()), ("end", pa.int64()), ("score", pa.float64())]))
    writer = _native.LineWriter(str(path))
    writer.write_attributes(
        pa.array(["a", 'b"'], pa.large_string()),
        pa.array([3, 4], pa.int64()),
        pa.array(["s", None], pa.large_string()),
        ["e__t__doc", "e__t__spans"],
        [
            pa.array([0.5, None], pa.float64()),
            pa.array([[], [{"start": 1, "end": 2, "score": 1.0}, {"start": 3, "end": 4, "score": 0.25}]], spans),
        ],
    )
    writer.finish()
    assert path.read_text().splitlines() == [
        '{"id":"a","attributes":{"e__t__doc":[[0,3,0.5]]},"source":"s"}',
        '{"id":"b\\"","attributes":{"e__t__spans":[[1,2,1.0],[3,4,0.25]]}}',
    ]
    reader = _native.AttributeReader(str(path), ["e__t__spans", "nope"], raw=True)
    batch = reader.next_rows(10)
    assert batch.column("id").to_pylist() == ["a", 'b"']
    assert json.loads(batch.column("raw")[0].as_py()) == {"e__t__doc": [[0, 3, 0.5]]}
    assert batch.column("e__t__spans").to_pylist()[1][1] == {"start": 3, "end": 4, "score": 0.25}
    assert batch.column("nope").to_pylist() == [[], []]
    assert reader.next_rows(10).num_rows == 0
    assert _native.attribute_keys(str(path), 100) == ["e__t__doc", "e__t__spans"]


def test_a_cursor_goes_with_its_last_reference(tmp_path: Path) -> None:
    """In a cycle it would hold a file's columns until the garbage collector comes by, files later."""
    (tmp_path / "d.jsonl").write_text('{"id":"a","text":"t"}\n{"id":"b","text":"t"}\n')
    (documents,) = read_documents(tmp_path / "d.jsonl")
    writer = AttributeWriter(tmp_path / "a.parquet")
    writer.write(documents, {"k": pa.array([1.0, None])})
    writer.finish()
    cursor = AttributeCursor(tmp_path / "a.parquet", ["k"])
    assert cursor.next(documents)["k"].to_pylist() == [1.0, None]
    there = weakref.ref(cursor)
    del cursor
    assert there() is None


def test_rows_are_read_by_their_size(tmp_path: Path) -> None:
    spans = pa.array([[{"start": i, "end": i + 1, "score": 1.0} for i in range(20_000)]], SPANS)
    writer = AttributeWriter(tmp_path / "a.parquet")
    for i in range(200):
        writer.write_rows(pa.array([str(i)], pa.large_string()), {"k": spans})
    writer.finish()
    batches = list(_parquet_batches(str(tmp_path / "a.parquet"), ["k"]))
    assert sum(b.num_rows for b in batches) == 200
    assert max(b.nbytes for b in batches) < 10_000_000


def test_long_spans_do_not_pile_up(tmp_path: Path) -> None:
    """A row group ends by its bytes too: 65,536 rows of a long document's spans are gigabytes."""
    spans = pa.array([[{"start": i, "end": i + 1, "score": 1.0} for i in range(200_000)]], SPANS)
    writer = AttributeWriter(tmp_path / "a.parquet")
    for i in range(20):
        writer.write_rows(pa.array([str(i)], pa.large_string()), {"k": spans})
    writer.finish()
    metadata = pq.ParquetFile(tmp_path / "a.parquet").metadata
    assert [metadata.row_group(g).num_rows for g in range(metadata.num_row_groups)] == [7, 7, 6]


def test_spans_are_stored_as_what_is_small(tmp_path: Path) -> None:
    writer = AttributeWriter(tmp_path / "a.parquet")
    spans = pa.array([[(i, i + 1, 1.0) for i in range(1000)]], SPANS)
    writer.write_rows(pa.array(["1"], pa.large_string()), {"a.b": spans})
    writer.finish()
    group = pq.ParquetFile(tmp_path / "a.parquet").metadata.row_group(0)
    columns = {c.path_in_schema: c for c in map(group.column, range(group.num_columns))}
    assert "DELTA_BINARY_PACKED" in columns["a.b.list.element.start"].encodings
    assert "DELTA_BINARY_PACKED" in columns["a.b.list.element.end"].encodings
    assert "BYTE_STREAM_SPLIT" in columns["a.b.list.element.score"].encodings
    assert sum(c.total_uncompressed_size for c in columns.values()) < 1000 * 24 / 2
    assert pq.read_table(tmp_path / "a.parquet").column("a.b").combine_chunks().equals(spans)
