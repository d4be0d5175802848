"""Parquet files are joined without decoding them: the rows, the types and what the footers say are kept."""

from __future__ import annotations

import random
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dolma_pipeline.errors import DataError
from dolma_pipeline.formats import thrift
from dolma_pipeline.formats.attribute_join import join_attributes
from dolma_pipeline.formats.attributes import SPANS, AttributeWriter
from dolma_pipeline.formats.other_texts import TextDigest, joined_digest, recorded
from dolma_pipeline.formats.parquet_join import join_parquet, read_footer
from dolma_pipeline.io.atomic import output


def table(seed: int, rows: int) -> pa.Table:
    rng = random.Random(seed)
    spans = [[{"start": i, "end": i + 3, "score": i / 7} for i in range(rng.randint(0, 4))] for _ in range(rows)]
    return pa.table(
        {
            "id": pa.array([f"é{n}" for n in range(rows)], pa.large_string()),
            "score": pa.array([rng.choice([None, rng.random()]) for _ in range(rows)], pa.float64()),
            "spans": pa.array(spans, SPANS),
            "word": pa.array([rng.choice(["a", "b", None]) for _ in range(rows)], pa.string()),
        }
    )


def write(path: Path, values: pa.Table, groups: int, **options: object) -> str:
    pq.write_table(values, path, row_group_size=max(1, -(-values.num_rows // groups)), **options)
    return str(path)


@pytest.mark.parametrize(
    "options",
    [
        {"compression": "zstd"},
        {"compression": "none", "use_dictionary": False, "write_statistics": False},
        {"compression": "snappy", "write_page_index": True, "write_page_checksum": True, "version": "1.0"},
    ],
)
def test_what_is_joined_reads_as_its_parts(tmp_path: Path, options: dict[str, object]) -> None:
    tables = [table(n, rows) for n, rows in enumerate([1000, 0, 1, 40_000, 300])]
    parts = [write(tmp_path / f"{n}.parquet", t, 1 + 9 * (n == 3), **options) for n, t in enumerate(tables)]
    written = join_parquet(parts, str(tmp_path / "all.parquet"), {"key": "välue"})
    assert written == output(str(tmp_path / "all.parquet"))
    file = pq.ParquetFile(tmp_path / "all.parquet", page_checksum_verification=True)
    joined = file.read()
    assert joined.equals(pa.concat_tables(tables))
    assert joined.schema.equals(tables[0].schema)
    assert file.metadata.num_row_groups == 13
    assert [file.metadata.row_group(n).num_rows for n in range(13)] == [1000, 1, *[4000] * 10, 300]
    assert file.read_row_group(11).equals(tables[3].slice(36_000))
    assert (file.metadata.metadata or {})[b"key"] == "välue".encode()
    assert pq.read_table(tmp_path / "all.parquet", filters=[("id", "=", "é39999")]).num_rows == 1


def test_a_file_of_one_part_is_that_part(tmp_path: Path) -> None:
    part = write(tmp_path / "a.parquet", table(1, 500), 3)
    join_parquet([part], str(tmp_path / "b.parquet"), {})
    assert (tmp_path / "b.parquet").read_bytes() == (tmp_path / "a.parquet").read_bytes()
    empty = write(tmp_path / "empty.parquet", table(1, 0), 1)
    join_parquet([empty, empty], str(tmp_path / "b.parquet"), {})
    assert pq.read_table(tmp_path / "b.parquet").equals(table(1, 0))


def test_parts_of_other_columns_are_not_joined(tmp_path: Path) -> None:
    parts = [write(tmp_path / "a.parquet", table(1, 5), 1), write(tmp_path / "b.parquet", table(1, 5).drop("word"), 1)]
    assert join_parquet(parts, str(tmp_path / "c.parquet"), {}) is None
    assert not (tmp_path / "c.parquet").exists()


def test_what_is_no_parquet_is_told(tmp_path: Path) -> None:
    part = Path(write(tmp_path / "a.parquet", table(1, 5), 1))
    part.write_bytes(part.read_bytes()[:-1])
    with pytest.raises(DataError, match=r"a\.parquet: expected a Parquet file, which ends in `PAR1`, found"):
        join_parquet([str(part)], str(tmp_path / "b.parquet"), {})


def test_a_footer_is_written_as_it_was_read(tmp_path: Path) -> None:
    part = write(tmp_path / "a.parquet", table(1, 5000), 20)
    footer, begin = read_footer(part)
    assert thrift.encode(footer) == Path(part).read_bytes()[begin:-8]
    with pytest.raises(DataError, match="expected a struct in Thrift's compact protocol"):
        thrift.decode(Path(part).read_bytes()[begin : begin + 50])


def test_digests_of_pieces_give_that_of_the_whole() -> None:
    texts = pa.array([f"text {n}" for n in range(100)], pa.large_string())
    whole = TextDigest()
    whole.add(texts)
    pieces = []
    for start, end in ((0, 0), (0, 33), (33, 34), (34, 100)):
        digest = TextDigest()
        digest.add(texts.slice(start, end - start))
        pieces.append(digest.of_piece())
    assert joined_digest(pieces) == whole.hex()
    assert joined_digest([pieces[0], pieces[2], pieces[1], pieces[3]]) != whole.hex()


def write_piece(path: Path, number: int, keys: list[str]) -> str:
    texts = pa.array([f"text {number}"] * 3, pa.large_string())
    writer = AttributeWriter(path)
    writer.of_piece = True
    columns = {key: pa.array([float(number), None, 2.0], pa.float64()) for key in keys}
    writer.write_rows(pa.array([f"{number}{n}" for n in "abc"], pa.large_string()), columns, texts=texts)
    writer.finish()
    return str(path)


def test_attribute_files_are_joined(tmp_path: Path) -> None:
    parts = [write_piece(tmp_path / f"{n}.parquet", n, ["x", "y"]) for n in range(3)]
    out = str(tmp_path / "all.parquet")
    assert join_attributes(parts, out) == output(out)
    assert pq.read_table(out).column("id").to_pylist() == [f"{n}{c}" for n in range(3) for c in "abc"]
    digest = TextDigest()
    for n in range(3):
        digest.add(pa.array([f"text {n}"] * 3, pa.large_string()))
    assert recorded(out) == digest.hex()
    # A part with a column more: those of the others are null there.
    parts.append(write_piece(tmp_path / "3.parquet", 3, ["x", "z"]))
    assert join_attributes(parts, out) == output(out)
    assert pq.read_table(out).column("z").to_pylist() == [None] * 9 + [3.0, None, 2.0]
    digest.add(pa.array(["text 3"] * 3, pa.large_string()))
    assert recorded(out) == digest.hex()
