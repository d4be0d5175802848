"""Files that are not documents are named for what they are; those that hold some are left to the reader."""

import bz2
import gzip
import io
import json
import lzma
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.feather as feather
import pyarrow.orc as orc
import pyarrow.parquet as pq
import pytest
import zstandard

from dolma_pipeline.errors import ConfigError
from dolma_pipeline.formats.detect import HEAD, foreign_format, refuse_foreign

ROWS = [{"id": f"{i}", "text": f"document, number {i}"} for i in range(20)]
LINES = "".join(json.dumps(row) + "\n" for row in ROWS).encode()
PROSE = b"# A title\n\nSome words, and more of them.\nAnd a second line.\n"


def zipped() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("a.jsonl", LINES)
    return out.getvalue()


def tarred() -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        member = tarfile.TarInfo("a.jsonl")
        member.size = len(LINES)
        archive.addfile(member, io.BytesIO(LINES))
    return out.getvalue()


def arrow(write: Callable[[pa.Table, io.BytesIO], None]) -> bytes:
    out = io.BytesIO()
    write(pa.Table.from_pylist(ROWS), out)
    return out.getvalue()


def stream(table: pa.Table, out: io.BytesIO) -> None:
    with pa.ipc.new_stream(out, table.schema) as writer:
        writer.write_table(table)


def rows_with(joint: str, *, start: str = "", end: str = "") -> bytes:
    return (start + joint.join(json.dumps(row) for row in ROWS) + end).encode()


