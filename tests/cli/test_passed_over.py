"""Commands without a quarantine tell what they could not read."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dolma_pipeline.cli.main import main


def test_train_tokenizer_tells_the_lines_it_passed_over(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "documents" / "a.jsonl"
    path.parent.mkdir()
    rows = [json.dumps({"id": str(i), "text": f"document {i}"}) for i in range(20)]
    path.write_text("\n".join([*rows, "{}", "[1]"]) + "\n")
    output = tmp_path / "tokenizer.json"
    command = ["train-tokenizer", "--documents", str(path), "--output", str(output), "--vocab_size", "300"]
    assert main(command) == 0
    said = f"dolma: warning: {path}:21: missing field `id`; 2 lines passed over"
    assert said in capsys.readouterr().err.splitlines()
