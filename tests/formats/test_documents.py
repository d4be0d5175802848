import gzip
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from dolma_pipeline import _native
from dolma_pipeline.formats.documents import BadLine, read_documents


def rows(path: Path, **options: Any) -> list[tuple[str, str, str | None, int]]:
    found = []
    for documents in read_documents(path, **options):
        found += list(
            zip(
                documents.id.to_pylist(),
                documents.text.to_pylist(),
                documents.source.to_pylist(),
                documents.line.to_pylist(),
                strict=True,
            )
        )
    return found


LINES = b'{"id": "a", "text": "one", "source": "s"}\n{"text": "zwei \\u00fc\\ud83d\\ude00\\n", "id": "b"}\n'


def with_window(log: int, text: bytes) -> bytes:
    """A zstd frame that asks for a window of 2^log bytes, as `zstd --long=LOG` writes it."""
    compressor = zstandard.ZstdCompressor().compressobj()
    packed = bytearray(compressor.compress(text) + compressor.flush())
    packed[5] = (log - 10) << 3
    return bytes(packed)


EXPECTED = [("a", "one", "s", 1), ("b", "zwei ü😀\n", None, 2)]


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("d.jsonl", LINES),
        ("d.json", LINES.rstrip(b"\n")),
        ("d.jsonl.gz", gzip.compress(LINES)),
        ("members.jsonl.gz", b"".join(gzip.compress(line + b"\n") for line in LINES.splitlines())),
        ("d.jsonl.zst", zstandard.compress(LINES)),
        ("frames.jsonl.zst", b"".join(zstandard.compress(line + b"\n") for line in LINES.splitlines())),
        ("crlf.jsonl", LINES.replace(b"\n", b"\r\n")),
        ("bom.jsonl", b"\xef\xbb\xbf" + LINES),
        ("capitals.JSONL.GZ", gzip.compress(LINES)),
        ("gzip.jsonl", gzip.compress(LINES)),
        ("gzip.jsonl.zst", gzip.compress(LINES)),
        ("zstd", zstandard.compress(LINES)),
        ("plain.jsonl.gz", LINES),
        ("zeros.jsonl.gz", gzip.compress(LINES) + bytes(10240)),
        ("zeros-between.gz", b"".join(gzip.compress(line + b"\n") + bytes(512) for line in LINES.splitlines())),
        ("long.zst", with_window(31, LINES)),
    ],
)
def test_every_form_of_lines(tmp_path: Path, name: str, data: bytes) -> None:
    (tmp_path / name).write_bytes(data)
    assert rows(tmp_path / name) == EXPECTED
    assert rows(tmp_path / name, keep_raw=True) == EXPECTED


@pytest.mark.parametrize("name", ["e.jsonl", "e.jsonl.gz", "e.jsonl.zst", "e.parquet"])
def test_a_file_of_no_bytes_is_empty(tmp_path: Path, name: str) -> None:
    (tmp_path / name).touch()
    assert rows(tmp_path / name) == []


def test_parquet(tmp_path: Path) -> None:
    table = pa.table({"id": ["a", None, "c"], "text": ["one", "x", "drei"], "metadata": [{"n": 1}, None, {"n": 3}]})
    pq.write_table(table, tmp_path / "d.parquet")
    stream = read_documents(tmp_path / "d.parquet", keep_raw=True)
    (documents,) = list(stream)
    assert documents.id.to_pylist() == ["a", "c"]
    assert documents.line.to_pylist() == [1, 3]
    assert documents.raw is not None
    assert [json.loads(r) for r in documents.raw.to_pylist()] == [
        {"id": "a", "text": "one", "metadata": {"n": 1}},
        {"id": "c", "text": "drei", "metadata": {"n": 3}},
    ]
    assert [b.reason for b in stream.bad] == ["missing field `id`"]
    out = tmp_path / "out.jsonl"
    writer = _native.LineWriter(str(out))
    assert writer.write_documents(
        documents.records, texts=pa.array(["uno", None], pa.large_string()), provenance="f"
    ) == (
        2,
        7,
    )
    writer.finish()
    assert [json.loads(line) for line in out.read_text().splitlines()] == [
        {"id": "a", "text": "uno", "metadata": {"n": 1, "provenance": "f:1"}},
        {"id": "c", "text": "drei", "metadata": {"n": 3, "provenance": "f:3"}},
    ]


