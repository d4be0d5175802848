"""A small run as it was made: two sources, a dedupe, a mix that drops, edits and repeats, and tokens.

Only the training, a warning and the times, which are others on every machine, are put in by hand.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from dolma_pipeline.config.load import decode
from dolma_pipeline.config.recipe import Recipe
from dolma_pipeline.engine.run import RunOptions, run_recipe

RECIPE: dict[str, Any] = {
    "name": "toy",
    "max_bad_fraction": 0.5,
    "sources": {"news": {"documents": "news/documents/*"}, "wiki": {"documents": "wiki/documents/*"}},
    "stages": [
        {"tag": {"experiment": "base", "taggers": ["char_length_v1"]}},
        {
            "dedupe": {
                "name": "near",
                "paragraphs": {},
                "bloom": {"false_positive_rate": 1e-6, "estimated_keys": 1000},
            }
        },
        {
            "mix": {
                "name": "kept",
                "drop": {"too_short": "char_length_v1.length < 30", "long": "length > 105"},
                "edit": [{"cut": "near.duplicate"}],
                "budget": {"bytes": 1500, "weights": {"news": 0.5, "wiki": 0.5}, "max_epochs": 3},
                "format": "jsonl",
            }
        },
        {"tokens": {"tokenizer": {"train": {"vocab_size": 300}, "eos": "<|endoftext|>"}}},
    ],
}
TRAINED: dict[str, Any] = {
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
}
TIMINGS: dict[str, Any] = {
    "wall_seconds": 125.4,
    "processes": 2,
    "phases": [
        {"phase": "01-tag+", "stage": "01-tag", "tasks": 4, "seconds": 0.5, "bytes": 4_500_000, "documents": 1103},
        {"phase": "05-train", "stage": "05-train", "tasks": 1, "seconds": 90.0, "cpu_seconds": 178.2},
    ],
}


def _documents() -> dict[str, bytes]:
    """100 documents of news, 60 of which are too short; 13 lines of wiki, 3 of which are bad."""
    news = [f"news {i}" if i < 60 else f"news {i}, with some more words {'to read ' * (i % 7)}" for i in range(100)]
    wiki = [f"wiki {i}\nThis paragraph is in every document.\n{'and more ' * i}" for i in range(10)]
    rows = {"news": news, "wiki": wiki}
    lines = {
        source: [json.dumps({"id": f"{source}-{i}", "text": text}).encode() for i, text in enumerate(texts)]
        for source, texts in rows.items()
    }
    lines["wiki"][2:2] = [b'{"text": "<b>cut &']
    lines["wiki"][6:6] = [b'{"id": "x", "text": "\xff\xff"}', b'["no document"]']
    return {source: b"\n".join(found) + b"\n" for source, found in lines.items()}


@pytest.fixture(scope="session")
def finished_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The work directory of `RECIPE`, run once."""
    directory = tmp_path_factory.mktemp("report")
    settings = json.loads(json.dumps(RECIPE)) | {"work_dir": str(directory / "run")}
    for source, data in _documents().items():
        path = directory / source / "documents" / f"{source}.jsonl"
        path.parent.mkdir(parents=True)
        path.write_bytes(data)
        settings["sources"][source]["documents"] = str(path)
    run_recipe(decode(Recipe, settings), RunOptions(progress="none"))
    return directory / "run"


@pytest.fixture
def manifest(finished_run: Path) -> dict[str, Any]:
    """manifest.json, to be changed and written."""
    found: dict[str, Any] = json.loads((finished_run / "manifest.json").read_text())
    found["version"] = "0.1.0"
    found["warnings"] = ["toy.jsonl.gz: truncated or corrupt after 12 documents"]
    found["stages"].append(json.loads(json.dumps(TRAINED)))
    return found


@pytest.fixture
def toy_run(tmp_path: Path, finished_run: Path, manifest: dict[str, Any]) -> Path:
    """The directory of the run, with all that a report reads."""
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    (tmp_path / "timings.json").write_text(json.dumps(TIMINGS))
    shutil.copytree(finished_run / "quarantine", tmp_path / "quarantine")
    return tmp_path
