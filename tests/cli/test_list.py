"""`dolma list` in a file and on a terminal."""

from __future__ import annotations

from pathlib import Path

import pytest

from dolma_pipeline.cli.list import plain_table, print_table
from dolma_pipeline.cli.main import main

ROWS = [
    ("c4_v2", "native", "has_javascript, line_count", "", "C4's rules"),
    ("mine[x]_v1", "python", "score", "a model", "Mine"),
]


def test_plain_columns_line_up() -> None:
    assert plain_table(ROWS).splitlines() == [
        "name        kind    needs    what it measures  attributes",
        "c4_v2       native           C4's rules        has_javascript, line_count",
        "mine[x]_v1  python  a model  Mine              score",
    ]


def test_the_table_of_a_terminal_shows_every_cell(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(ROWS)
    shown = capsys.readouterr().out
    assert [cell for row in ROWS for cell in row if cell.split(",")[0] not in shown] == []


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