GOOD = b'{"id":"good","text":"kept"}\n'


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b'{"id":"a","text":"x"', "malformed JSON at byte 20: EOF while parsing an object"),
        (b'{"id":"a","text":"x"} {}', "malformed JSON at byte 23: trailing characters"),
        (b'["a","x"]', 'expected a JSON object, found `["a","x"]`'),
        (b"null", "expected a JSON object, found `null`"),
        (b'{"text":"x"}', "missing field `id`"),
        (b'{"id":"a"}', "missing field `text`"),
        (b'{"id":null,"text":"x"}', "missing field `id`"),
        (b'{"id":7,"text":"x"}', "expected a string for `id`, found a number"),
        (b'{"id":"a","text":["x"]}', "expected a string for `text`, found an array"),
        (b'{"id":"a","text":true}', "expected a string for `text`, found a boolean"),
        (b'{"id":"a","text":"x","id":"b"}', "duplicate field `id`"),
        (b'{"id":"a","text":"\xff"}', "invalid UTF-8 at byte 18 of the line"),
        (b'{"id":"a","text":"\\ud800x"}', "`text`: a lone surrogate \\ud800"),
        (
            b'{"id":"a","text":"a\x00b"}',
            "malformed JSON at byte 19: control character (\\u0000-\\u001F) found while parsing a string",
        ),
    ],
)
def test_a_bad_line_is_set_aside_with_its_place(tmp_path: Path, line: bytes, reason: str) -> None:
    path = tmp_path / "d.jsonl"
    path.write_bytes(GOOD + line + b"\n" + GOOD)
    stream = read_documents(path)
    assert [d.id.to_pylist() for d in stream] == [["good", "good"]]
    assert stream.bad == [BadLine(2, len(GOOD), reason, line, len(line))]
    assert stream.damage is None


def test_escaped_nul_is_text(tmp_path: Path) -> None:
    path = tmp_path / "d.jsonl"
    path.write_bytes(b'{"id":"a","text":"a\\u0000b"}\n')
    assert rows(path) == [("a", "a\0b", None, 1)]


