"""`dolma list` in a file and on a terminal."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dolma_pipeline.cli.list import Row, plain_table, print_table
from dolma_pipeline.cli.main import main
from dolma_pipeline.engine.registry import KINDS

ROWS = [
    Row("c4_v2", "native", "C4's rules", ["has_javascript", "line_count"], mb_per_second=123.456),
    Row("mine[x]_v1", "python", "Mine", ["score"], "a model"),
]


def test_plain_columns_line_up() -> None:
    assert plain_table(ROWS).splitlines() == [
        "name        kind    needs    MB/s  what it measures  attributes",
        "c4_v2       native           123   C4's rules        has_javascript, line_count",
        "mine[x]_v1  python  a model        Mine              score",
    ]


def test_the_table_of_a_terminal_shows_every_cell(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(ROWS)
    shown = capsys.readouterr().out
    assert [cell for row in ROWS for cell in row.cells() if cell.split(",")[0] not in shown] == []


def test_json_has_an_object_for_each_tagger(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", "--json"]) == 0
    rows = {row["name"]: row for row in map(json.loads, capsys.readouterr().out.splitlines())}
    assert rows["blocklist_hosts_porn_v1"] == {
        "name": "blocklist_hosts_porn_v1",
        "kind": "list",
        "about": "adult sites, as listed by Steven Black's hosts",
        "attributes": ["url"],
        "needs": "metadata.url, list blocklist_hosts/blocklist_hosts-20240208/porn.txt",
        "mb_per_second": rows["blocklist_hosts_porn_v1"]["mb_per_second"],
    }
    assert rows["cld3_en_doc_v2"]["kind"] == "unavailable"
    assert {row["kind"] for row in rows.values()} >= {"native", "model", "list", "unavailable"}
    assert all(row["about"] for row in rows.values() if row["kind"] != "python")


def test_every_tagger_and_those_of_a_module(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    module = tmp_path / "mine.py"
    module.write_text(
        "from dolma_pipeline.taggers import tagger\n\n\n"
        '@tagger(\'list_test_v1\')\ndef count(text: str) -> float:\n    """Counts nothing."""\n    return 1.0\n'
    )
    assert main(["list", "--tagger_modules", str(module)]) == 0
    lines = capsys.readouterr().out.splitlines()
    names = [line.split()[0] for line in lines]
    assert names[1:] == sorted(names[1:])
    assert {"gopher_v2", "c4_v2", "ft_lang_id_en_doc_v2"} <= set(names)
    (mine,) = [line for line in lines if line.startswith("list_test_v1 ")]
    assert "Counts nothing." in mine


def test_kinds_of_stages_and_those_of_a_module(capsys: pytest.CaptureFixture[str]) -> None:
    module = str(Path(__file__).resolve().parents[2] / "examples" / "my_stage.py")
    assert main(["list", "--stages", "--json", "--stage_modules", module]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [row["kind"] for row in rows] == [*KINDS, "hosts"]
    assert [row["brought_by"] for row in rows] == [*["built in"] * len(KINDS), module]
    assert rows[-1]["about"] == "Count the documents of each host"
    assert main(["list", "--stages"]) == 0
    assert capsys.readouterr().out.splitlines()[:2] == [
        "kind           from      what the stage does",
        "tag            built in  Measure documents: each tagger writes attributes, and nothing is dropped",
    ]
    assert main(["list", "--stage_modules", module]) == 2
    assert "expected `--stages` beside `--stage_modules`, found none" in capsys.readouterr().err
