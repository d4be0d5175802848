"""A small run, made by hand: two sources, a dedupe, a mix that drops and repeats, tokens and training."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

TAGGED = {
    "news": {"documents_in": 1000, "documents_out": 1000, "bytes_in": 4_000_000, "bytes_out": 4_000_000},
    "wiki": {"documents_in": 103, "documents_out": 100, "bytes_in": 500_000, "bytes_out": 490_000, "quarantined": 3},
}
MIXED = {
    "news": {
        "documents_in": 1000,
        "documents_out": 640,
        "bytes_in": 4_000_000,
        "bytes_out": 2_500_000,
        "dropped": {"too_short": 300, "duplicate": 60},
        "edited": {"cut": 17},
    },
    "wiki": {
        "documents_in": 100,
        "documents_out": 145,
        "repeated": 50,
        "bytes_in": 490_000,
        "bytes_out": 700_000,
        "dropped": {"too_short": 5},
    },
}
MANIFEST: dict[str, Any] = {
    "format": 2,
    "name": "toy",
    "version": "0.1.0",
    "seed": 17,
    "recipe": {
        "name": "toy",
        "stages": [{"tag": {}}, {"dedupe": {"name": "near"}}, {"mix": {"drop": {"too_short": "words < 50"}}}],
    },
    "stages": [
        {"id": "01-tag", "kind": "tag", "counts": TAGGED},
        {
            "id": "02-dedupe",
            "kind": "dedupe",
            "counts": {"news": {"documents_in": 1000, "documents_out": 1000, "edited": {"duplicate": 60}}},
            "details": {"keys": 1100, "duplicates": 60, "fill": 0.4987, "false_positive_rate": 9.8e-7},
        },
        {"id": "03-mix", "kind": "mix", "counts": MIXED},
        {
            "id": "04-tokens",
            "kind": "tokens",
            "counts": {
                "news": {"documents_in": 640, "documents_out": 640, "bytes_in": 2_500_000, "tokens": 600_000},
                "wiki": {"documents_in": 145, "documents_out": 145, "bytes_in": 700_000, "tokens": 200_000},
            },
            "details": {"tokens": {"news": 600_000, "wiki": 200_000}, "dtype": "uint16", "vocab_size": 8192},
        },
        {
            "id": "05-train",
            "kind": "train",
            "details": {
                "loss": [[1, 9.0], [2, 7.0], [3, 5.0], [4, 4.0]],
                "final_loss": 4.0,
                "perplexity": 31.5,
                "validation_tokens": 16_000,
                "parameters": 4_194_304,
                "tokens_per_second": 25_000.0,
            },
        },
    ],
    "files": [
        {"path": "mixed/documents/00000.jsonl.zst", "bytes": 900_000, "blake3": "a" * 64},
        {"path": "tokens/part-00000.npy", "bytes": 1_600_000, "blake3": "b" * 64},
        {"path": "tokens/part-00001.npy", "bytes": 100, "blake3": "c" * 64},
    ],
    "warnings": ["toy.jsonl.gz: truncated or corrupt after 12 documents"],
}
TIMINGS: dict[str, Any] = {
    "wall_seconds": 125.4,
    "processes": 2,
    "phases": [
        {"phase": "01-tag+", "stage": "01-tag", "tasks": 4, "seconds": 0.5, "bytes": 4_500_000, "documents": 1103},
        {"phase": "05-train", "stage": "05-train", "tasks": 1, "seconds": 90.0, "cpu_seconds": 178.2},
    ],
}


@pytest.fixture
def manifest() -> dict[str, Any]:
    """manifest.json, to be changed and written."""
    copy: dict[str, Any] = json.loads(json.dumps(MANIFEST))
    return copy


@pytest.fixture
def toy_run(tmp_path: Path, manifest: dict[str, Any]) -> Path:
    """The directory of the run."""
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    (tmp_path / "timings.json").write_text(json.dumps(TIMINGS))
    bad = tmp_path / "quarantine" / "wiki"
    bad.mkdir(parents=True)
    rows = [
        {"file": "wiki.jsonl", "line": 3, "offset": 210, "reason": "expected `}`", "raw": '{"text": "<b>cut &'},
        {"file": "wiki.jsonl", "line": 7, "offset": 999, "reason": "not UTF-8", "raw_base64": "////AAA="},
    ]
    (bad / "00000.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return tmp_path