@pytest.mark.parametrize("extension", ["gz", "zst"])
def test_a_truncated_file_gives_what_can_be_read(tmp_path: Path, extension: str) -> None:
    lines = b"".join(b'{"id":"%d","text":"%s"}\n' % (i, str(i**99).encode() * 9) for i in range(3000))
    whole = gzip.compress(lines) if extension == "gz" else zstandard.compress(lines)
    path = tmp_path / f"d.jsonl.{extension}"
    path.write_bytes(whole[: len(whole) * 2 // 3])
    stream = read_documents(path)
    count = sum(len(d) for d in stream)
    assert 1000 < count < 3000
    assert stream.damage is not None
    assert stream.damage.startswith("the file is truncated or corrupt after byte ")
    assert [b.line for b in stream.bad] in ([], [count + 1])


def test_a_long_line_is_read_and_one_over_the_limit_is_not(tmp_path: Path) -> None:
    path = tmp_path / "d.jsonl"
    path.write_bytes(b'{"id":"long","text":"' + b"x" * 5_000_000 + b'"}\n' + GOOD)
    assert [(r[0], len(r[1])) for r in rows(path)] == [("long", 5_000_000), ("good", 4)]
    stream = read_documents(path, max_line_bytes=1_000_000)
    assert [d.id.to_pylist() for d in stream] == [["good"]]
    assert [b.reason for b in stream.bad] == ["a line of 5000023 bytes, over the limit of 1000000"]


def test_the_limit_is_the_same_wherever_a_line_stands(tmp_path: Path) -> None:
    path = tmp_path / "d.jsonl"
    for filler in (0, 1 << 20):
        path.write_bytes(b" " * filler + b"\n" + GOOD + GOOD.replace(b"kept", b"kept!") + GOOD[:-1])
        stream = read_documents(path, max_line_bytes=len(GOOD) - 1)
        assert [d.id.to_pylist() for d in stream] == [["good", "good"]]
        assert [b.line for b in stream.bad] == ([1, 3] if filler else [3])


def test_damage_in_a_line_over_the_limit_is_told(tmp_path: Path) -> None:
    path = tmp_path / "d.jsonl.gz"
    path.write_bytes(gzip.compress(GOOD + b'{"id":"a"' + bytes(50_000_000) + b"\n" + GOOD)[:-3000])
    stream = read_documents(path, max_line_bytes=1 << 20)
    assert [d.id.to_pylist() for d in stream] == [["good"]]
    (bad,) = stream.bad
    assert (bad.line, bad.offset, len(bad.raw)) == (2, len(GOOD), 4096)
    assert 40_000_000 < bad.length < 50_000_000
    assert (
        stream.damage
        == f"{bad.reason}; the file ends at byte {path.stat().st_size}, and how much is missing is not known"
    )
    assert bad.reason == (
        f"the file is truncated or corrupt after byte {bad.offset + bad.length} of its text: incomplete gzip stream"
    )


def test_bytes_behind_gzip_are_told_and_lose_nothing(tmp_path: Path) -> None:
    path = tmp_path / "d.jsonl.gz"
    path.write_bytes(gzip.compress(GOOD) + b"rest")
    stream = read_documents(path)
    assert [d.id.to_pylist() for d in stream] == [["good"]]
    assert stream.bad == []
    assert stream.damage == (
        f"the file is truncated or corrupt after byte {len(GOOD)} of its text: "
        "bytes that are not gzip follow the last gzip member; "
        f"3 of the {path.stat().st_size} bytes of the file are not read"
    )
    assert stream.unread_bytes == 3


def test_what_zstd_cannot_read_is_not_called_damage(tmp_path: Path) -> None:
    dictionary = zstandard.train_dictionary(
        1000, [f"{i} {i * 7919} text that comes again".encode() for i in range(500)]
    )
    path = tmp_path / "d.jsonl.zst"
    first = zstandard.compress(GOOD)
    path.write_bytes(first + zstandard.ZstdCompressor(dict_data=dictionary).compress(GOOD))
    stream = read_documents(path)
    assert [d.id.to_pylist() for d in stream] == [["good"]]
    assert stream.damage == (
        f"the file cannot be read after byte {len(GOOD)} of its text: the zstd frame needs the dictionary "
        f"{dictionary.dict_id()}; decompress it with `zstd -d -D DICTIONARY`; {stream.unread_bytes} of the "
        f"{path.stat().st_size} bytes of the file are not read"
    )
    assert 0 < stream.unread_bytes <= path.stat().st_size - len(first)


def test_a_zstd_window_over_the_greatest_is_named(tmp_path: Path) -> None:
    path = tmp_path / "d.jsonl.zst"
    path.write_bytes(with_window(32, GOOD))
    stream = read_documents(path)
    assert list(stream) == []
    assert stream.damage == (
        "the file cannot be read after byte 0 of its text: the zstd frame has a window over 2 GiB, the greatest that "
        f"zstd reads; compress the text again with `--long=31` at most; {stream.unread_bytes} of the "
        f"{path.stat().st_size} bytes of the file are not read"
    )
    assert stream.unread_bytes > 0


def test_nesting_has_no_limit(tmp_path: Path) -> None:
    deep = b"[" * 100_000 + b"]" * 100_000
    path = tmp_path / "d.jsonl"
    path.write_bytes(b'{"id":"a","text":"x","metadata":{"x":' + deep + b"}}\n" + deep + b"\n" + GOOD)
    stream = read_documents(path, keep_raw=True)
    (documents,) = stream
    assert documents.id.to_pylist() == ["a", "good"]
    assert documents.field("metadata.y").to_pylist() == [None, None]
    assert [(b.line, b.length) for b in stream.bad] == [(2, 200_000)]


def test_fields_by_path(tmp_path: Path) -> None:
    path = tmp_path / "d.jsonl"
    path.write_bytes(
        b'{"id":"a","text":"x","metadata":{"url":"http://\\u00e9","n":1e400,"deep":{"k":"v"}}}\n'
        b'{"id":"b","text":"x","metadata":{"url":3}}\n{"id":"c","text":"x","metadata":4}\n'
    )
    (documents,) = list(read_documents(path, keep_raw=True))
    assert documents.field("$.metadata.url").to_pylist() == ["http://é", None, None]
    assert documents.field("metadata.deep.k").to_pylist() == ["v", None, None]
    assert documents.field("metadata").to_pylist() == [None, None, None]
    assert documents.field("text").to_pylist() == ["x", "x", "x"]


def test_a_missing_file_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"No such file or directory: '.*nope\.jsonl'"):
        list(read_documents(tmp_path / "nope.jsonl"))
