"""Documents to Parquet and back."""

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from dolma_pipeline import _native
from dolma_pipeline.errors import DataError
from dolma_pipeline.formats.documents import read_documents
from dolma_pipeline.formats.parquet_documents import MAX_COLUMNS, ParquetDocumentWriter

LINES = [
    b'{"id":"1","text":"a\\u0000\\n\xc3\xa9","source":"s","metadata":{"n":1.10,"big":123456789012345678901,"u":"x"}}',
    b'{"id":"2","text":"","added":"2024","odd":1E400,"list":[1, {"a":null}],"version":3}',
    b'{"id":"3","text":"b","metadata":"none","other_fields":7}',
    b'{"id":"4","text":"c"}',
]


def convert(source: Path, target: Path) -> None:
    parquet = target.suffix == ".parquet"
    writer = ParquetDocumentWriter(str(target)) if parquet else _native.LineWriter(str(target))
    for documents in read_documents(source, keep_raw=True):
        writer.write_documents(documents.records)
    writer.finish()


def test_every_field_comes_back_digit_by_digit(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(b"\n".join(LINES) + b"\n")
    convert(tmp_path / "a.jsonl", tmp_path / "b.parquet")
    convert(tmp_path / "b.parquet", tmp_path / "c.jsonl")
    assert (tmp_path / "c.jsonl").read_bytes().splitlines() == [
        b'{"id":"1","text":"a\\u0000\\n\xc3\xa9","source":"s","metadata":{"n":1.10,"big":123456789012345678901,"u":"x"}}',
        b'{"id":"2","text":"","added":"2024","odd":1E400,"list":[1, {"a":null}],"version":3}',
        b'{"id":"3","text":"b","metadata":"none","other_fields":7}',
        b'{"id":"4","text":"c"}',
    ]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.jsonl", "b.parquet", "c.jsonl"]


def test_the_columns(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(b"\n".join(LINES) + b"\n")
    convert(tmp_path / "a.jsonl", tmp_path / "b.parquet")
    table = pq.read_table(tmp_path / "b.parquet")
    assert [(f.name, str(f.type), f.metadata) for f in table.schema] == [
        ("id", "large_string", None),
        ("text", "large_string", None),
        ("source", "large_string", None),
        ("metadata", "large_string", {b"dolma": b"json"}),
        ("added", "large_string", None),
        ("odd", "large_string", {b"dolma": b"json"}),
        ("list", "large_string", {b"dolma": b"json"}),
        ("version", "int64", None),
        ("other_fields", "large_string", None),
    ]
    rows = table.to_pylist()
    assert [r["text"] for r in rows] == ["a\0\né", "", "b", "c"]
    assert [r["metadata"] for r in rows] == ['{"n":1.10,"big":123456789012345678901,"u":"x"}', None, '"none"', None]
    assert [r["other_fields"] for r in rows] == [None, None, '{"other_fields":7}', None]
    assert [r["version"] for r in rows] == [None, 3, None, None]


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (["true", "null", "false"], "bool"),
        (["1", "-9223372036854775808"], "int64"),
        (["1", "2.5", "1e5"], "double"),
        (["9007199254740993", "0.5"], "large_string"),
        (["0.1234567890123456789"], "large_string"),
        (["1", '"1"'], "large_string"),
        (['"a"', '"\\u00e9"'], "large_string"),
        (['"\\ud800"'], "large_string"),
        (["[1]", "{}"], "large_string"),
    ],
)
def test_a_column_has_the_type_of_its_values(tmp_path: Path, values: list[str], kind: str) -> None:
    lines = [f'{{"id":"{i}","text":"x","f":{v}}}\n' for i, v in enumerate(values)]
    (tmp_path / "a.jsonl").write_text("".join(lines))
    convert(tmp_path / "a.jsonl", tmp_path / "b.parquet")
    assert str(pq.read_schema(tmp_path / "b.parquet").field("f").type) == kind
    convert(tmp_path / "b.parquet", tmp_path / "c.jsonl")
    found = [json.loads(line).get("f") for line in (tmp_path / "c.jsonl").read_text().splitlines()]
    assert found == [json.loads(v) for v in values]


def test_fields_beyond_the_most_columns_stay_together(tmp_path: Path) -> None:
    row = {"id": "a", "text": "x", "none": None, **{f"f{i}": i for i in range(MAX_COLUMNS + 2)}}
    (tmp_path / "a.jsonl").write_text(json.dumps(row) + "\n")
    convert(tmp_path / "a.jsonl", tmp_path / "b.parquet")
    table = pq.read_table(tmp_path / "b.parquet")
    assert len(table.schema) == 2 + MAX_COLUMNS + 1
    assert table.column("other_fields").to_pylist() == ['{"f256":256,"f257":257}']
    convert(tmp_path / "b.parquet", tmp_path / "c.jsonl")
    assert json.loads((tmp_path / "c.jsonl").read_text()) == {k: v for k, v in row.items() if k != "none"}


def test_no_documents(tmp_path: Path) -> None:
    ParquetDocumentWriter(str(tmp_path / "b.parquet")).finish()
    table = pq.read_table(tmp_path / "b.parquet")
    assert (table.num_rows, table.schema.names) == (0, ["id", "text"])


def test_documents_that_cannot_be_read_back_are_an_error(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(b"\n".join(LINES) + b"\n")
    writer = ParquetDocumentWriter(str(tmp_path / "b.parquet"))
    for documents in read_documents(tmp_path / "a.jsonl", keep_raw=True):
        writer.write_documents(documents.records, discard=["id"])
    with pytest.raises(DataError) as caught:
        writer.finish()
    assert str(caught.value).startswith(
        f"{tmp_path}/b.parquet: expected to read back the 4 documents written for it, found 0; the first trouble: "
        "line 1: missing field `id`"
    )
    assert [p.name for p in tmp_path.iterdir()] == ["a.jsonl"]


def test_an_aborted_writer_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(LINES[3] + b"\n")
    writer = ParquetDocumentWriter(str(tmp_path / "b.parquet"))
    for documents in read_documents(tmp_path / "a.jsonl", keep_raw=True):
        writer.write_documents(documents.records)
    writer.abort()
    assert [p.name for p in tmp_path.iterdir()] == ["a.jsonl"]
