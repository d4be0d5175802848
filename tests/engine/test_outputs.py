"""Whose files a work directory holds, and what becomes of those that no stage writes any more."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

from dolma_pipeline.cli.main import main
from dolma_pipeline.config.load import make_recipe
from dolma_pipeline.config.yaml_file import File
from dolma_pipeline.engine.outputs import Claim, check_plan, read_owner
from dolma_pipeline.engine.run import RunOptions, run_recipe
from dolma_pipeline.engine.segments import places, read, rewrite
from dolma_pipeline.engine.verify import verify_run
from dolma_pipeline.errors import ConfigError, StageError
from dolma_pipeline.io.lease import lock

QUIET = RunOptions(progress="plain")


@pytest.fixture
def documents(tmp_path: Path) -> Path:
    """Four files of twenty documents, about 2.5 kB each once they are compressed."""
    for number in range(4):
        rows = [
            {"id": f"{number}-{i}", "text": " ".join(str((number * 97 + i) ** 7 + k) for k in range(9))}
            for i in range(20)
        ]
        path = tmp_path / "data" / "documents" / f"{number}.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return tmp_path


def settings(directory: Path, *stages: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {
        "name": "r",
        "work_dir": str(directory / "run"),
        "sources": {"s": {"documents": str(directory / "data" / "documents" / "*.jsonl")}},
        "stages": list(stages),
        **changes,
    }


def run(data: dict[str, Any], options: RunOptions = QUIET) -> set[str]:
    """The data files of the run afterwards, all of which verify knows."""
    run_recipe(make_recipe(File("r.yaml", data)), options)
    work_dir = Path(data["work_dir"])
    assert verify_run(work_dir) == []
    listed = {f["path"] for f in json.loads((work_dir / "manifest.json").read_text())["files"]}
    own = ("ledger", "scratch", "manifest.json", "timings.json", "sources.json", ".lock", "stat")
    there = {p.relative_to(work_dir).as_posix() for p in work_dir.rglob("*") if p.is_file()}
    assert {p for p in there if p.split("/")[0] not in own} == {p for p in listed if not p.startswith(("/", "stat/"))}
    return listed


def joined(size: int) -> list[dict[str, Any]]:
    return [{"mix": {"name": "first"}}, {"mix": {"name": "joined", "max_size_in_bytes": size}}]


def outputs(numbers: int) -> set[str]:
    first = {f"mixed/first/documents/s/{i}.jsonl.zst" for i in range(4)}
    return first | {f"mixed/joined/joined-{i:04d}.jsonl.zst" for i in range(numbers)}


def test_a_mix_behind_a_mix_joins_by_the_sizes_that_were_written(documents: Path) -> None:
    run(settings(documents, joined(1)[0]))
    # All but one fit into a file.
    sizes = sum(p.stat().st_size for p in (documents / "run" / "mixed" / "first").rglob("*.zst")) - 1
    first = run(settings(documents, *joined(sizes), work_dir=str(documents / "new")))
    assert first == outputs(2)
    files = {p.name: p.read_bytes() for p in (documents / "new" / "mixed" / "joined").iterdir()}
    # A second run finds all files on the disk, where the first found none.
    assert run(settings(documents, *joined(sizes), work_dir=str(documents / "new"))) == first
    assert {p.name: p.read_bytes() for p in (documents / "new" / "mixed" / "joined").iterdir()} == files
    assert len({p.stat().st_mtime_ns for p in (documents / "new" / "ledger").rglob("*.old")}) == 0


def test_outputs_that_no_task_writes_any_more_are_removed(documents: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(settings(documents, *joined(1))) == outputs(4)
    assert "removed" not in capsys.readouterr().err
    assert run(settings(documents, *joined(700_000))) == outputs(1)
    assert (
        "removed 3 files of an earlier run that no stage writes any more, the first: "
        f"{documents}/run/mixed/joined/joined-0001.jsonl.zst\n"
    ) in capsys.readouterr().err
    assert len(list((documents / "run" / "ledger" / "02-joined").iterdir())) == 1
    assert run(settings(documents, *joined(1))) == outputs(4)


def test_outputs_of_stages_that_are_gone_or_renamed_are_removed(documents: Path) -> None:
    tag = {"tag": {"experiment": "base", "taggers": ["char_length_v1"]}}
    (documents / "data" / "documents" / "0.jsonl").write_text('{"id":"a","text":"b"}\nbad\n')
    before = settings(documents, tag, {"mix": {"name": "a"}}, max_bad_fraction=1)
    assert {p.split("/")[0] for p in run(before)} == {"attributes", "mixed", "quarantine"}
    tag["tag"]["experiment"] = "other"
    (documents / "data" / "documents" / "0.jsonl").write_text('{"id":"a","text":"b"}\n')
    after = run(before | {"stages": [tag, {"mix": {"name": "b"}}]})
    assert {p.rsplit("/", 1)[0] for p in after} == {"attributes/other/s", "mixed/b/documents/s"}
    assert sorted(p.name for p in (documents / "run" / "ledger").iterdir()) == ["01-tag", "02-b", "owner.json"]
    assert not (documents / "run" / "attributes" / "base").exists()
    (documents / "data" / "documents" / "3.jsonl").unlink()
    assert len(run(before | {"stages": [tag]})) == 3


def test_files_that_are_not_what_was_written_are_left(documents: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(settings(documents, *joined(1)))
    mine = documents / "run" / "mixed" / "joined" / "joined-0002.jsonl.zst"
    mine.write_bytes(b"mine")
    with pytest.raises(AssertionError):
        run(settings(documents, *joined(700_000)))
    assert mine.read_bytes() == b"mine"
    assert "warning: left 1 file of an earlier run that no stage writes any more, for no stage" in (
        error := capsys.readouterr().err
    )
    assert "removed 2 files" in error
    assert not list((documents / "run" / "ledger").rglob("joined-0001*"))


def test_files_outside_are_removed_only_where_the_recipe_still_writes(
    documents: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def to(place: str, size: int) -> dict[str, Any]:
        mix = {"name": "m", "max_size_in_bytes": size, "destination": str(documents / place)}
        return settings(documents, {"mix": mix})

    run(to("x", 1))
    run(to("x", 700_000))
    assert [p.name for p in (documents / "x").iterdir()] == ["m-0000.jsonl.zst"]
    run(to("y", 700_000))
    assert [p.name for p in (documents / "x").iterdir()] == ["m-0000.jsonl.zst"]
    assert f"remove what you do not need. The first: {documents}/x/m-0000.jsonl.zst" in capsys.readouterr().err
    # They are still this recipe's own.
    run(to("x", 1))


def test_a_killed_rerun_does_not_forget_what_is_to_be_removed(documents: Path) -> None:
    run(settings(documents, {"tag": {"experiment": "base", "taggers": ["char_length_v1"]}}))
    # As a task that was done again and killed leaves it.
    (segment,) = places(documents / "run", "01-tag")
    (number,) = [n for n, entry in enumerate(read(segment)) if entry.task == "s/0.jsonl"]
    old = documents / "run" / "ledger" / "01-tag" / "s" / "0.jsonl.json.0.old"
    old.parent.mkdir()
    old.write_bytes(msgspec.json.encode(read(segment)[number]))
    rewrite(documents / "run", "01-tag", {segment: [n for n in range(4) if n != number]})
    assert all(
        p.startswith("attributes/new/")
        for p in run(settings(documents, {"tag": {"experiment": "new", "taggers": ["char_length_v1"]}}))
    )
    assert not list((documents / "run" / "ledger").rglob("*.old"))


LISTING = """
import sys
from pathlib import Path
from dolma_pipeline.config.load import make_recipe
from dolma_pipeline.config.yaml_file import File
from dolma_pipeline.engine.run import RunOptions, run_recipe
import json

