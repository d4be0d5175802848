"""Documents of other people's making through whole runs: as many come out as go in."""

from __future__ import annotations

import csv
import gzip
import hashlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from dolma_pipeline.cli.main import main
from dolma_pipeline.config.load import load_recipe
from dolma_pipeline.engine.manifest import RunManifest
from dolma_pipeline.engine.run import RunOptions, run_recipe
from dolma_pipeline.engine.verify import verify_run
from dolma_pipeline.formats.documents import read_documents
from tests.tokens.token_toys import write_byte_tokenizer

TOKENIZER = {"train": {"vocab_size": 300}, "eos": "<|endoftext|>"}
FINEWEB = {
    "content": [f"Document number {i} of a page, long enough to count." for i in range(40)],
    "url": [f"https://example.org/{i}" for i in range(40)],
    "date": ["2024-01-01T00:00:00Z"] * 40,
    "language": ["en" if i % 4 else "de" for i in range(40)],
    "language_score": [i / 40 for i in range(40)],
    "token_count": list(range(40)),
    "adult": [i == 39 for i in range(40)],
    "metadata": [{"site": "s", "n": i} for i in range(40)],
    "empty": pa.nulls(40, pa.string()),
}


def run(directory: Path, source: dict[str, Any], *stages: dict[str, Any]) -> RunManifest:
    recipe = {
        "name": "own",
        "work_dir": str(directory / "run"),
        "sources": {"web": source},
        "stages": list(stages),
    }
    path = directory / "recipe.yaml"
    path.write_text(yaml.safe_dump(recipe))
    return run_recipe(load_recipe(str(path)), RunOptions(progress="none"))


def token_ids(directory: Path) -> list[str]:
    found = []
    for path in sorted(directory.glob("*.csv.gz")):
        with gzip.open(path, "rt", newline="", encoding="utf-8") as rows:
            found += [row[2] for row in csv.reader(rows)]
    return sorted(found)


@pytest.mark.parametrize("form", ["jsonl.zst", "parquet"])
def test_integer_ids_and_bytes_come_out_of_every_stage(tmp_path: Path, form: str) -> None:
    (tmp_path / "documents").mkdir()
    texts = [f"Text number {i} of all." for i in range(30)]
    pq.write_table(
        pa.table({"id": range(30), "text": pa.array([t.encode() for t in texts]), "metadata": ['{"page": 1}'] * 30}),
        tmp_path / "documents" / "a.parquet",
        row_group_size=7,
    )
    manifest = run(
        tmp_path,
        {"documents": str(tmp_path / "documents" / "*.parquet")},
        {"tag": {"experiment": "base", "taggers": ["char_length_v1"]}},
        {"dedupe": {"name": "exact", "documents": {"key": "text"}}},
        {"mix": {"format": form, "drop": {"short": "char_length_v1.length < 1", "copy": "exact.duplicate"}}},
        {"tokens": {"tokenizer": TOKENIZER}},
    )
    assert [c.documents_out for s in manifest.stages for c in s.counts.values()] == [30] * 4
    (mixed,) = (tmp_path / "run" / "mixed").rglob("a.*")
    rows = [(i, t) for d in read_documents(mixed) for i, t in zip(d.id.to_pylist(), d.text.to_pylist(), strict=True)]
    assert rows == [(str(i), t) for i, t in enumerate(texts)]
    assert verify_run(tmp_path / "run") == []
    assert token_ids(tmp_path / "run" / "tokens") == sorted(str(i) for i in range(30))


