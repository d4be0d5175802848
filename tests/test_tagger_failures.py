"""A tagger that fails on some documents: the run ends, or those are set aside and everything is accounted for."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dolma_pipeline.config.recipe import Recipe
from dolma_pipeline.engine.run import RunOptions, run_recipe
from dolma_pipeline.engine.verify import verify_run
from dolma_pipeline.errors import BadInputError, StageError
from dolma_pipeline.taggers import TaggerSet
from dolma_pipeline.taggers.registry import load_taggers
from tests.taggers.toys import documents

MODULE = """
from pathlib import Path
from dolma_pipeline.taggers import batch_tagger, tagger

@tagger("failures_row_v1")
def row(text: str) -> float:
    if "bad" in text:
        raise ZeroDivisionError(f"no {text}")
    return float(len(text))

@batch_tagger("failures_batch_v1", attributes={"here": "spans"})
def batch(documents):
    texts = documents.text.to_pylist()
    if any("worse" in t for t in texts):
        raise ValueError("worse")
    return {"here": [[{"start": 0, "end": 1, "score": 1.0}] for _ in texts]}

@batch_tagger("failures_whole_v1", attributes={"here": "float64"})
def whole(documents):
    if len(documents) > 1:
        raise ValueError(len(documents))
    return {"here": [1.0]}

@tagger("failures_killed_v1")
def killed(text: str) -> float:
    Path("w/.x.jsonl.tmp-999999999").touch()
    raise ValueError("no more")

@tagger("failures_exit_v1")
def leave(text: str) -> float:
    raise SystemExit(0)
