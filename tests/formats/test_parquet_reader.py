"""Parquet of anybody's making: read right, or refused by name; one bad value costs one row."""

import io
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dolma_pipeline import _native
from dolma_pipeline.formats.columns import Columns
from dolma_pipeline.formats.documents import DocumentStream, read_documents

TEXTS = ["one", "zwei é", "drei"]


def write(path: Path, columns: dict[str, Any], **options: Any) -> Path:
    pq.write_table(pa.table(columns), path, **options)
    return path


def both(path: Path, columns: Columns | None = None) -> tuple[list[Any], list[dict[str, Any]], DocumentStream]:
    """(id, text, source, line) and lines; without the lines the same documents must come, and the same bad rows."""
    rows: list[list[Any]] = []
    lines: list[dict[str, Any]] = []
    streams = []
    for keep_raw in (False, True):
        stream = read_documents(path, columns=columns, keep_raw=keep_raw)
        found: list[Any] = []
        for d in stream:
            found += zip(d.id.to_pylist(), d.text.to_pylist(), d.source.to_pylist(), d.line.to_pylist(), strict=True)
            if d.raw is not None:
                lines += [json.loads(line) for line in d.raw.to_pylist()]
        rows.append(found)
        streams.append(stream)
    assert rows[0] == rows[1]
    assert [(b.line, b.offset, b.reason) for b in streams[0].bad] == [
        (b.line, b.offset, b.reason) for b in streams[1].bad
    ]
    assert (streams[0].damage, streams[0].unread) == (streams[1].damage, streams[1].unread)
    return rows[0], lines, streams[1]


@pytest.mark.parametrize(
    "ids",
    [
        pa.array([1, 2, 3]),
        pa.array([1, 2, 3], pa.uint8()),
        pa.array([b"1", b"2", b"3"]),
        pa.array(["1", "2", "3"]).dictionary_encode(),
        pa.array(["1", "2", "3"], pa.large_string()),
        pa.array(["1", "2", "3"], pa.string_view()),
    ],
    ids=lambda a: str(a.type),
)
@pytest.mark.parametrize(
    "text",
    [pa.array(TEXTS), pa.array([t.encode() for t in TEXTS]), pa.array(TEXTS).dictionary_encode()],
    ids=lambda a: str(a.type),
)
def test_the_line_has_the_id_and_the_text_that_were_read(tmp_path: Path, ids: pa.Array, text: pa.Array) -> None:
    path = write(tmp_path / "a.parquet", {"id": ids, "text": text, "source": text, "n": [1, None, 3]})
    rows, lines, stream = both(path)
    assert rows == [(str(i), t, t, i) for i, t in enumerate(TEXTS, 1)]
    assert lines == [
        {"id": str(i), "text": t, "source": t, **({} if i == 2 else {"n": i})} for i, t in enumerate(TEXTS, 1)
    ]
    assert (stream.bad, stream.damage) == ([], None)


@pytest.mark.parametrize(
    ("columns", "reason"),
    [
        ({"id": [1.0], "text": ["x"]}, "column `id`: expected text or whole numbers, found double"),
        ({"id": ["a"], "text": [["x"]]}, "column `text`: expected text, found list<element: string>"),
        ({"id": ["a"], "text": [{"a": "x"}]}, "column `text`: expected text, found struct<a: string>"),
        ({"id": ["a"], "text": [5]}, "column `text`: expected text, found int64"),
        (
            {"id": ["a"], "body": ["x"], "n": [1]},
            "expected a column `text`, found `id`, `body`, `n`; `columns: {text: body}` says where it is",
        ),
        (
            {"text": ["a"]},
            "expected a column `id`, found `text`; `columns: {id: NAME}` says where it is, `columns: {id: null}` "
            "makes ids from the texts",
        ),
    ],
)
def test_a_file_is_refused_by_name(tmp_path: Path, columns: dict[str, Any], reason: str) -> None:
    rows, _, stream = both(write(tmp_path / "a.parquet", columns))
    assert rows == []
    assert stream.damage == f"the file cannot be read: {reason}"


