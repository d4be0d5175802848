"""Damaged files in the account: the rows that are lost, the bytes that are not read, and the budget for both."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from dolma_pipeline.config.load import decode
from dolma_pipeline.config.recipe import Recipe
from dolma_pipeline.engine.manifest import RunManifest, read_manifest
from dolma_pipeline.engine.run import RunOptions, run_recipe
from dolma_pipeline.engine.task import BadInput
from dolma_pipeline.engine.verify import account_problems, verify_run
from dolma_pipeline.errors import BadInputError
from dolma_pipeline.report.html import write_report
from dolma_pipeline.report.summary import render_summary

STAGES: list[dict[str, Any]] = [
    {"tag": {"experiment": "e", "taggers": ["char_length_v1"]}},
    {"dedupe": {"name": "d", "documents": {"key": "text"}}},
    {"mix": {"drop": {"short": "char_length_v1.length < 3", "copy": "d.duplicate"}, "format": "jsonl"}},
]


def recipe(directory: Path, stages: list[dict[str, Any]] = STAGES, **settings: Any) -> Recipe:
    sources = {"s": {"documents": str(directory / "documents" / "*")}}
    return decode(
        Recipe, {"name": "t", "work_dir": str(directory / "run"), "sources": sources, "stages": stages} | settings
    )


def run(made: Recipe, progress: Any = "none") -> RunManifest:
    return run_recipe(made, RunOptions(progress=progress))


@pytest.fixture
def documents(tmp_path: Path) -> Path:
    """200 files of one document each, so that one damaged file among them is under the budget of 1 % of the files."""
    directory = tmp_path / "documents"
    directory.mkdir()
    for i in range(200):
        (directory / f"a{i:03d}.jsonl").write_text(json.dumps({"id": f"a{i}", "text": f"text {i}"}) + "\n")
    return directory


def parquet(path: Path, rows: int, *damaged: int, column: int = 1) -> Path:
    """Row groups of 100, of which some are damaged in one column."""
    columns = {"id": [f"p{i}" for i in range(rows)], "text": [f"row {i} {i * i}" for i in range(rows)]}
    columns["url"] = [f"http://{i}" for i in range(rows)]
    pq.write_table(pa.table(columns), path, row_group_size=100, write_page_checksum=True)
    data = bytearray(path.read_bytes())
    for group in damaged:
        found = pq.read_metadata(path).row_group(group).column(column)
        data[(found.dictionary_page_offset or found.data_page_offset) + found.total_compressed_size - 1] ^= 0x55
    path.write_bytes(data)
    return path


def kept(directory: Path) -> list[str]:
    files = sorted((directory / "run" / "mixed").rglob("*.jsonl"))
    return [json.loads(line)["id"] for file in files for line in file.open()]


@pytest.mark.parametrize("column", [1, 2])
def test_lost_rows_count_one_by_one(documents: Path, tmp_path: Path, column: int) -> None:
    """Also where the damage is in a column that no tagger reads: every stage has the same rows."""
    file = parquet(documents / "z.parquet", 400, 1, 2, column=column)
    with pytest.raises(BadInputError) as error:
        run(recipe(tmp_path))
    assert str(error.value) == (
        "200 of 600 documents (33.33%) could not be read, over the max_bad_fraction of 0.01; 200 of them are rows that "
        "damaged files have lost, of which manifest.json has the numbers. Everything else is done"
    )
    assert kept(tmp_path)[200:] == [f"p{i}" for i in [*range(100), *range(300, 400)]]
    manifest = read_manifest(tmp_path / "run")
    for stage in manifest.stages:
        counts = stage.counts["s"]
        assert (counts.documents_in, counts.documents_out, counts.unread, counts.quarantined) == (600, 400, 200, 0)
        (bad,) = stage.bad["s"]
        assert (bad.file, bad.unread, bad.documents) == (str(file), [(101, 300)], 0)
    assert verify_run(tmp_path / "run") == []
    assert run(recipe(tmp_path, max_bad_fraction=0.34)).digest


def test_lost_rows_and_bad_lines_count_together(documents: Path, tmp_path: Path) -> None:
    parquet(documents / "z.parquet", 800, 0)
    with (documents / "a000.jsonl").open("a") as file:
        file.write("{}\n" * 3)
    run(recipe(tmp_path, max_bad_fraction=103 / 1003))
    with pytest.raises(BadInputError) as error:
        run(recipe(tmp_path, max_bad_fraction=0.102))
    assert str(error.value) == (
        "103 of 1,003 documents (10.27%) could not be read, over the max_bad_fraction of 0.102; 100 of them are rows "
        "that damaged files have lost, of which manifest.json has the numbers, and 3 are in "
        f"{tmp_path}/run/quarantine. Everything else is done"
    )


def test_lost_rows_are_told_wherever_there_is_an_account(
    documents: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = parquet(documents / "z.parquet", 400, 3)
    made = recipe(tmp_path, max_bad_fraction=1.0)
    run(made, "quiet")
    said = capsys.readouterr().err.splitlines()
    assert said[0].startswith(
        f"damaged: {file}: the file is truncated or corrupt: 100 of 400 rows are not read: row group 4, rows 301 to "
        "400, column `text`: "
    )
    assert said[1:] == ["not read: 100 of 600 documents, rows of 1 damaged file"]
    run(made, "json")
    events = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    (event,) = [e for e in events if e["event"] == "damaged"]
    assert (event["unread"], event["of"], event["files"][0]["unread"]) == (100, 600, [[301, 400]])
    summary = render_summary(tmp_path / "run").splitlines()
    assert [line.split() for line in summary if "unread" in line] == [["unread", "-100", "16.7%"]] * 3
    page = write_report(tmp_path / "run").read_text()
    assert page.count("<title>unread: 100</title>") == 3


def test_verify_holds_the_counts_against_the_files(documents: Path, tmp_path: Path) -> None:
    parquet(documents / "z.parquet", 200, 0)
    manifest = run(recipe(tmp_path, max_bad_fraction=1.0))
    manifest.stages[0].bad["s"] = [BadInput(file="z", damage="x", unread=[(1, 99)])]
    assert account_problems(manifest, tmp_path / "run") == [
        "stage 01-tag, source s: 100 documents unread, but 99 rows of damaged files"
    ]
    manifest.stages[0].counts["s"].unread = 99
    assert account_problems(manifest, tmp_path / "run") == [
        "stage 01-tag, source s: 400 documents in and 0 repeated, but 300 out, 0 dropped, 0 quarantined and 99 unread"
    ]


def lines(count: int) -> bytes:
    rows = [{"id": f"z{i}", "text": f"line {i}, which is {i * 7919 % 10007}"} for i in range(count)]
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def test_bytes_behind_damage_count_where_nobody_knows_the_documents(
    documents: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The second gzip member has a header of no known form, so that it and the third are lost."""
    first, second, third = (gzip.compress(lines(n), mtime=0) for n in (10, 3000, 2000))
    packed = bytearray(first + second + third)
    packed[len(first) + 3] = 0xFF
    file = documents / "z.jsonl.gz"
    file.write_bytes(packed)
    stored = sum(path.stat().st_size for path in documents.iterdir())
    lost = len(second) + len(third) - 10
    said = f"{lost} of the {len(packed)} bytes of the file are not read"
    with pytest.raises(BadInputError) as error:
        run(recipe(tmp_path), "quiet")
    assert str(error.value) == (
        f"{lost / 1000:.1f} kB of {stored / 1000:.1f} kB of input ({lost / stored:.2%}) lie behind damage and could "
        "not be read, over the max_bad_fraction of 0.01; how many documents they hold is not known"
    )
    shown = capsys.readouterr().err.splitlines()
    assert shown[0].startswith(f"damaged: {file}: the file is truncated or corrupt after byte ")
    assert shown[0].endswith(f"a gzip header of an unknown form; {said}")
    assert shown[1] == f"not read: {lost / 1000:.1f} kB of 1 damaged file; how many documents is not known"
    manifest = read_manifest(tmp_path / "run")
    for stage in manifest.stages:
        (bad,) = stage.bad["s"]
        assert (bad.unread_bytes, bad.unread, stage.counts["s"].unread) == (lost, [], 0)
        assert (stage.counts["s"].documents_in, stage.counts["s"].quarantined) == (210, 0)
    assert len({w for w in manifest.warnings if said in w}) == 1
    assert kept(tmp_path)[200:] == [f"z{i}" for i in range(10)]
    run(recipe(tmp_path, max_bad_fraction=lost / stored))


