"""Sources that would find what the run keeps for itself are refused before it has written anything."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dolma_pipeline.config.load import make_recipe
from dolma_pipeline.config.yaml_file import File
from dolma_pipeline.engine.plan import make_plan
from dolma_pipeline.errors import ConfigError
from dolma_pipeline.io.globbing import enters

TAG = {"tag": {"experiment": "base", "taggers": ["char_length_v1"]}}


def plan(directory: Path, pattern: str, *stages: dict[str, Any], **changes: Any) -> None:
    data = {
        "name": "r",
        "work_dir": str(directory / "data" / "run"),
        "sources": {"s": {"documents": str(directory / pattern)}},
        "stages": list(stages) or [TAG],
        **changes,
    }
    make_plan(make_recipe(File("r.yaml", data)))


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Files of documents, and a link to their directory."""
    for name in ("a.jsonl", "b.jsonl.zst", "c.txt.gz", "e.json"):
        path = tmp_path / "data" / "documents" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    (tmp_path / "link").symlink_to(tmp_path / "data")
    return tmp_path


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("data/**/*.jsonl", "quarantine/s/a.jsonl.jsonl"),
        ("data/**/*.zst", "ledger/01-phase/segment-00000.jsonl.zst"),
        ("data/**/[a-z]*.json", "manifest.json"),
        ("data/*/*/*/*.parquet", "scratch/01-phase/all.parquet"),
        ("link/**/*.jsonl", "quarantine/s/a.jsonl.jsonl"),
    ],
)
def test_a_source_that_would_find_files_of_the_run(data: Path, pattern: str, found: str) -> None:
    if "parquet" in pattern:
        place = data / "data" / "x" / "y" / "z"
        place.mkdir(parents=True)
        (place / "d.parquet").touch()
    with pytest.raises(ConfigError) as error:
        plan(data, pattern, {"mix": {"format": "parquet"}}, work_dir=str(data / "data" / "run"))
    assert str(error.value).startswith("$.work_dir: expected a place that no source reads, found ")
    assert str(error.value).endswith(
        f"/run/{found}, where `{data}/{pattern}` would find what this run writes the next time; give another "
        "`work_dir`, or a pattern of the input alone"
    )


def test_a_source_that_would_find_scratch_files(data: Path) -> None:
    scratch = str(data / "data" / "tmp")
    with pytest.raises(ConfigError) as error:
        plan(data, "data/**/*.jsonl", work_dir=str(data / "run"), scratch_dir=scratch)
    assert str(error.value) == (
        f"$.scratch_dir: expected a place that no source reads, found {scratch}, where `{data}/data/**/*.jsonl` would "
        "find what this run writes the next time; give another `scratch_dir`, or a pattern of the input alone"
    )


@pytest.mark.parametrize(
    "pattern", ["data/documents/*", "data/*/*.jsonl", "data/**/*.txt.gz", "data/**/documents/*.zst"]
)
def test_a_work_directory_beside_the_documents(data: Path, pattern: str) -> None:
    plan(data, pattern, {"mix": {"format": "parquet"}})
    plan(data, pattern, work_dir=str(data / "data" / ".run"), scratch_dir=str(data / "data" / ".tmp"))


@pytest.mark.parametrize("place", ["run/mixed", "run/mixed/x", "run/attributes", "run/ledger/x", "run/quarantine"])
def test_scratch_files_do_not_go_where_outputs_are(data: Path, place: str) -> None:
    with pytest.raises(ConfigError) as error:
        plan(
            data, "data/documents/*.jsonl", TAG, {"mix": {}}, work_dir=str(data / "run"), scratch_dir=str(data / place)
        )
    where = "$.stages[1].mix.destination" if "mixed" in place else "the run"
    top = "/".join(place.split("/")[:2])
    assert str(error.value) == (
        "$.scratch_dir: expected a directory outside of those that outputs are written to, found "
        f"{data / place} in {data / top}, where {where} writes; give another `scratch_dir`"
    )


@pytest.mark.parametrize(
    ("pattern", "directory", "expected"),
    [
        ("/a/**/*.x", "/a/b", True),
        ("/a/*", "/a/b", False),
        ("/a/*/*", "/a/b", True),
        ("/a/**/c/*", "/a/b", True),
        ("/a/**/*.x", "/a/.b", False),
        ("/b/**", "/a", False),
        ("/a/b/c/*", "/a", True),
    ],
)
def test_enters(pattern: str, directory: str, expected: bool) -> None:
    assert enters(pattern, directory) is expected
