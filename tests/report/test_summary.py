"""The summary, to the letter, and what is left of it when pieces are missing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from dolma_pipeline.errors import DataError
from dolma_pipeline.report.summary import render_summary, sparkline, table

SUMMARY = """\
toy: dolma_pipeline 0.1.0, seed 17

01-tag
                     all             news   wiki
  documents in       113  100.0%      100     13
  quarantined         -3    2.7%        ·     -3
  documents out      110   97.3%      100     10
  text in        3.42 kB          2.58 kB  845 B
  text out       3.42 kB  100.0%  2.58 kB  845 B

02-near
                     all             news   wiki
  documents in       113  100.0%      100     13
  quarantined         -3    2.7%        ·     -3
  documents out      110   97.3%      100     10
  text in        3.42 kB          2.58 kB  845 B
  text out       3.42 kB  100.0%  2.58 kB  845 B
  edits: 9 duplicate

03-kept
                     all             news   wiki
  documents in       113  100.0%      100     13
  repeated           +12   10.6%        ·    +12
  too_short          -60   53.1%      -60      ·
  budget             -25   22.1%      -25      ·
  long                -3    2.7%        ·     -3
  quarantined         -3    2.7%        ·     -3
  documents out       34   30.1%       15     19
  text in        3.42 kB          2.58 kB  845 B
  text out       1.53 kB   44.6%    778 B  748 B
  edits: 6 cut near.duplicate
  budget: 1,500 bytes asked, 1,526 obtained (news 51.0% for 50.0%, wiki 49.0% for 50.0%)

duplicates
           keys  duplicates        marked  filter full  false positives
  02-near   129           9  7.0%       9         6.0%          5.6e-15

tokens (uint16, vocabulary of 300)
        tokens          documents  bytes/token
  news     222   44.8%         15         3.50
  wiki     274   55.2%         19         2.73
  all      496  100.0%         34         3.08

training (4.19 M parameters, 4 steps, 25.0 k tokens/s)
  loss        9.000 █▅▂▁ 4.000
  perplexity  31.50 of 16,000 tokens set aside

time (2 min 05 s with 2 processes)
                  time  tasks  MB/s  documents/s
  01-tag+       0.50 s      4   9.0        2,206
  05-train  1 min 30 s      1

warnings
  toy.jsonl.gz: truncated or corrupt after 12 documents

files in RUN_DIR
"""


def test_summary(toy_run: Path) -> None:
    summary, _, files = render_summary(toy_run).partition(f"files in {toy_run}\n")
    assert summary + "files in RUN_DIR\n" == SUMMARY
    # Their sizes depend on the versions of libraries.
    assert [line.split()[:3] for line in files.splitlines()] == [
        ["attributes/", "4", "files"],
        ["mixed/", "2", "files"],
        ["quarantine/", "1", "file"],
        ["tokenizer/", "2", "files"],
        ["tokens/", "4", "files"],
    ]


def test_without_timings_training_and_mix(tmp_path: Path, manifest: dict[str, Any]) -> None:
    news = {"documents_in": 2, "documents_out": 2, "bytes_in": 1500, "bytes_out": 1500}
    manifest.update(stages=[{"id": "01-tag", "kind": "tag", "counts": {"news": news}}], files=[], warnings=[])
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    assert render_summary(tmp_path) == (
        f"toy: dolma_pipeline 0.1.0, seed 17\n\ndocuments  2, 1.50 kB of text\n\nfiles in {tmp_path}\n"
    )


def test_packing_of_a_reshard(toy_run: Path, manifest: dict[str, Any]) -> None:
    packed = {"by": "best_fit", "instances": 7, "tokens": 448, "padding": 0, "fragmented": 0, "dropped_tokens": 0}
    stage = next(s for s in manifest["stages"] if s["kind"] == "tokens")
    stage.update(kind="reshard", details=stage["details"] | {"packed": packed})
    (toy_run / "manifest.json").write_text(json.dumps(manifest))
    assert "  packed by best_fit: 7 instances, 0.0% padding\n" in render_summary(toy_run)


def test_loss_from_metrics_where_the_manifest_has_none(toy_run: Path, manifest: dict[str, Any]) -> None:
    manifest["stages"].pop()
    (toy_run / "manifest.json").write_text(json.dumps(manifest))
    (toy_run / "train").mkdir()
    rows = ['{"step": 1, "loss": 8.5}', '{"step": 2, "loss": 6}', '{"step": 2, "loss": 5.5}', '{"step": 3, "lo']
    (toy_run / "train" / "metrics.jsonl").write_text("\n".join(rows))
    assert "\ntraining (2 steps)\n  loss        8.500 █▁ 5.500\n\n" in render_summary(toy_run)


def test_many_sources_have_no_columns(tmp_path: Path, manifest: dict[str, Any]) -> None:
    one = {"documents_in": 2, "documents_out": 1, "dropped": {"rule": 1}}
    counts = {f"source{i}": one for i in range(7)}
    manifest["stages"] = [{"id": "03-mix", "kind": "mix", "counts": counts}]
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    assert "source0" not in render_summary(tmp_path)
    assert "  rule            -7   50.0%\n" in render_summary(tmp_path)


def test_unfinished_run(tmp_path: Path) -> None:
    with pytest.raises(DataError) as error:
        render_summary(tmp_path)
    assert str(error.value) == (
        f"{tmp_path}: expected a manifest.json, found none; it is written when a run has finished"
    )


def test_table_aligns_and_keeps_control_characters_out() -> None:
    assert (
        table([["", "n"], ["a\x1b[31m", "1"], ["b", "1000"]]) == "             n\n  a\ufffd[31m     1\n  b       1000"
    )


def test_sparkline() -> None:
    assert sparkline([]) == ""
    assert sparkline([3.0, 3.0]) == "▁▁"
    assert sparkline([7, 6, 5, 4, 3, 2, 1, 0]) == "█▇▆▅▄▃▂▁"
    assert sparkline([0, 2, 7, 9], width=2) == "▁█"
