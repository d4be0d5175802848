"""Scratch files: gone when their stage is done, made again where something needs them, wherever they are kept."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from dolma_pipeline.cli.main import main
from dolma_pipeline.config.load import make_recipe
from dolma_pipeline.config.yaml_file import File
from dolma_pipeline.engine.clean import Cleaned, clean_run
from dolma_pipeline.engine.plan import make_plan
from dolma_pipeline.engine.roots import Roots, default_roots, roots_of
from dolma_pipeline.engine.run import RunOptions, run_recipe
from dolma_pipeline.engine.verify import verify_run
from dolma_pipeline.errors import DataError, StageError
from dolma_pipeline.io.lease import lock

QUIET = RunOptions(progress="plain")
KEEP = RunOptions(progress="plain", keep_scratch=True)
TOKENIZER = {"train": {"vocab_size": 300, "sample_bytes": 100_000}}
STAGES: list[dict[str, Any]] = [
    {"dedupe": {"name": "dup", "documents": {"key": "text"}, "partitions": 2}},
    {"mix": {"name": "half", "drop": {"duplicate": "dup.duplicate > 0"}, "budget": {"bytes": 2000}}},
    {"tokens": {"tokenizer": TOKENIZER, "max_tokens": 200}},
]


@pytest.fixture
def recipe(tmp_path: Path) -> dict[str, Any]:
    """Two files of forty documents, of which each has ten twice."""
    for number in range(2):
        rows = [{"id": f"{number}-{i}", "text": f"{number} {i % 30} " + "word " * (i % 30)} for i in range(40)]
        path = tmp_path / "data" / f"{number}.jsonl"
        path.parent.mkdir(exist_ok=True)
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    sources = {"s": {"documents": str(tmp_path / "data" / "*.jsonl")}}
    return {"name": "r", "work_dir": str(tmp_path / "run"), "sources": sources, "stages": STAGES}


def run(recipe: dict[str, Any], options: RunOptions = QUIET) -> dict[str, bytes]:
    """The files that the manifest lists, all of which are there."""
    manifest = run_recipe(make_recipe(File("r.yaml", recipe)), options)
    work_dir = Path(recipe["work_dir"])
    assert verify_run(work_dir) == []
    return {file.path: (work_dir / file.path).read_bytes() for file in manifest.files}


def pending(recipe: dict[str, Any]) -> list[str]:
    """The lines of the plan that say that there is something to do."""
    lines = make_plan(make_recipe(File("r.yaml", recipe))).render().splitlines()[2::2]
    return [line for line in lines if "up to date" not in line]


def files_in(directory: Path) -> list[str]:
    return sorted(p.relative_to(directory).as_posix() for p in directory.rglob("*") if p.is_file())


def test_scratch_files_are_gone_when_their_stage_is_done(recipe: dict[str, Any], tmp_path: Path) -> None:
    files = run(recipe)
    assert not (tmp_path / "run" / "scratch").exists()
    assert pending(recipe) == []
    assert run(recipe) == files
    assert not (tmp_path / "run" / "scratch").exists()


def test_scratch_files_are_kept_where_that_is_asked_for(recipe: dict[str, Any], tmp_path: Path) -> None:
    files = run(recipe, KEEP)
    phases = sorted(p.name for p in (tmp_path / "run" / "scratch").iterdir())
    assert phases == [
        "01-dup-keys", "01-dup-reduce", "02-half-measure", "02-half-sample", "03-tokens-encode", "03-tokens-parts",
    ]  # fmt: skip
    assert run(recipe) == files
    assert not (tmp_path / "run" / "scratch").exists()


@pytest.mark.parametrize(
    ("lost", "again"),
    [
        ("attributes/dup/s/1.parquet", ["01-dup-keys: 2 tasks", "01-dup-reduce: 2 tasks"]),
        ("mixed/half/documents/s/0.jsonl.zst", ["02-half-measure: 2 tasks", "02-half-sample: 1 task"]),
        ("tokens/part-00001.npy", ["03-tokens-encode: 2 tasks", "03-tokens-parts: 1 task"]),
    ],
)
def test_what_a_lost_output_needs_is_made_again(
    recipe: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str], lost: str, again: list[str]
) -> None:
    files = run(recipe)
    (tmp_path / "run" / lost).unlink()
    capsys.readouterr()
    assert run(recipe) == files
    said = [line for line in capsys.readouterr().err.splitlines() if "done again" in line]
    assert [line.strip().partition(" done again")[0] for line in said] == again
    assert not (tmp_path / "run" / "scratch").exists()


def test_only_what_is_gone_is_made_again(
    recipe: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = run(recipe, KEEP)
    (tmp_path / "run" / "attributes" / "dup" / "s" / "0.parquet").unlink()
    (tmp_path / "run" / "scratch" / "01-dup-keys" / "s" / "0.jsonl.rows.parquet").unlink()
    capsys.readouterr()
    assert run(recipe) == files
    said = [line.strip() for line in capsys.readouterr().err.splitlines() if "done again" in line]
    assert said == ["01-dup-keys: 1 task done again, because 01-dup needs scratch files that are gone"]


def test_a_scratch_directory_elsewhere_changes_no_output(recipe: dict[str, Any], tmp_path: Path) -> None:
    files = run(recipe)
    elsewhere = {**recipe, "scratch_dir": str(tmp_path / "fast")}
    # Where the scratch files are is no part of a fingerprint.
    assert pending(elsewhere) == []
    other = {**elsewhere, "work_dir": str(tmp_path / "other")}
    assert run(other, KEEP) == files
    assert not (tmp_path / "other" / "scratch").exists()
    (top,) = (tmp_path / "fast").iterdir()
    assert str(top) == roots_of(make_recipe(File("r.yaml", other))).scratch
    assert (top / "01-dup-reduce" / "keys.list").is_file()
    # Two runs do not meet there, and neither leaves anything.
    assert run({**elsewhere, "work_dir": str(tmp_path / "third")}) == files
    assert list((tmp_path / "fast").iterdir()) == [top]
    assert run(other) == files
    assert list((tmp_path / "fast").iterdir()) == []


def test_a_run_that_was_moved_needs_no_scratch_files(recipe: dict[str, Any], tmp_path: Path) -> None:
    recipe = {**recipe, "scratch_dir": str(tmp_path / "fast")}
    files = run(recipe, KEEP)
    (tmp_path / "run").rename(tmp_path / "moved")
    recipe["work_dir"] = str(tmp_path / "moved")
    assert pending(recipe) == []
    shutil.rmtree(tmp_path / "fast")
    assert run(recipe) == files
    (tmp_path / "moved" / "tokens" / "manifest.json").unlink()
    assert run(recipe) == files


def test_roots_name_paths_and_find_them_again() -> None:
    roots = Roots("/runs/a", "/fast/a-1")
    form = b'["/runs/a/x","/fast/a-1/p/y","/runs/ab","see /runs/a/x"]'
    portable = b'["{work_dir}/x","{work_dir}/scratch/p/y","/runs/ab","see /runs/a/x"]'
    assert roots.portable(form) == portable
    assert roots.located(portable) == form
    assert default_roots("/b").located(portable) == b'["/b/x","/b/scratch/p/y","/runs/ab","see /runs/a/x"]'
    assert [roots.scratch_phase(p) for p in ("/fast/a-1/p/y", "/fast/a-12/p/y", "/runs/a/scratch/p/y")] == [
        "p",
        None,
        None,
    ]


def test_clean_removes_scratch_files_and_leftovers(
    recipe: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = run({**recipe, "scratch_dir": str(tmp_path / "fast")}, KEEP)
    work_dir = tmp_path / "run"
    scratch = files_in(tmp_path / "fast")
    sizes = sum((tmp_path / "fast" / name).stat().st_size for name in scratch)
    left = work_dir / "mixed" / ".x.jsonl.tmp-12"
    left.write_bytes(b"12345")
    mine = work_dir / "mixed" / "notes.txt"
    mine.write_text("mine")
    expected = Cleaned(files=len(scratch) + 1, bytes=sizes + 5)
    assert clean_run(work_dir, dry_run=True) == expected
    assert (files_in(tmp_path / "fast"), left.exists()) == (scratch, True)
    capsys.readouterr()
    assert main(["clean", str(work_dir)]) == 0
    said = capsys.readouterr().out
    assert said.startswith(f"{work_dir}: removed {expected.files} scratch files, ")
    assert (files_in(tmp_path / "fast"), left.exists(), mine.exists()) == ([], False, True)
    assert clean_run(work_dir) == Cleaned(files=0, bytes=0)
    mine.unlink()
    assert run(recipe) == files


def test_clean_touches_nothing_else(recipe: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(DataError) as error:
        clean_run(tmp_path / "data")
    assert str(error.value) == f"{tmp_path}/data: expected the work directory of a run, found no ledger in it"
    with pytest.raises(DataError) as error:
        clean_run(tmp_path / "none")
    assert str(error.value) == f"{tmp_path}/none: expected the work directory of a run, found no such directory"
    run(recipe, KEEP)
    with lock(tmp_path / "run"), pytest.raises(StageError, match="another run is at work here"):
        clean_run(tmp_path / "run")


def test_cleaning_a_copy_leaves_the_scratch_files_of_the_first_run(recipe: dict[str, Any], tmp_path: Path) -> None:
    run({**recipe, "scratch_dir": str(tmp_path / "fast")}, KEEP)
    scratch = files_in(tmp_path / "fast")
    shutil.copytree(tmp_path / "run", tmp_path / "copy")
    found = clean_run(tmp_path / "copy")
    assert (found.files, found.bytes) == (0, 0)
    assert files_in(tmp_path / "fast") == scratch
    assert clean_run(tmp_path / "run").files == len(scratch)


def test_another_scratch_directory_takes_the_place_of_the_first(recipe: dict[str, Any], tmp_path: Path) -> None:
    files = run({**recipe, "scratch_dir": str(tmp_path / "fast")}, KEEP)
    assert files_in(tmp_path / "fast") != []
    assert run({**recipe, "scratch_dir": str(tmp_path / "faster")}) == files
    assert files_in(tmp_path / "fast") == []


@pytest.mark.parametrize(("ran", "cleaned"), [("link", "run"), ("run", "link"), ("run", "data/../run")])
def test_clean_finds_the_scratch_files_however_the_run_is_spelled(
    recipe: dict[str, Any], tmp_path: Path, ran: str, cleaned: str
) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "run")
    run({**recipe, "work_dir": str(tmp_path / ran), "scratch_dir": str(tmp_path / "fast")}, KEEP)
    count = len(files_in(tmp_path / "fast"))
    assert count > 0
    assert clean_run(tmp_path / cleaned).files == count
    assert files_in(tmp_path / "fast") == []


def test_a_moved_run_says_where_its_scratch_files_are(
    recipe: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run({**recipe, "scratch_dir": str(tmp_path / "fast")}, KEEP)
    (top,) = (tmp_path / "fast").iterdir()
    count = len(files_in(top))
    (tmp_path / "run").rename(tmp_path / "moved")
    said = (
        f"this run was moved or copied, and scratch files of its former place are in {top}: "
        "`dolma clean --moved` removes them, where no other run needs them"
    )
    capsys.readouterr()
    assert main(["clean", str(tmp_path / "moved")]) == 0
    assert capsys.readouterr().out.splitlines()[1] == f"{tmp_path}/moved: {said}"
    assert len(files_in(top)) == count
    shutil.copytree(tmp_path / "moved", tmp_path / "second")
    run({**recipe, "work_dir": str(tmp_path / "second"), "scratch_dir": str(tmp_path / "fast")})
    assert f"warning: {said}" in capsys.readouterr().err
    assert main(["clean", "--moved", str(tmp_path / "moved")]) == 0
    assert files_in(tmp_path / "fast") == []
    capsys.readouterr()
    assert main(["clean", str(tmp_path / "moved")]) == 0
    assert capsys.readouterr().out == f"{tmp_path}/moved: removed nothing\n"


def test_clean_of_a_file(recipe: dict[str, Any], tmp_path: Path) -> None:
    run(recipe)
    with pytest.raises(DataError, match=r"manifest\.json: expected the work directory of a run, found a file$"):
        clean_run(tmp_path / "run" / "manifest.json")


def test_a_run_does_nothing_twice(recipe: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bloom = {"name": "seen", "documents": {"key": "text"}, "bloom": {"file": str(tmp_path / "f.bloom")}}
    near = {"name": "near", "minhash": {}}
    recipe["stages"] = [{"dedupe": bloom}, {"dedupe": near}, {"tag": {"taggers": ["char_length_v1"]}}, *STAGES]
    plan = make_plan(make_recipe(File("r.yaml", recipe)))
    of_stages = {phase for stage in plan.stages for phase in stage.phases}
    # A phase that belongs to no stage would find the scratch files of its stage gone.
    assert [phase.id for phase in plan.phases if not {phase.id, *phase.parts} & of_stages] == []
    run(recipe)
    assert "done again" not in capsys.readouterr().err
