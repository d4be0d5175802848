"""Documents to Parquet and back."""

from pathlib import Path

import pyarrow.parquet as pq

from dolma_pipeline import _native
from dolma_pipeline.formats.documents import read_documents
from dolma_pipeline.formats.parquet_documents import ParquetDocumentWriter

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
        b'{"text":"a\\u0000\\n\xc3\xa9","id":"1","source":"s","metadata":{"n":1.10,"big":123456789012345678901,"u":"x"}}',
        b'{"text":"","id":"2","added":"2024","odd":1E400,"list":[1, {"a":null}],"version":3}',
        b'{"text":"b","id":"3","metadata":"none","other_fields":7}',
        b'{"text":"c","id":"4"}',
    ]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.jsonl", "b.parquet", "c.jsonl"]


def test_the_columns(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(b"\n".join(LINES) + b"\n")
    convert(tmp_path / "a.jsonl", tmp_path / "b.parquet")
    rows = pq.read_table(tmp_path / "b.parquet").to_pylist()
    assert [r["text"] for r in rows] == ["a\0\né", "", "b", "c"]
    assert rows[0]["metadata"] == '{"n":1.10,"big":123456789012345678901,"u":"x"}'
    assert [r["other_fields"] for r in rows] == [
        None,
        '{"odd":1E400,"list":[1, {"a":null}],"version":3}',
        '{"metadata":"none","other_fields":7}',
        None,
    ]


def test_an_aborted_writer_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(LINES[3] + b"\n")
    writer = ParquetDocumentWriter(str(tmp_path / "b.parquet"))
    for documents in read_documents(tmp_path / "a.jsonl", keep_raw=True):
        writer.write_documents(documents.records)
    writer.abort()
    assert [p.name for p in tmp_path.iterdir()] == ["a.jsonl"]