PARQUET = arrow(pq.write_table)
FOREIGN = {
    "a JSON array": [
        json.dumps(ROWS).encode(),
        json.dumps(ROWS).encode() + b"\n",
        json.dumps(ROWS, indent=2).encode(),
        rows_with(",\n", start="[\n", end="\n]\n"),
        rows_with("\n,", start="[", end="\n]"),
        rows_with(",\n", start="[", end="]"),
        json.dumps(ROWS * 5000).encode(),
        json.dumps([{"id": "a", "text": "x" * HEAD}] * 2, indent=1).encode(),
    ],
    "JSON objects of several lines each": [
        json.dumps(ROWS[0], indent=2).encode(),
        b"\n".join(json.dumps(row, indent=4).encode() for row in ROWS),
        b'{ "id": "a",\n  "text": "b" }\n',
    ],
    "JSON objects without line ends between them": [rows_with(""), rows_with(" "), rows_with("\x1e")],
    "JSON objects with commas between them": [rows_with(",\n", end=",\n")],
    "lines that end with CR alone": [
        LINES.replace(b"\n", b"\r"),
        b"# bad\r" + LINES.replace(b"\n", b"\r"),
        LINES.replace(b"\n", b"\r") * 500,
    ],
    "lines of JSON that are not objects": [b'"one"\n"two"\n', b'["a", "b"]\n["c", "d"]\n'],
    "CSV": [
        b"id,text\n1,one\n2,two\n",
        b'id,text\n1,"one\nand more"\n2,"a ""b"""\n',
        b"id;text\r\n1;one\r\n",
        b"id,text\n" + b"".join(b'%d,"%s"\n' % (i, b"words " * 50) for i in range(1000)),
    ],
    "TSV": [b"id\ttext\n1\tone, two\n2\ttwo\n"],
    "HTML or XML": [
        b"<!DOCTYPE html>\n<html><body>404</body></html>\n",
        b'<?xml version="1.0"?><Error/>',
        b"<p>a\n</p>",
    ],
    "plain text": [PROSE, b"one line", PROSE * 2000, "naïve café\n".encode("latin-1") * 9, "日本\n".encode() * HEAD],
    "Parquet": [PARQUET],
    "WARC": [b"WARC/1.0\r\nWARC-Type: warcinfo\r\n\r\n"],
    "an Arrow IPC file (Feather)": [arrow(lambda table, out: feather.write_feather(table, out))],
    "an Arrow IPC stream": [arrow(stream)],
    "bzip2": [bz2.compress(LINES), bz2.compress(b"")],
    "xz": [lzma.compress(LINES)],
    "a zip archive": [zipped()],
    "a tar archive": [tarred()],
    "UTF-16 text": [LINES.decode().encode("utf-16"), LINES.decode().encode("utf-16-be"), "é".encode("utf-16") * 9],
    "UTF-32 text": [LINES.decode().encode("utf-32"), LINES.decode().encode("utf-32-le")],
    "Avro": [b"Obj\x01\x04\x16avro.schema"],
    "ORC": [arrow(orc.write_table)],
    "PDF": [b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n"],
    "a Git LFS pointer": [b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 12\n"],
}


CASES = [(name, data) for name, all in FOREIGN.items() for data in all]


@pytest.mark.parametrize(("name", "data"), CASES, ids=[f"{name}-{i}" for i, (name, _) in enumerate(CASES)])
def test_a_foreign_file_is_named(tmp_path: Path, name: str, data: bytes) -> None:
    for file in ("a.jsonl", "a.jsonl.gz", "a"):
        (tmp_path / file).write_bytes(data)
        found = foreign_format(str(tmp_path / file))
        assert found is not None, file
        assert found.name == name
    for file, packed in (
        ("b.gz", gzip.compress(data)),
        ("b.zst", zstandard.compress(data)),
        ("b", gzip.compress(data)),
    ):
        (tmp_path / file).write_bytes(packed)
        found = foreign_format(str(tmp_path / file))
        assert found is not None, file
        assert found.name.removesuffix(" in gzip").removesuffix(" in zstd") == name


LONG = b'{"id": "long", "text": "%s"}\n' % (b"x" * 3 * HEAD)
DEEP = b"[" * 100_000 + b"]" * 100_000


DOCUMENTS = [
    b"",
    b"\n \n",
    LINES,
    LINES.replace(b"\n", b"\r\n"),
    b"\xef\xbb\xbf\n\n" + LINES,
    LINES.rstrip(),
    LONG + LINES,
    LONG,
    PROSE + LINES,
    PROSE * 2000 + LINES,
    b'["x"]\n' + LINES,
    b"[\n" + LINES,
    b"{\n" + LINES,
    b'[{"id": "a", "te\n' + LINES,
    b'{"id": "a", "text": "b"\n',
    b'{"id": "a", "te\n{"id": "b", "te\n',
    b"{'id': 'a', 'text': 'b'}\n",
    b'{"id": "a", "text": "\xff"}\n',
    DEEP + b"\n" + LINES,
    b'{"id": "a", "text": "b", "x": ' + DEEP + b"}\n",
    b"x" * HEAD * 2 + b"\n" + LINES,
    bytes(64),
    bytes(HEAD) + b"\n" + LINES,
    bytes(range(256)) * 20,
    b'{"id": "a", "text": "}, {"}\n',
    b"\x1f\x8b",
]


@pytest.mark.parametrize("data", DOCUMENTS, ids=range(len(DOCUMENTS)))
def test_what_may_hold_documents_is_not_refused(tmp_path: Path, data: bytes) -> None:
    for file, packed in (("a.jsonl", data), ("a.gz", gzip.compress(data)), ("a.zst", zstandard.compress(data))):
        (tmp_path / file).write_bytes(packed)
        assert foreign_format(str(tmp_path / file)) is None, file


def test_a_damaged_file_is_left_to_the_reader(tmp_path: Path) -> None:
    for data in (
        gzip.compress(LINES)[:20],
        zstandard.compress(LINES)[:-3],
        b"\x1f\x8b\x08",
        gzip.compress(LINES) + b"x",
    ):
        (tmp_path / "a.gz").write_bytes(data)
        assert foreign_format(str(tmp_path / "a.gz")) is None
    assert foreign_format(str(tmp_path / "nowhere")) is None


def test_parquet_goes_by_its_name(tmp_path: Path) -> None:
    for data, name in (
        (PARQUET, None),
        (b"", None),
        (b"\x00" * 90, None),
        (LINES, "JSON lines"),
        (gzip.compress(LINES), "JSON lines"),
        (FOREIGN["a Git LFS pointer"][0], "a Git LFS pointer"),
    ):
        (tmp_path / "a.parquet").write_bytes(data)
        found = foreign_format(str(tmp_path / "a.parquet"))
        assert (found.name if found is not None else None) == name


def test_compressed_twice(tmp_path: Path) -> None:
    (tmp_path / "a.gz").write_bytes(gzip.compress(zstandard.compress(LINES)))
    found = foreign_format(str(tmp_path / "a.gz"))
    assert found is not None
    assert found.name == "zstd in gzip"


def test_what_zstd_needs_is_named(tmp_path: Path) -> None:
    samples: list[bytes | bytearray | memoryview[int]] = [
        f"{i} {i * 7919} some text that comes again".encode() for i in range(500)
    ]
    dictionary = zstandard.train_dictionary(1000, samples)
    (tmp_path / "a.zst").write_bytes(zstandard.ZstdCompressor(dict_data=dictionary).compress(LINES))
    found = foreign_format(str(tmp_path / "a.zst"))
    assert found is not None
    assert found.name == f"the zstd frame needs the dictionary {dictionary.dict_id()}"


def test_one_file_is_one_line_and_many_are_listed(tmp_path: Path) -> None:
    good, first = tmp_path / "good.jsonl", tmp_path / "0.csv"
    good.write_bytes(LINES)
    first.write_bytes(b"id,text\n1,one\n")
    refuse_foreign([str(good)])
    with pytest.raises(ConfigError) as error:
        refuse_foreign([str(good), str(first)])
    assert str(error.value) == (
        f"{first}: expected JSON lines (one object a line; plain, gzip or zstd) or Parquet, found CSV; "
        "`pandas.read_csv(FILE).to_json(OUT, orient='records', lines=True)` writes a row as a line"
    )
    paths = [str(first)]
    for i in range(1, 8):
        paths.append(str(tmp_path / f"{i}.jsonl.gz"))
        Path(paths[-1]).write_bytes(gzip.compress(json.dumps(ROWS).encode()))
    with pytest.raises(ConfigError) as error:
        refuse_foreign(paths)
    head, *lines = str(error.value).splitlines()
    assert head == (
        "8 source files are not documents: expected JSON lines (one object a line; plain, gzip or zstd) or Parquet"
    )
    assert lines[1:] == [
        *(f"  {path}: found a JSON array; `jq -c '.[]' FILE` writes its items as lines" for path in paths[1:5]),
        "  and 3 more",
    ]
