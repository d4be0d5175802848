"""Rules that do nothing are told at the end of a run, and again by one that is up to date."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from dolma_pipeline.cli.main import main

FIELDS = "`doc.big`, `id`, `metadata.lang`, `metadata.url`, `doc.score`, `source`, `doc.text`"
PATHS = "`$.big`, `$.id`, `$.metadata.lang`, `$.metadata.url`, `$.score`, `$.source`, `$.text`"


@pytest.fixture(autouse=True)
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in "ab":
        rows = [
            {
                "id": f"{name}{i}",
                "text": f"text {i} of {name}",
                "source": "web" if i else "wiki",
                "score": i / 10,
                "big": 9007199254740991 + i,
                "metadata": {"lang": "de", "url": "u"},
            }
            for i in range(3)
        ]
        write(f"d/documents/{name}.jsonl", rows)


def write(path: str, rows: list[dict[str, Any]]) -> None:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text("".join(json.dumps(row) + "\n" for row in rows))


def run(*arguments: str, source: dict[str, Any] | None = None, **mix: Any) -> int:
    sources = {"web": {"documents": "d/documents/*.jsonl", **(source or {})}}
    Path("r.yaml").write_text(
        yaml.safe_dump({"name": "r", "work_dir": "w", "sources": sources, "stages": [{"mix": mix}]}, sort_keys=False)
    )
    return main(["run", "r.yaml", "--no-report", *arguments])


def said(capsys: pytest.CaptureFixture[str], where: str = "$.stages[0].mix.") -> list[str]:
    """The lines on stderr that are about rules, without their `where`."""
    lines = [line.strip().replace("warning: ", "! ") for line in capsys.readouterr().err.splitlines()]
    return [line.replace(where, "") for line in lines if where in line]


def warned() -> list[str]:
    found: list[str] = json.loads(Path("w/manifest.json").read_text())["warnings"]
    return found


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        (
            "doc.nosuch < 3",
            f"! drop.r: expected a field that documents have, found `doc.nosuch`, which none of 6 documents "
            f"has; write one "
            f"of those that documents have: {FIELDS}; `doc.nosuch < 3` was true of 0 documents",
        ),
        (
            'metadata.langs == "de" or doc.score == 0',
            "! drop.r: expected a field that documents have, found `metadata.langs`, which none of 6 documents "
            "has; did you "
            f'mean `metadata.lang`? (documents have: {FIELDS}); `metadata.langs == "de" or doc.score == 0` was true of '
            "2 documents",
        ),
        (
            "metadata.lang < 3",
            "! drop.r: expected a number in field `metadata.lang`, found none in 6 documents, of which 6 have "
            "something "
            "else there, so that the comparison is unknown; a text is compared with a quoted text, by `==` or `!=`; "
            "`metadata.lang < 3` was true of 0 documents",
        ),
        (
            'doc.score == "0.1"',
            "! drop.r: expected a text in field `doc.score`, found none in 6 documents, of which 6 have something else "
            "there, so that the comparison is unknown; a number is compared with a number, without quotes; "
            '`doc.score == "0.1"` was true of 0 documents',
        ),
        ('source == "aa"', 'drop.r: `source == "aa"` was true of none of 6 documents; their sources are `web`, `wiki`'),
        ("doc.score > 5", "drop.r: `doc.score > 5` was true of none of 6 documents"),
    ],
)
def test_a_drop_rule(capsys: pytest.CaptureFixture[str], rule: str, expected: str) -> None:
    for _ in range(2):
        # The second time all is up to date.
        assert run(drop={"r": rule}) == 0
        assert said(capsys) == [expected]
    loud = expected.startswith("! ")
    assert warned() == ([expected.replace("! ", "$.stages[0].mix.")] if loud else [])


@pytest.mark.parametrize(
    ("syntax", "expression", "found", "names"),
    [
        (
            "jsonpath",
            "$.metadata.lan",
            "$.metadata.lan",
            f"; did you mean `$.metadata.lang`? (documents have: {PATHS})",
        ),
        ("jq", ".nosuch > 3", ".nosuch", f"; write one of those that documents have: {PATHS.replace('$.', '.')}"),
        ("jq", ".metadata | .kind == 1", ".metadata.kind", None),
        ("jsonpath", "$.attributes[?(@.nosuch[0][2] > 1)]", "$.attributes.nosuch", ""),
        ("jq", ".attributes?.nosuch?", ".attributes.nosuch", ""),
    ],
)
def test_a_filter(
    capsys: pytest.CaptureFixture[str], syntax: str, expression: str, found: str, names: str | None
) -> None:
    assert run(select={"exclude": [expression], "syntax": syntax}) == 0
    loud, quiet = said(capsys)
    what = "a field"
    if "attributes" in found:
        what = "an attribute"
        names = "; they have no attributes at all: name experiments in `attributes` of the source, or tag before"
    expected = f"expected {what} that documents have, found `{found}`, which none of 6 documents has"
    assert loud.startswith(f"! select.exclude[0]: {expected}")
    if names is not None:
        assert loud == f"! select.exclude[0]: {expected}{names}"
    assert quiet == "select: left out none of 6 documents"


def test_the_names_of_attributes_and_files_without_one(capsys: pytest.CaptureFixture[str]) -> None:
    for name in "ab":
        spans = {"e__t__x": [[0, 1, 1.0]]} | ({"e__t__y": [[0, 1, 2.0]]} if name == "b" else {})
        write(f"d/attributes/e/{name}.jsonl", [{"id": f"{name}{i}", "attributes": spans} for i in range(3)])
    exclude = ["$.attributes[?(@.e__t__y[0][2] > 1)]", "$.attributes.e__t__z"]
    assert run(source={"attributes": ["e"]}, select={"exclude": exclude}) == 0
    assert said(capsys) == [
        "! select.exclude[1]: expected an attribute that documents have, found `$.attributes.e__t__z`, which none of 6 "
        "documents has; did you mean `$.attributes.e__t__y`? (documents have: `$.attributes.e__t__x`, "
        "`$.attributes.e__t__y`)"
    ]
    assert [w for w in warned() if w.startswith("$.stages[0].mix: ")] == [
        "$.stages[0].mix: no document of 1 file has the attribute `e__t__y`, which a filter or span asks for, "
        "though other "
        "files have it; the first: d/documents/a.jsonl"
    ]


def test_a_source_without_the_attributes_that_a_rule_names(capsys: pytest.CaptureFixture[str]) -> None:
    for name in "ab":
        rows = [{"id": f"{name}{i}", "attributes": {"e__t__x": [[0, 1, 1.0]]}} for i in range(3)]
        write(f"d/attributes/e/{name}.jsonl", rows)
    write("other/documents/c.jsonl", [{"id": "c", "text": "t"}])
    stages = [{"mix": {"drop": {"x": "t.x > 0.5"}}}]
    sources = {
        "web": {"documents": "d/documents/*.jsonl", "attributes": ["e"]},
        "other": {"documents": "other/documents/*.jsonl"},
    }
    Path("r.yaml").write_text(yaml.safe_dump({"name": "r", "work_dir": "w", "sources": sources, "stages": stages}))
    assert main(["run", "r.yaml", "--no-report"]) == 0
    assert "documents in 7 100.0%" in " ".join(capsys.readouterr().out.split())
    assert warned() == [
        "$.stages[0].mix: there are no attributes of `e` beside 1 file of source `other`, so rules on them are "
        "unknown for "
        "its documents; name `e` in $.sources.other.attributes, or tag its files before"
    ]


def test_fields_to_leave_out_and_edits(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(discard_fields=["scores", "big"], edit=[{"span": "$.spans"}]) == 0
    assert said(capsys) == [
        "! discard_fields: expected a field that documents have, found `scores`, which none of 6 documents has; "
        "did you mean "
        "`score`? (documents have: `big`, `id`, `metadata`, `score`, `source`, `text`)",
        "! edit[0].span: expected a field that documents have, found `$.spans`, which none of 6 documents has; "
        "write one of "
        f"those that documents have: {PATHS}",
        "edit[0]: changed nothing in 6 documents",
    ]


def test_rules_that_work_are_not_told_and_the_summary_lists_the_others(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(drop={"big": "doc.big == 9007199254740993", "none": "doc.score > 1"}) == 0
    out = capsys.readouterr().out
    assert " ".join(out.split("\n")[5].split()) == "big -2 33.3%"
    assert "  without effect: drop.none\n" in out
    assert run("--force", drop={"big": "doc.big == 9007199254740993"}) == 0
    captured = capsys.readouterr()
    assert ("without effect" in captured.out, "$.stages" in captured.err) == (False, False)


def test_a_rule_that_hits_only_what_others_dropped_has_an_effect(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(drop={"all": "length > 0", "some": "doc.score > 0.1"}) == 0
    assert said(capsys) == []


def test_documents_without_a_source(capsys: pytest.CaptureFixture[str]) -> None:
    for name in "ab":
        write(f"d/documents/{name}.jsonl", [{"id": name, "text": "t"}])
    assert run(drop={"r": 'source != "aa"'}) == 0
    assert said(capsys) == ['drop.r: `source != "aa"` was true of none of 2 documents; none of them has a `source`']


def test_no_documents_no_warning(capsys: pytest.CaptureFixture[str]) -> None:
    for name in "ab":
        write(f"d/documents/{name}.jsonl", [])
    assert run(drop={"r": "doc.nosuch < 3"}) == 0
    assert said(capsys) == []


def test_dolma_mix_names_its_own_keys(capsys: pytest.CaptureFixture[str]) -> None:
    stream = {
        "name": "s",
        "documents": ["d/documents/*"],
        "output": {"path": "out"},
        "filter": {"exclude": ["$.metadata.lan", "$.attributes.x"]},
    }
    Path("mix.json").write_text(json.dumps({"streams": [stream]}))
    assert main(["-c", "mix.json", "mix"]) == 0
    assert said(capsys, "stream `s`: ") == [
        "! filter.exclude[0]: expected a field that documents have, found `$.metadata.lan`, which none of 6 "
        "documents has; "
        f"did you mean `$.metadata.lang`? (documents have: {PATHS})",
        "! filter.exclude[1]: expected an attribute that documents have, found `$.attributes.x`, which none of "
        "6 documents "
        "has; they have no attributes at all: name experiments in `attributes` of the stream, or tag before",
        "filter: left out none of 6 documents",
    ]
