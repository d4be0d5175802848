"""Counts of texts and flags, beside a slow twin, and where there are too many to count."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from dolma_pipeline import api
from dolma_pipeline.formats.attributes import AttributeWriter
from dolma_pipeline.formats.kinds import TYPES, Kind
from dolma_pipeline.stat import values
from dolma_pipeline.stat.merge import read_summaries, read_values
from dolma_pipeline.stat.table import stat_blocks
from dolma_pipeline.stat.values import Values, ValueSummary, facts


def counted(parts: list[list[str]]) -> Values:
    whole = Values("string")
    for part in parts:
        mine = Values("string")
        mine.add(pa.array(part, pa.large_string()))
        whole.merge(Values.of(mine.stored()))
    return whole


def test_counts_are_exact_up_to_the_most() -> None:
    rng = random.Random(1)
    parts = [[f"é{rng.randrange(200)}" for _ in range(500)] for _ in range(4)]
    found = counted(parts)
    twin = Counter(v for part in parts for v in part)
    assert (found.counts, found.total, found.error) == (twin, 2000, 0)
    top = sorted(twin.items(), key=lambda item: (-item[1], item[0]))[:3]
    assert found.summary("k", 3) == ValueSummary("k", "string", top, 2000, len(twin), 0)


@pytest.mark.parametrize("limit", ["MOST", "MOST_BYTES"])
def test_what_is_too_much_is_bounded_and_said(monkeypatch: pytest.MonkeyPatch, limit: str) -> None:
    monkeypatch.setattr(values, limit, 10 if limit == "MOST" else 60)
    rng = random.Random(2)
    parts = [[str(int(rng.paretovariate(0.7))) for _ in range(300)] for _ in range(5)]
    found = counted(parts)
    twin = Counter(v for part in parts for v in part)
    assert len(found.counts) <= (10 if limit == "MOST" else 60)
    assert found.total == 1500
    assert 0 < found.error < 1500 / 4
    for value, count in twin.items():
        assert found.counts.get(value, 0) <= count <= found.counts.get(value, 0) + found.error
    summary = found.summary("k", 2)
    assert (summary.different, [v for v, _ in summary.values]) == (None, ["1", "2"])
    assert f"a count may be up to {found.error} too low" in facts(summary)


COLUMNS: dict[str, tuple[Kind, list[Any]]] = {
    "e__t__of": ("string", ["cc-by", "cc-by", None, "<ü>\n"]),
    "e__t__kept": ("bool", [True, None, False, True]),
    "e__t__size": ("int64", [1, 2, None, 2]),
    "e__t__none": ("string", [None] * 4),
}


def written(directory: Path, form: str) -> Path:
    (directory / "d/documents").mkdir(parents=True)
    (directory / "d/documents/a.jsonl").write_text("".join(f'{{"id":"{i}","text":"abcd"}}\n' for i in range(4)))
    (directory / "d/attributes/e").mkdir(parents=True)
    writer = AttributeWriter(directory / f"d/attributes/e/a.{form}")
    ids = pa.array(["0", "1", "2", "3"], pa.large_string())
    columns = {key: pa.array(column, TYPES[kind]) for key, (kind, column) in COLUMNS.items()}
    writer.write_rows(ids, columns, lengths=pa.array([4] * 4, pa.int64()))
    writer.finish()
    stages = [api.Stat(drop={"copy": 't.of == "cc-by"', "small": "t.size < 2 and t.kept"}, histograms=True)]
    given = api.Source(documents=[f"{directory}/d/documents/*"], attributes=["e"])
    run = api.run(api.recipe("stat", {"d": given}, stages, work_dir=directory / "run"))
    return next(p for p in run.files() if p.name == "report.html").parent


@pytest.mark.parametrize("form", ["jsonl", "parquet"])
def test_the_report_has_every_kind(tmp_path: Path, form: str) -> None:
    directory = written(tmp_path, form)
    assert read_values(directory / "values.jsonl.gz") == [
        ValueSummary("e__t__of", "string", [("cc-by", 2), ("<ü>\n", 1)], 3, 2, 0),
        ValueSummary("e__t__kept", "bool", [("true", 2), ("false", 1)], 3, 2, 0),
    ]
    sizes = next(s for s in read_summaries(directory / "summaries.jsonl.gz") if s.name == "e__t__size/score")
    assert (sizes.counts, sizes.total, sizes.sum) == ([1, 2], 3, 5.0)
    blocks = {block.title: block for block in stat_blocks(directory)}
    assert blocks["e__t__of"].rows == [
        ["value", "share", "count"],
        ["cc-by", "0.6667", "2"],
        ["<ü>\ufffd", "0.3333", "1"],
    ]
    assert blocks["e__t__of"].below == ["  3 documents, 2 different values"]
    assert [row[:4] for row in blocks["rules on 4 documents"].rows[1:3]] == [
        ["copy", "2", "50.0%", "2"], ["small", "1", "25.0%", "0"],
    ]  # fmt: skip
    page = (directory / "report.html").read_text()
    assert "<h2>Values</h2>" in page
    assert "&lt;ü&gt;" in page
    assert "<code>true</code>" in page
