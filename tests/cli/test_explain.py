"""`dolma explain` as a command."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dolma_pipeline.cli.main import main


def finished(tmp_path: Path) -> Path:
    documents = tmp_path / "documents"
    documents.mkdir()
    rows = [{"id": "a", "text": "short"}, {"id": "b", "text": "long enough to stay"}, {"id": "a", "text": "also long"}]
    (documents / "x.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(
        f"name: t\nwork_dir: {tmp_path}/run\nsources: {{web: {{documents: {documents}/*}}}}\n"
        "stages:\n  - mix: {drop: {short: length < 8}}\n"
    )
    assert main(["run", str(recipe), "--no-report"]) == 0
    return tmp_path / "run"


def test_every_document_with_the_id_is_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = finished(tmp_path)
    capsys.readouterr()
    assert main(["explain", str(run), "a"]) == 0
    file = f"{tmp_path}/documents/x.jsonl"
    assert capsys.readouterr().out == (
        f"{file}:1: document a of source web\n"
        "  short\n"
        "01-mixed\n"
        "  [x] short: length < 8   length = 5\n"
        "  dropped by the rule `short`\n"
        "=> `01-mixed` dropped it by the rule `short`.\n"
        "\n"
        f"{file}:3: document a of source web\n"
        "  also long\n"
        "01-mixed\n"
        "  [ ] short: length < 8   length = 9\n"
        f"  written to {run}/mixed/mixed/documents/web/x.jsonl.zst:2\n"
        "=> It passed every stage.\n"
        "\n"
        "2 documents have this id; `--source NAME` looks in one source\n"
    )


def test_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = finished(tmp_path)
    capsys.readouterr()
    assert main(["explain", str(run), "b", "--json"]) == 0
    story = json.loads(capsys.readouterr().out)
    assert story["outcome"] == "It passed every stage."
    assert story["stages"][0]["rules"] == [
        {"name": "short", "expression": "length < 8", "answer": False, "values": {"length": 19}}
    ]


def test_a_rule_as_text_and_as_a_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = finished(tmp_path)
    capsys.readouterr()
    page = tmp_path / "page.html"
    assert main(["explain", str(run), "--rule", "short", "--html", str(page)]) == 0
    out = capsys.readouterr().out
    assert out == f"{tmp_path}/documents/x.jsonl:1: document a of source web, dropped by 01-mixed\n  short\n"
    text = page.read_text()
    assert "<h1>Documents that the rule short dropped</h1>" in text
    assert "<pre>short</pre>" in text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "expected the ID of a document, or `--rule NAME`, and not both"),
        (["a", "--rule", "short"], "expected the ID of a document, or `--rule NAME`, and not both"),
        (["a", "--html", "x"], "--html: expected `--rule NAME` beside it: a page shows the documents of a rule"),
        (["--rule", "short", "--sample", "0"], "--sample: expected a number from 1, found 0"),
        (
            ["--rule", "short", "--source", "web"],
            "--source: expected the ID of a document beside it; those of a rule are of all sources",
        ),
    ],
)
def test_slips(tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str) -> None:
    assert main(["explain", str(tmp_path), *arguments]) == 2
    assert capsys.readouterr().err == f"dolma: error: {message}\n"
