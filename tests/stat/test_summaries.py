"""Histograms of attribute files: what is counted, in both forms of the files."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dolma_pipeline.engine.task import Context
from dolma_pipeline.errors import DataError
from dolma_pipeline.formats.attributes import SPANS
from dolma_pipeline.stat.histogram import Histogram, Summary
from dolma_pipeline.stat.summaries import FileSummary, SummarizeFile, read_summary, summarize_file

ROWS = [
    {"e__t__n": [[0, 12, 3.0]], "dup": [[0, 4, 1.0], [4, 12, 1.0]]},
    {"e__t__n": [[0, 7, 67.0]], "dup": [], "e__q____label__good": [[0, 7, 1.00001]]},
    {"e__t__n": [[0, 9, -0.25]], "e__q____label__good": [[0, 9, 0.33333]]},
    {"e__t__n": [[0, 5, 3.0]], "dup": [[0, 5, 1.0]]},
]
EXPECTED = [
    Summary("e__t__n/score", [1, 2, 1], [-0.25, 3.0, 66.99904, 67.00032], 4, 72.75),
    Summary("e__t__n/length", [1, 1, 1, 1], [5.0, 7.0, 9.0, 12.0, 12.00016], 4, 33),
    Summary("dup/score", [1, 3], [0.0, 1.0, 1.00002], 4, 3.0),
    Summary("dup/length", [1, 1, 1, 1], [0.0, 4.0, 5.0, 8.0, 8.00016], 4, 17),
    Summary("e__q____label__good/score", [1, 1], [0.33333, 1.0, 1.00002], 2, 1.3333300000000001),
    Summary("e__q____label__good/length", [1, 1], [7.0, 9.0, 9.00016], 2, 16),
]
"""As dolma 1.2.1 has it, but for the bin of 67: it cuts 66.99904 down once more, to 66.99776."""


def summarize(path: Path, regex: str | None = None) -> FileSummary:
    out = path.parent / "out" / "s.msgpack"
    report = summarize_file(SummarizeFile(path=str(path), regex=regex, out=str(out)), Context())
    assert [o.path for o in report.outputs] == [str(out)]
    return read_summary(str(out))


def summaries(found: FileSummary) -> list[Summary]:
    return [Histogram.of(stored).summary(name, 1000) for name, stored in found.histograms.items()]


def write_lines(path: Path) -> Path:
    rows = [{"id": str(i), "attributes": row, "source": "s"} for i, row in enumerate(ROWS)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_lines(tmp_path: Path) -> None:
    found = summarize(write_lines(tmp_path / "a.jsonl"))
    assert summaries(found) == EXPECTED
    assert found.unmeasured == []


def test_regex_is_searched_for_in_the_key(tmp_path: Path) -> None:
    found = summarize(write_lines(tmp_path / "a.jsonl"), "__t_|^up")
    assert list(found.histograms) == ["e__t__n/score", "e__t__n/length"]


def test_parquet_has_no_lengths_of_document_attributes(tmp_path: Path) -> None:
    lists = [[{"start": 0, "end": 4, "score": 1.0}, {"start": 4, "end": 12, "score": 1.0}], [], None, []]
    table = pa.table(
        {
            "id": ["0", "1", "2", "3"],
            "e__t__n": pa.array([3.0, 67.0, -0.25, 3.0]),
            "dup": pa.array(lists, SPANS),
            "none": pa.array([None] * 4, pa.float64()),
        }
    )
    pq.write_table(table, tmp_path / "a.parquet")
    found = summarize(tmp_path / "a.parquet")
    assert summaries(found) == [
        EXPECTED[0],
        Summary("dup/score", [2], [1.0, 1.00002], 2, 2.0),
        Summary("dup/length", [1, 1], [4.0, 8.0, 8.00016], 2, 12),
    ]
    assert found.unmeasured == ["e__t__n", "none"]


def test_what_is_no_attribute_file(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"id":"1","attributes":{"a":[[0,1,2.0]]}}\n{"id":"2","attributes":{"a":3}}\n')
    with pytest.raises(DataError, match=r"a\.jsonl: line 2: expected an attribute row: `a`: expected spans as"):
        summarize(path)
    pq.write_table(pa.table({"id": ["1"], "a": [{"x": 1}]}), tmp_path / "b.parquet")
    with pytest.raises(
        DataError, match=r"column `a`: expected scores, lists of spans, texts or booleans, found struct"
    ):
        summarize(tmp_path / "b.parquet")