data = json.loads(sys.argv[1])
listed = set()

def look(event, arguments):
    if event in ("os.listdir", "os.scandir") and str(arguments[0]).startswith(data["work_dir"]):
        listed.add(str(arguments[0]).removeprefix(data["work_dir"]))

sys.addaudithook(look)
run_recipe(make_recipe(File("r.yaml", data)), RunOptions(progress="none"))
print(json.dumps(sorted(listed)))
"""


def test_a_run_that_is_up_to_date_lists_no_outputs(documents: Path) -> None:
    data = settings(documents, {"tag": {"experiment": "base", "taggers": ["char_length_v1"]}}, {"mix": {"name": "m"}})
    run(data)
    command = [sys.executable, "-c", LISTING, json.dumps(data)]
    listed = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    assert listed == ["/ledger", "/ledger/01-tag", "/ledger/02-m"]


def test_two_recipes_do_not_share_a_work_dir(documents: Path) -> None:
    run(settings(documents, *joined(1)))
    before = {p: p.stat().st_mtime_ns for p in (documents / "run").rglob("*") if p.is_file()}
    with pytest.raises(StageError) as caught:
        run(settings(documents, {"mix": {"name": "first"}}, name="q"))
    assert str(caught.value) == (
        f"{documents}/run: expected the work_dir of recipe `q`, found that of recipe `r`, whose files would be "
        "overwritten; give this recipe a work_dir of its own, or, if it is the same recipe under a new name, run it "
        "once with `--renamed`"
    )
    assert {p: p.stat().st_mtime_ns for p in before} == before
    run(settings(documents, *joined(1), name="q"), RunOptions(progress="none", renamed=True))
    assert run(settings(documents, *joined(1), name="q")) == outputs(4)


def test_a_work_dir_of_an_earlier_version_has_its_name_in_the_manifest(documents: Path) -> None:
    run(settings(documents, *joined(1)))
    (documents / "run" / "ledger" / "owner.json").unlink()
    with pytest.raises(StageError, match="found that of recipe `r`"):
        run(settings(documents, *joined(1), name="q"))


def test_files_of_others_are_not_written_over(documents: Path) -> None:
    other = documents / "out" / "m-0000.jsonl.zst"
    other.parent.mkdir()
    other.write_bytes(b"other")
    mix = {"name": "m", "max_size_in_bytes": 1, "destination": str(other.parent)}
    with pytest.raises(ConfigError) as caught:
        run(settings(documents, {"mix": mix}))
    assert str(caught.value) == (
        f"$.stages[0].mix.destination: expected a place without files of others, found {other}, written by another "
        "command, or another program; give another name or destination, or remove the old files"
    )
    assert other.read_bytes() == b"other"
    other.unlink()
    run(settings(documents, {"mix": mix}))
    # The ledger of the recipe says whose they are, as well without the claims, which earlier versions did not keep.
    (documents / "run" / "ledger" / "owner.json").unlink()
    run(settings(documents, {"mix": mix | {"discard_fields": ["x"]}}))
    with pytest.raises(ConfigError, match=rf"3 more, written by `r`, whose ledger is {documents}/run; give"):
        run(settings(documents, {"mix": mix}, work_dir=str(documents / "other")))


def test_what_a_killed_run_wrote_is_its_own(documents: Path) -> None:
    data = settings(documents, {"mix": {"name": "m", "destination": str(documents / "out")}})
    run(data)
    shutil.rmtree(documents / "run" / "ledger" / "01-m")
    run(data)


def test_a_run_that_fails_before_it_writes_claims_nothing(documents: Path) -> None:
    tagger = documents / "bad.py"
    tagger.write_text(
        "from dolma_pipeline import BaseTagger, add_tagger\n"
        "@add_tagger('bad')\nclass Bad(BaseTagger):\n    def predict(self, doc):\n        raise ValueError('no')\n"
    )
    data = settings(documents, {"tag": {"taggers": ["bad"], "tagger_modules": [str(tagger)]}}, layout="beside")
    with pytest.raises(StageError, match="no"):
        run_recipe(make_recipe(File("r.yaml", data)), QUIET)
    owner = read_owner(documents / "run")
    assert owner is not None
    assert (owner.recipe, owner.places) == ("r", [])


def test_two_runs_at_once_do_not_write_to_one_place(documents: Path) -> None:
    mix = {"name": "m", "destination": str(documents / "out")}
    run(settings(documents, {"mix": mix}))
    for path in (documents / "out").rglob("*.zst"):
        path.unlink()
    other = settings(documents, {"mix": mix}, name="other", work_dir=str(documents / "other"))
    with lock(documents / "run"), pytest.raises(StageError) as caught:
        run(other)
    assert str(caught.value) == (
        f"{documents}/out/documents/s/0.jsonl.zst: expected a place that no other run writes to, but `r` is at work "
        f"there, whose ledger is {documents}/run; wait for it, or write elsewhere"
    )
    run(other)


def test_a_plan_says_what_a_run_would_refuse(documents: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(settings(documents, *joined(1)))
    path = documents / "q.yaml"
    path.write_text(json.dumps(settings(documents, *joined(1), name="q")))
    assert main(["plan", str(path)]) == 1
    assert "found that of recipe `r`" in capsys.readouterr().err
    assert main(["plan", str(path), "--renamed"]) == 0


def test_two_outputs_in_one_place_are_refused() -> None:
    one = Claim(place="/o/f", where="$.a", remedy="another name", source="/x/f")
    two = Claim(place="/o/f", where="$.b", remedy="another name", source="/y/f")
    with pytest.raises(ConfigError) as caught:
        check_plan([one, two], [])
    assert str(caught.value) == (
        "$.b: expected a file of its own for every output, found /o/f twice for /x/f and /y/f, which $.a names too; "
        "give another name, or other file names"
    )


def test_an_output_over_an_input_is_refused(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path)
    parts = Claim(place=f"{tmp_path}", names=("part-*", "bucket-*/part-*"), where="$.a", remedy="another destination")
    check_plan([parts], [f"{tmp_path}/f", f"{tmp_path}/x/part-0"])
    for path in (f"{tmp_path}/{name}" for name in ("part-00000.npy", "bucket-1/part-0", "link/part-0")):
        with pytest.raises(ConfigError, match=f"outside of the input, found {path}, which is read and would"):
            check_plan([parts], [path])


def test_a_work_dir_that_was_moved_is_up_to_date(documents: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tokens = {"tokenizer": {"train": {"vocab_size": 300}, "eos": "<|endoftext|>"}, "max_tokens": 3000}
    dedupe = {"name": "exact", "documents": {"key": "text"}}
    stages: list[dict[str, Any]] = [
        {"dedupe": dedupe},
        {"mix": {"drop": {"copy": "exact.duplicate"}}},
        {"tokens": tokens},
    ]
    first = run(settings(documents, *stages))
    assert sum(p.endswith(".npy") for p in first) > 2
    (documents / "run").rename(documents / "moved")
    capsys.readouterr()
    moved = settings(documents, *stages, work_dir=str(documents / "moved"))
    assert run(moved) == first
    assert "done in" not in capsys.readouterr().err
    # What is made again is made of what is there, not of what was in the old place.
    (documents / "moved" / "tokens" / "part-00001.npy").unlink()
    assert run(moved) == first
    assert capsys.readouterr().err.count("done in") == 1


def test_documents_in_two_sources_are_said(documents: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (documents / "link").symlink_to(documents / "data")
    sources = {
        "a": {"documents": f"{documents}/data/documents/*.jsonl"},
        "b": {"documents": f"{documents}/link/documents/[01].jsonl"},
    }
    data = settings(documents, {"mix": {}}, sources=sources)
    run(data)
    warning = (
        "2 files are in source `a` and in source `b`, so that their documents count twice, the first: "
        f"{documents}/link/documents/0.jsonl"
    )
    assert f"warning: {warning}\n" in capsys.readouterr().err
    assert json.loads((documents / "run" / "manifest.json").read_text())["warnings"] == [warning]


@pytest.mark.parametrize("pattern", ["**/*.zst", "run/mixed/*/documents/s/*"])
def test_a_source_that_would_find_the_output_is_refused(pattern: str, documents: Path) -> None:
    """Before the first run, which would not find it yet."""
    data = settings(documents, {"mix": {"name": "first"}})
    data["sources"]["more"] = {"documents": str(documents / pattern)}
    (documents / "x.zst").touch()
    place = documents / "run" / "mixed" / "first" / "documents" / "s"
    place.mkdir(parents=True)
    (place / "given.jsonl").write_text('{"id": "x", "text": "x"}\n')
    with pytest.raises(ConfigError, match=r"expected a place that no source reads, found .*where `.*` would find what"):
        run(data)