def test_other_columns_stay_columns_and_rules_read_them(tmp_path: Path) -> None:
    (tmp_path / "documents").mkdir()
    pq.write_table(pa.table(FINEWEB), tmp_path / "documents" / "a.parquet")
    run(
        tmp_path,
        {
            "documents": str(tmp_path / "documents" / "*.parquet"),
            "columns": {"id": None, "text": "content", "url": "url", "created": "date"},
        },
        {
            "mix": {
                "format": "parquet",
                "provenance": False,
                "drop": {"german": 'doc.language != "en"', "unsure": "doc.language_score < 0.5", "adult": "doc.adult"},
            }
        },
    )
    (path,) = (tmp_path / "run" / "mixed").rglob("*.parquet")
    table = pq.read_table(path)
    large = pa.large_string()
    assert {f.name: f.type for f in table.schema} == {
        "id": large,
        "text": large,
        "created": large,
        "language": large,
        "language_score": pa.float64(),
        "token_count": pa.int64(),
        "adult": pa.bool_(),
        "metadata": large,
    }
    kept = [i for i in range(20, 39) if i % 4]
    assert table.column("token_count").to_pylist() == kept
    assert table.column("language_score").to_pylist() == [i / 40 for i in kept]
    assert [json.loads(m) for m in table.column("metadata").to_pylist()] == [
        {"site": "s", "n": i, "url": f"https://example.org/{i}"} for i in kept
    ]
    (documents,) = list(read_documents(path, keep_raw=True))
    assert documents.raw is not None
    assert json.loads(documents.raw[0].as_py())["metadata"]["n"] == 21


def test_a_file_that_cannot_be_read_costs_itself_alone(tmp_path: Path) -> None:
    """As a user meets it: no traceback, the file and the column named, the others kept, exit 3."""
    (tmp_path / "documents").mkdir()
    (tmp_path / "documents" / "a.jsonl").write_text('{"id":"a","text":"x"}\n' * 10)
    pq.write_table(pa.table({"id": ["b"], "text": [["x"]]}), tmp_path / "documents" / "b.parquet")
    recipe = {
        "name": "bad",
        "work_dir": str(tmp_path / "run"),
        "sources": {"s": {"documents": str(tmp_path / "documents" / "*")}},
        "stages": [
            {"tag": {"experiment": "e", "taggers": ["char_length_v1"]}},
            {"mix": {"drop": {"short": "char_length_v1.length < 1"}, "format": "jsonl"}},
        ],
    }
    (tmp_path / "r.yaml").write_text(yaml.safe_dump(recipe))
    command = [sys.executable, "-m", "dolma_pipeline", "run", str(tmp_path / "r.yaml"), "--no-report"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == 3, done.stderr
    assert "Traceback" not in done.stderr
    assert (
        "b.parquet: the file cannot be read: column `text`: expected text, found list<element: string>" in done.stderr
    )
    (mixed,) = (tmp_path / "run" / "mixed").rglob("a.jsonl")
    assert len(mixed.read_text().splitlines()) == 10


@pytest.mark.parametrize(
    ("row", "fields", "ids"),
    [
        (lambda i, t: {"id": str(i), "content": t}, {"text_field_name": "content"}, [str(i) for i in range(9)]),
        (lambda i, t: {"text": t}, {"id_field_name": None}, None),
        (lambda i, t: {"id": i, "text": t}, {"id_field_type": "int"}, [str(i) for i in range(9)]),
        (
            lambda i, t: {"id": str(i), "text": "-", "metadata": {"body": t, "n": {"uid": i}}},
            {"text_field_name": "metadata.body", "id_field_name": "metadata.n.uid"},
            [str(i) for i in range(9)],
        ),
    ],
    ids=["content", "no id", "integer", "nested"],
)
def test_fields_of_dolma_tokens(tmp_path: Path, row: Any, fields: dict[str, Any], ids: list[str] | None) -> None:
    path = tmp_path / "documents" / "a.jsonl"
    path.parent.mkdir()
    path.write_text("".join(json.dumps(row(i, f"Sentence {i}")) + "\n" for i in range(9)))
    config = {
        "documents": [str(path)],
        "destination": str(tmp_path / "tokens"),
        "tokenizer": {"name_or_path": str(write_byte_tokenizer(tmp_path / "tokenizer.json")), "eos_token_id": 256},
        "fields": fields,
    }
    (tmp_path / "c.yaml").write_text(yaml.safe_dump(config))
    assert main(["-c", str(tmp_path / "c.yaml"), "tokens"]) == 0
    digest = hashlib.sha256(str(path).encode()).hexdigest()
    assert token_ids(tmp_path / "tokens") == sorted(ids or [f"{digest}-{i}" for i in range(1, 10)])
    manifest = json.loads((tmp_path / "tokens" / "manifest.json").read_text())
    assert manifest["documents"] == 9