def test_bytes_behind_a_damaged_zstd_block_count(documents: Path, tmp_path: Path) -> None:
    frames = [zstandard.compress(lines(500)), zstandard.compress(lines(4000))]
    packed = bytearray(frames[0] + frames[1])
    packed[len(frames[0])] ^= 0xFF
    (documents / "z.jsonl.zst").write_bytes(packed)
    manifest = run(recipe(tmp_path, max_bad_fraction=1.0))
    (bad,) = manifest.stages[0].bad["s"]
    assert 0 <= len(frames[1]) - bad.unread_bytes <= 5
    assert kept(tmp_path)[200:] == [f"z{i}" for i in range(500)]


def test_of_a_file_that_is_cut_nobody_knows_what_is_missing(documents: Path, tmp_path: Path) -> None:
    whole = gzip.compress(lines(3000), mtime=0)
    (documents / "z.jsonl.gz").write_bytes(whole[:-2000])
    manifest = run(recipe(tmp_path))
    (bad,) = manifest.stages[0].bad["s"]
    size = len(whole) - 2000
    assert bad.damage.endswith(
        f": incomplete gzip stream; the file ends at byte {size}, and how much is missing is not known"
    )
    assert bad.unread_bytes == 0


def test_a_parquet_file_without_its_footer_counts_by_its_bytes(documents: Path, tmp_path: Path) -> None:
    file = parquet(documents / "z.parquet", 400)
    file.write_bytes(file.read_bytes()[:-20])
    with pytest.raises(BadInputError, match="expected documents, found none that can be read"):
        run(recipe(tmp_path))
    (bad,) = read_manifest(tmp_path / "run").stages[0].bad["s"]
    assert (bad.unread_bytes, bad.unread) == (file.stat().st_size, [])
