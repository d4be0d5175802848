"""Which files the drop-in commands write, and where: as Dolma 1.2.1 does."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from dolma_pipeline.cli.main import main

DOCUMENTS = [("0", "a b\nsame"), ("1", ""), ("2", "other"), ("3", "same\nsame"), ("4", " ")]


@pytest.fixture(autouse=True)
def documents(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("en/a", "de/b"):
        path = Path(f"data/documents/{name}.json.gz")
        path.parent.mkdir(parents=True)
        rows = [{"id": f"{name}-{i}", "text": text, "source": "s"} for i, text in DOCUMENTS]
        path.write_bytes(gzip.compress("".join(json.dumps(row) + "\n" for row in rows).encode()))


def run(command: str) -> None:
    assert main(command.split()) == 0


def files(directory: str) -> list[str]:
    """Those that are not hidden, nor in a hidden directory."""
    found = (p.relative_to(directory) for p in Path(directory).rglob("*") if p.is_file())
    return sorted(str(p) for p in found if not any(part.startswith(".") for part in p.parts))


def attributes(path: str) -> list[dict[str, Any]]:
    return [json.loads(line)["attributes"] for line in gzip.decompress(Path(path).read_bytes()).splitlines()]


def test_attributes_below_a_destination_have_the_path_below_the_fixed_part_of_the_glob() -> None:
    run("tag --documents data/documents/en/*.gz --destination one --taggers char_length_v1 --experiment e")
    assert files("one") == ["a.json.gz"]
    run("tag --documents data/documents/**/*.gz --destination two --taggers char_length_v1 --experiment e")
    assert files("two") == ["de/b.json.gz", "en/a.json.gz"]
    run("tag --documents data/documents/en --destination three --taggers char_length_v1 --experiment e")
    assert files("three") == ["a.json.gz"]
    # The ledger is beside them.
    assert sorted(p.name for p in Path("one").iterdir()) == ["a.json.gz"]
    assert Path(".dolma").is_dir()


DEDUPE = "dedupe --documents data/documents/en/* --bloom_filter.file {name}.bin --dedupe.name {name}"


def test_rows_without_duplicates_say_so() -> None:
    run(DEDUPE.format(name="p") + " --dedupe.paragraphs.attribute_name dup")
    assert attributes("data/attributes/p/en/a.json.gz") == [
        {"dup": []},
        {},
        {"dup": []},
        {"dup": [[0, 5, 1.0], [5, 9, 1.0]]},
        {"dup": []},
    ]
    run(DEDUPE.format(name="d") + " --dedupe.documents.attribute_name dup --dedupe.documents.key $.text")
    assert attributes("data/attributes/d/en/a.json.gz") == [{}] * 5
    # Only the documents that were left out are said to have none.
    run(
        DEDUPE.format(name="e")
        + " --dedupe.documents.attribute_name dup --dedupe.documents.key $.text --dedupe.skip_empty"
    )
    assert attributes("data/attributes/e/en/a.json.gz") == [{}, {"dup": []}, {}, {}, {"dup": []}]


def test_partition_jobs_share_the_duplicates() -> None:
    spans = []
    for index in (0, 1):
        jobs = f" --dedupe.num_partitions 2 --dedupe.partition_index {index}"
        run(DEDUPE.format(name="p") + " --dedupe.paragraphs.attribute_name dup" + jobs)
        rows = attributes(f"data/attributes/p_{index}/en/a.json.gz")
        assert [list(row) for row in rows] == [[f"dup_{index}"], [], *[[f"dup_{index}"]] * 3]
        spans += [span for row in rows for span in row.get(f"dup_{index}", [])]
    assert sorted(spans) == [[0, 5, 1.0], [5, 9, 1.0]]
