"""A run that ends with exit code 0 or 3 has lost no document: counted from the files, document by document.

$DOLMA_ACCOUNT_CASES is the number of random recipes (60); a hundred more take about a minute.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import os
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from dolma_pipeline.cli.main import main
from tests.account_cases import LOST, Case, make_case, read_rows

CASES = int(os.environ.get("DOLMA_ACCOUNT_CASES", "60"))
ON_RAY = max(1, CASES // 60)


def run_and_count(number: int, directory: Path, *options: str) -> None:
    case = make_case(number, directory)
    recipe = directory / "recipe.json"
    recipe.write_text(json.dumps(case.recipe))
    code = main(["run", str(recipe), "--quiet", *options])
    bad = sum(each.fate in LOST for each in case.made)
    # A share of lost documents over the budget is told by exit code 3; so are damaged files, and a file of bad lines.
    assert code in (0, 3), code
    if bad == 0:
        assert code == 0
    if bad > len(case.made) * case.recipe["max_bad_fraction"]:
        assert code == 3
    run = directory / "run"
    assert main(["verify", str(run)]) == 0
    _count_documents(case, run)


def _count_documents(case: Case, run: Path) -> None:
    quarantined = [row for path in sorted((run / "quarantine").rglob("*.jsonl")) for row in read_rows(path)]
    assert sorted((Path(r["file"]).resolve(), r["line"]) for r in quarantined) == sorted(
        (Path(each.file).resolve(), each.line) for each in case.made if each.fate == "bad"
    )
    kept = Counter((each.id, each.text) for each in case.made if each.fate == "kept")
    for name in [s["mix"]["name"] for s in case.recipe["stages"] if "mix" in s]:
        files = [p for p in sorted((run / "mixed" / name).rglob("*")) if p.is_file()]
        rows = [row for path in files for row in read_rows(path)]
        assert Counter((row["id"], row["text"]) for row in rows) == kept, name
    manifest: dict[str, Any] = json.loads((run / "manifest.json").read_text())
    dropped: Counter[str] = Counter()
    mixes = [i for i, stage in enumerate(manifest["stages"]) if stage["kind"] == "mix"]
    for stage in manifest["stages"][: mixes[0] + 1]:
        _count_unread(case, stage)
    for stage in manifest["stages"]:
        if stage["kind"] == "mix":
            for counts in stage.get("counts", {}).values():
                dropped.update(counts.get("dropped", {}))
    assert dropped == Counter(each.fate for each in case.made if each.fate in ("short", "copy"))
    if "tokens" in case.stages:
        tables = [gzip.decompress(path.read_bytes()).decode() for path in (run / "tokens").rglob("*.csv.gz")]
        tokenized = sum(len(list(csv.reader(io.StringIO(table, newline="")))) for table in tables)
        assert tokenized == sum(count for (_, text), count in kept.items() if text.strip())


def _count_unread(case: Case, stage: dict[str, Any]) -> None:
    """Row for row those of the damaged groups, in every stage that reads the sources."""
    unread = [(Path(each.file).resolve(), each.line) for each in case.made if each.fate == "unread"]
    listed = [bad for files in stage.get("bad", {}).values() for bad in files]
    rows = [
        (Path(bad["file"]).resolve(), row)
        for bad in listed
        for first, last in bad.get("unread", [])
        for row in range(first, last + 1)
    ]
    assert sorted(rows) == sorted(unread), stage["id"]
    assert sum(counts.get("unread", 0) for counts in stage.get("counts", {}).values()) == len(unread), stage["id"]
    assert sum(counts.get("documents_in", 0) for counts in stage.get("counts", {}).values()) == len(case.made)


@pytest.mark.parametrize("number", range(CASES))
def test_no_document_is_lost(number: int, tmp_path: Path) -> None:
    run_and_count(number, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("number", range(1000, 1000 + ON_RAY))
def test_no_document_is_lost_on_ray(number: int, tmp_path: Path) -> None:
    run_and_count(number, tmp_path, "--processes", "2")