def test_two_columns_of_one_name_are_refused(tmp_path: Path) -> None:
    table = pa.Table.from_arrays([pa.array(["a"])] * 3, names=["id", "text", "text"])
    pq.write_table(table, tmp_path / "a.parquet")
    _, _, stream = both(tmp_path / "a.parquet")
    assert stream.damage == ("the file cannot be read: expected columns of different names, found two called `text`")


def test_an_encrypted_file_is_called_so(tmp_path: Path) -> None:
    path = write(tmp_path / "a.parquet", {"id": ["a"], "text": ["x"]})
    data = path.read_bytes()
    path.write_bytes(b"PARE" + data[4:-4] + b"PARE")
    _, _, stream = both(path)
    assert stream.damage == "the file cannot be read: it is encrypted (it begins with `PARE`); decrypt it first"


@pytest.mark.parametrize("cut", [3, 50, 200])
def test_a_truncated_file_gives_no_traceback(tmp_path: Path, cut: int) -> None:
    path = write(tmp_path / "a.parquet", {"id": ["a"], "text": ["x"]})
    path.write_bytes(path.read_bytes()[:-cut])
    _, _, stream = both(path)
    assert (stream.damage or "").startswith("the file is truncated or corrupt: ")


def damaged(path: Path, column: int, *groups: int) -> Path:
    """A file of 4,000 rows in groups of 1,000, with damage to a column of some of the groups."""
    texts = [f"some text number {i * 7919} " * 20 for i in range(4000)]
    columns = {"id": [str(i) for i in range(4000)], "text": texts, "url": [f"http://{i}/{i * i}" for i in range(4000)]}
    write(path, columns, row_group_size=1000, compression="zstd", write_page_checksum=True)
    data = bytearray(path.read_bytes())
    for group in groups:
        found = pq.ParquetFile(path).metadata.row_group(group).column(column)
        begin = found.dictionary_page_offset or found.data_page_offset
        for i in range(begin + 60, begin + 160):
            data[i] ^= 0xA7
    path.write_bytes(data)
    return path