"""
TEXTS = ["one", "bad 1", "two", "worse 2", "three", "bad worse", "four"]


@pytest.fixture(scope="module")
def module(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("taggers") / "failing_taggers.py"
    path.write_text(MODULE)
    return str(path)


def recipe(directory: Path, module: str, **tag: Any) -> Recipe:
    source = directory / "documents" / "a.jsonl"
    source.parent.mkdir(exist_ok=True)
    lines = [json.dumps({"id": f"d{i}", "text": text}) for i, text in enumerate(TEXTS)]
    source.write_text("\n".join([lines[0], "not a document", *lines[1:]]) + "\n")
    taggers = ["char_length_v1", "failures_row_v1", "failures_batch_v1"]
    stages = [
        {"tag": {"experiment": "base", "taggers": taggers, "tagger_modules": [module], **tag}},
        {"mix": {"drop": {"short": "char_length_v1.length < 4"}}},
    ]
    settings = {
        "name": "failures",
        "work_dir": str(directory / "w"),
        "sources": {"a": {"documents": str(source)}},
        "stages": stages,
        "max_bad_fraction": 1.0,
    }
    return msgspec.convert(settings, Recipe)


@pytest.mark.parametrize(("name", "line", "document", "reason", "at"), [
    ("failures_row_v1", 3, "d1", "ZeroDivisionError: no bad 1", 8),
    ("failures_batch_v1", 5, "d3", "ValueError: worse", 15),
])  # fmt: skip
def test_the_run_ends_with_file_line_document_and_exception(
    tmp_path: Path, module: str, name: str, line: int, document: str, reason: str, at: int
) -> None:
    with pytest.raises(StageError) as caught:
        run_recipe(recipe(tmp_path, module, taggers=[name, "char_length_v1"]), RunOptions())
    assert str(caught.value) == (
        f"{tmp_path}/documents/a.jsonl:{line}: tagger `{name}`, document `{document}`: {reason} (raised at "
        f"{module}:{at}; DOLMA_TRACEBACK=1 shows the traceback)"
    )


def test_a_failed_run_leaves_nothing_half_written(tmp_path: Path, module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also not what a worker that was killed had begun, which the tagger makes here."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(StageError, match="`failures_killed_v1`"):
        run_recipe(recipe(tmp_path, module, taggers=["failures_killed_v1", "char_length_v1"]), RunOptions())
    assert sorted(p.name for p in (tmp_path / "w").rglob("*") if p.is_file()) == [".lock", "failure.json", "owner.json"]


def test_a_batch_that_fails_only_as_a_whole_is_told_by_its_lines(tmp_path: Path, module: str) -> None:
    with pytest.raises(
        StageError, match=r"/a\.jsonl: lines 1 to 8 together: tagger `failures_whole_v1`: ValueError: 7 "
    ):
        run_recipe(recipe(tmp_path, module, taggers=["failures_whole_v1", "char_length_v1"]), RunOptions())


def test_a_tagger_that_calls_exit_does_not_end_the_command_in_silence(tmp_path: Path, module: str) -> None:
    with pytest.raises(StageError, match=r"/a\.jsonl:1: tagger `failures_exit_v1`, document `d0`: SystemExit: 0 "):
        run_recipe(recipe(tmp_path, module, taggers=["failures_exit_v1", "char_length_v1"]), RunOptions())


@pytest.mark.parametrize("form", ["parquet", "jsonl"])
def test_documents_are_set_aside_and_counted(tmp_path: Path, module: str, form: str) -> None:
    run_recipe(recipe(tmp_path, module, on_error="quarantine", format=form), RunOptions())
    work = tmp_path / "w"
    rows = [json.loads(line) for line in (work / "quarantine/01-tag/a/a.jsonl.jsonl").read_text().splitlines()]
    row, batch = "tagger `failures_row_v1`, document", "tagger `failures_batch_v1`, document"
    assert [(r["line"], r["reason"], json.loads(r["raw"])["id"]) for r in rows] == [
        (3, f"{row} `d1`: ZeroDivisionError: no bad 1", "d1"),
        (5, f"{batch} `d3`: ValueError: worse", "d3"),
        (7, f"{row} `d5`: ZeroDivisionError: no bad worse; {batch} `d5`: ValueError: worse", "d5"),
    ]
    path = work / f"attributes/base/a/a.{form}"
    if form == "parquet":
        table = pq.read_table(path)
        assert table.column("id").to_pylist() == [f"d{i}" for i in range(7)]
        assert table.column("base__char_length_v1__length").to_pylist() == [3, None, 3, None, 5, None, 4]
        assert [len(s) for s in table.column("base__failures_batch_v1__here").to_pylist()] == [1, 0, 1, 0, 1, 0, 1]
        assert table.column("base__quarantine__failed").to_pylist() == [None, 1, None, 1, None, 1, None]
    else:
        found = [json.loads(line) for line in path.read_text().splitlines()]
        assert [sorted(r["attributes"]) for r in found][1] == ["base__quarantine__failed"]
        assert len(found) == 7
    stages = {s["id"]: s["counts"]["a"] for s in json.loads((work / "manifest.json").read_text())["stages"]}
    tag = {k: stages["01-tag"][k] for k in ("documents_in", "documents_out", "quarantined")}
    assert tag == {"documents_in": 8, "documents_out": 4, "quarantined": 4}
    mixed = stages["02-mixed"]
    assert (mixed["documents_in"], mixed["documents_out"]) == (8, 2)
    assert mixed["dropped"] == {"short": 2, "tagger_failed": 3}
    assert verify_run(work) == []


def test_too_many_failures_end_the_run_with_3(tmp_path: Path, module: str) -> None:
    strict = msgspec.structs.replace(recipe(tmp_path, module, on_error="quarantine"), max_bad_fraction=0.1)
    with pytest.raises(BadInputError, match=r"^4 of 8 documents \(50.00%\) could not be read or tagged, over the "):
        run_recipe(strict, RunOptions())


@pytest.mark.parametrize("bad", [set(), {0}, {6}, {0, 1, 2, 3, 4, 5, 6}, {2, 3}])
@pytest.mark.parametrize("name", ["failures_row_v1", "failures_batch_v1"])
def test_each_failing_document_is_found(module: str, bad: set[int], name: str) -> None:
    taggers: TaggerSet = load_taggers([name], [module])
    batch = documents([("bad worse" if i in bad else "x") for i in range(7)])
    columns, failures = taggers.tag_some(batch)
    assert set(failures) == bad
    (column,) = columns.values()
    empty = [value in (None, []) for value in column.to_pylist()]
    assert empty == [i in bad for i in range(7)]
    assert not pa.types.is_null(column.type)