def test_rows_around_a_damaged_row_group_are_kept(tmp_path: Path) -> None:
    rows, _, stream = both(damaged(tmp_path / "a.parquet", 1, 1))
    assert [(r[0], r[3]) for r in rows] == [(str(i), i + 1) for i in range(4000) if i // 1000 != 1]
    assert stream.unread == [(1001, 2000)]
    assert stream.unread_rows == 1000
    assert (stream.damage or "").startswith(
        "the file is truncated or corrupt: 1,000 of 4,000 rows are not read: row group 2, rows 1001 to 2000, "
        "column `text`: "
    )


def test_every_damaged_row_group_is_named(tmp_path: Path) -> None:
    rows, _, stream = both(damaged(tmp_path / "a.parquet", 0, 0, 1, 3))
    assert [r[3] for r in rows] == list(range(2001, 3001))
    assert stream.unread == [(1, 2000), (3001, 4000)]
    places = [part.split(": ")[0] for part in (stream.damage or "").partition("not read: ")[2].split("; ")]
    assert places == [
        "row group 1, rows 1 to 1000, column `id`",
        "row group 2, rows 1001 to 2000, column `id`",
        "row group 4, rows 3001 to 4000, column `id`",
    ]


def test_of_many_damaged_row_groups_the_first_are_named(tmp_path: Path) -> None:
    path = write(tmp_path / "a.parquet", {"id": [str(i) * 9 for i in range(80)], "text": ["x"] * 80}, row_group_size=10)
    data = bytearray(path.read_bytes())
    metadata = pq.ParquetFile(path).metadata
    for group in range(7):
        begin = metadata.row_group(group).column(0).dictionary_page_offset
        data[begin : begin + 8] = b"\xff" * 8
    path.write_bytes(data)
    rows, _, stream = both(path)
    assert [r[3] for r in rows] == list(range(71, 81))
    assert stream.unread == [(1, 70)]
    assert (stream.damage or "").count("row group ") == 5
    assert (stream.damage or "").endswith("; and 2 more row groups")


def test_damage_to_a_column_that_nobody_asked_for_costs_the_same_rows(tmp_path: Path) -> None:
    """`both` reads with the lines and without: a mix must have the rows that the taggers had."""
    rows, _, stream = both(damaged(tmp_path / "a.parquet", 2, 2))
    assert [r[3] for r in rows] == [*range(1, 2001), *range(3001, 4001)]
    assert stream.unread == [(2001, 3000)]


def test_rows_before_a_damaged_page_of_a_row_group_are_kept(tmp_path: Path) -> None:
    texts = [f"{i} {i * 7919} " * 40 for i in range(6000)]
    options = {"row_group_size": 3000, "compression": "zstd", "use_dictionary": False, "data_page_size": 4096}
    path = write(tmp_path / "a.parquet", {"id": [str(i) for i in range(6000)], "text": texts}, **options)
    data = bytearray(path.read_bytes())
    column = pq.ParquetFile(path).metadata.row_group(0).column(1)
    begin = column.data_page_offset + column.total_compressed_size * 3 // 4
    for i in range(begin, begin + 400):
        data[i] ^= 0xA7
    path.write_bytes(data)
    rows, _, stream = both(path)
    assert [r[3] for r in rows] == [*range(1, 2049), *range(3001, 6001)]
    assert stream.unread == [(2049, 3000)]


def test_the_rows_of_a_file_that_is_refused_are_counted(tmp_path: Path) -> None:
    _, _, stream = both(write(tmp_path / "a.parquet", {"id": ["a", "b"], "body": ["x", "y"]}))
    assert stream.unread == [(1, 2)]


def test_one_bad_value_costs_one_row_whatever_the_row_groups(tmp_path: Path) -> None:
    ids: list[bytes | None] = [str(i).encode() for i in range(3000)]
    texts: list[bytes | None] = [b"text"] * 3000
    texts[7], texts[1500], ids[2999] = b"x\xff", None, None
    path = write(tmp_path / "a.parquet", {"id": ids, "text": texts}, row_group_size=700)
    rows, _, stream = both(path)
    assert [r[3] for r in rows] == [n for n in range(1, 3001) if n not in (8, 1501, 3000)]
    assert [(b.line, b.reason, b.raw) for b in stream.bad] == [
        (8, "`text`: invalid UTF-8 at byte 1", b'{"id":"7","text":{"base64":"eP8="}}'),
        (1501, "missing field `text`", b'{"id":"1500"}'),
        (3000, "missing field `id`", b'{"text":"text"}'),
    ]


def test_metadata_and_other_fields_are_objects_whatever_holds_them(tmp_path: Path) -> None:
    columns = {
        "id": ["a", "b", "c", "d"],
        "text": ["x"] * 4,
        "metadata": ['{"k":\n 1.50}', "no object", None, '{"k": NaN}'],
        "other_fields": ['{"a":1}', "7", None, None],
    }
    path = write(tmp_path / "a.parquet", columns)
    _, lines, _ = both(path)
    assert [{k: v for k, v in line.items() if k not in ("id", "text")} for line in lines] == [
        {"metadata": {"k": 1.5}, "a": 1},
        {"metadata": "no object", "other_fields": "7"},
        {},
        {"metadata": '{"k": NaN}'},
    ]
    stream = read_documents(path, keep_raw=True)
    (documents,) = list(stream)
    assert documents.raw is not None
    assert documents.raw[0].as_py() == b'{"id":"a","text":"x","metadata":{"k":  1.50},"a":1}'


def test_a_field_among_the_others_takes_the_place_of_none(tmp_path: Path) -> None:
    columns = {"id": ["a"], "text": ["x"], "other_fields": ['{"text":"evil","b":1}']}
    rows, lines, _ = both(write(tmp_path / "a.parquet", columns))
    assert rows == [("a", "x", None, 1)]
    assert lines == [{"id": "a", "text": "x", "other_fields": {"text": "evil", "b": 1}}]


def test_mapped_columns(tmp_path: Path) -> None:
    columns = {
        "url": ["u1", "u2"],
        "content": ["x", "y"],
        "meta": pa.array([{"site": "s", "n": 1}, {"site": None, "n": 2}]),
        "text": ["old", None],
        "dump": ["d", "d"],
    }
    path = write(tmp_path / "a.parquet", columns)
    mapping = Columns(id="url", url="url", text="content", source="meta.site", metadata="meta")
    rows, lines, stream = both(path, mapping)
    assert rows == [("u1", "x", "s", 1), ("u2", "y", None, 2)]
    assert lines == [
        {
            "id": "u1",
            "text": "x",
            "source": "s",
            "original_text": "old",
            "dump": "d",
            "metadata": {"n": 1, "url": "u1"},
        },
        {"id": "u2", "text": "y", "dump": "d", "metadata": {"site": None, "n": 2, "url": "u2"}},
    ]
    assert stream.bad == []


@pytest.mark.parametrize("metadata", [[{"body": "x"}, {"body": None}], ['{"body":"x"}', '{"k":1}']])
def test_a_text_within_an_object(tmp_path: Path, metadata: list[Any]) -> None:
    path = write(tmp_path / "a.parquet", {"id": [1, 2], "metadata": metadata})
    rows, lines, stream = both(path, Columns(text="metadata.body"))
    assert rows == [("1", "x", None, 1)]
    assert lines == [{"id": "1", "text": "x", "metadata": {}}]
    assert [b.reason for b in stream.bad] == ["missing field `metadata.body`"]


def test_ids_are_made_from_texts(tmp_path: Path) -> None:
    made = _native.content_ids(pa.array(["x", "y"], pa.large_string())).to_pylist()
    path = write(tmp_path / "a.parquet", {"id": ["a", None], "text": ["x", "y"]})
    assert [r[0] for r in both(path, Columns())[0]] == ["a", made[1]]
    rows, lines, _ = both(path, Columns(id=None))
    assert [r[0] for r in rows] == made
    assert lines[0] == {"id": made[0], "text": "x", "original_id": "a"}
    assert [r[0] for r in both(write(tmp_path / "b.parquet", {"text": ["x", "y"]}), Columns())[0]] == made
    assert [len(m) for m in dict.fromkeys(made)] == [32, 32]


def test_lines_and_rows_are_mapped_alike(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [
        {"uid": 5, "body": "x", "url": "u", "k": [1, {"a": 1.5}]},
        {"uid": 6, "body": "y", "url": None, "k": []},
        {"uid": 7, "body": None, "url": "v", "k": None},
    ]
    mapping = Columns(id="uid", text="body", url="url")
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    pq.write_table(pa.Table.from_pylist([{**r, "k": None} for r in rows]), tmp_path / "a.parquet")
    lines, _, of_lines = both(tmp_path / "a.jsonl", mapping)
    columns, _, of_columns = both(tmp_path / "a.parquet", mapping)
    assert lines == columns == [("5", "x", None, 1), ("6", "y", None, 2)]
    assert [b.reason for b in of_lines.bad] == [b.reason for b in of_columns.bad] == ["missing field `body`"]


def test_a_file_of_no_rows(tmp_path: Path) -> None:
    rows, _, stream = both(write(tmp_path / "a.parquet", {"id": pa.nulls(0), "text": pa.nulls(0)}))
    assert (rows, stream.damage) == ([], None)


def test_bytes_of_a_file_cut_anywhere_never_raise(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    pq.write_table(pa.table({"id": ["a", "b"], "text": ["x", "y"]}), buffer)
    whole = buffer.getvalue()
    path = tmp_path / "a.parquet"
    for cut in range(1, len(whole), 37):
        path.write_bytes(whole[:cut])
        assert both(path)[2].damage is not None
