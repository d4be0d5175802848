"""The account of bad input at the end of a run: what is said, what counts against the budget, and what fails."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import msgspec
import pytest

from dolma_pipeline.cli.main import main
from dolma_pipeline.config.load import decode
from dolma_pipeline.config.recipe import Recipe
from dolma_pipeline.engine import bad_input
from dolma_pipeline.engine.manifest import RunManifest
from dolma_pipeline.engine.run import RunOptions, run_recipe
from dolma_pipeline.engine.verify import verify_run
from dolma_pipeline.errors import BadInputError, DataError, StageError, VerifyError
from tests.tokens.token_toys import write_byte_tokenizer

MODULE = """
import os
from dolma_pipeline.taggers import tagger

@tagger("account_odd_v1")
def odd(text: str) -> float:
    if "odd" in text:
        raise ValueError("odd")
    return 1.0

@tagger("account_even_v1")
def even(text: str) -> float:
    if "odd" in text or "even" in text:
        raise ValueError("even")
    return 1.0

@tagger("account_grows_v1")
def grows(text: str) -> float:
    with open(os.environ["GROWS"], "a") as file:
        file.write('{"id": "new", "text": "x"}\\n')
    return 1.0

@tagger("account_joins_v1")
def joins(text: str) -> float:
    path = os.environ["JOINED"]
    stat = os.stat(path)
    with open(path) as file:
        lines = file.read()
    with open(path, "w") as file:
        file.write(lines.replace("}\\n{", "} {", 1) if lines.count("\\n") == 10 else lines)
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    return 1.0
"""


@pytest.fixture(scope="module")
def module(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("taggers") / "account_taggers.py"
    path.write_text(MODULE)
    return str(path)


@pytest.fixture
def documents(tmp_path: Path) -> Path:
    """Two files, of 10 documents each."""
    directory = tmp_path / "documents"
    directory.mkdir()
    for name in "ab":
        write(directory / f"{name}.jsonl", [{"id": f"{name}{i}", "text": f"text {name} {i}"} for i in range(10)])
    return directory


def write(path: Path, rows: list[dict[str, Any] | str]) -> None:
    path.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows))


def recipe(directory: Path, *stages: dict[str, Any], **settings: Any) -> Recipe:
    sources = {"s": {"documents": str(directory / "documents" / "*")}}
    plain = {"name": "t", "work_dir": str(directory / "run"), "sources": sources, "stages": list(stages)}
    return decode(Recipe, {"max_bad_fraction": 1.0} | plain | settings)


def run(made: Recipe, **options: Any) -> RunManifest:
    return run_recipe(made, RunOptions(progress=options.pop("progress", "none"), **options))


KEEP: dict[str, Any] = {"mix": {"drop": {"none": "length < 0"}}}


def tag(tagger: str, module: str | None = None, **settings: Any) -> dict[str, Any]:
    modules = [module] if module is not None else []
    return {"tag": {"experiment": tagger, "taggers": [tagger], "tagger_modules": modules, **settings}}


def test_an_up_to_date_run_says_it_again(documents: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with (documents / "b.jsonl").open("a") as file:
        file.write("[1]\n{}\n")
    said = (
        "quarantined: 2 of 22 documents, in 1 file\n"
        f"  {documents}/b.jsonl:11: expected a JSON object, found `[1]`; "
        f"2 documents set aside in {tmp_path}/run/quarantine/s/b.jsonl.jsonl\n"
    )
    for progress in ("quiet", "quiet", "plain"):
        run(recipe(tmp_path, KEEP), progress=progress)
        err = capsys.readouterr().err
        assert err == said if progress == "quiet" else err.endswith(said)


def test_machines_are_told_in_one_event(documents: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(documents / "a.jsonl", [{"id": "a", "text": "x"}, "[1]"])
    run(recipe(tmp_path, KEEP), progress="json")
    events = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    (event,) = [e for e in events if e["event"] == "quarantined"]
    assert event == {
        "event": "quarantined",
        "documents": 1,
        "of": 12,
        "files": [
            {
                "file": f"{documents}/a.jsonl",
                "documents": 1,
                "line": 2,
                "reason": "expected a JSON object, found `[1]`",
                "quarantine": f"{tmp_path}/run/quarantine/s/a.jsonl.jsonl",
            }
        ],
    }


def test_of_many_files_the_first_are_named(documents: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for i in range(7):
        write(documents / f"c{i}.jsonl", [{"id": "x", "text": "x"}, "{}"])
    run(recipe(tmp_path, KEEP), progress="quiet")
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "quarantined: 7 of 34 documents, in 7 files"
    assert [line.split(":")[0].rpartition("/")[2] for line in lines[1:-1]] == [f"c{i}.jsonl" for i in range(5)]
    assert lines[-1] == "  and 2 more files; manifest.json names all of them"


@pytest.mark.parametrize(
    "stages", [[KEEP], [tag("char_length_v1"), KEEP], [{"dedupe": {"name": "d", "documents": {"key": "text"}}}]]
)
def test_a_file_that_gives_no_document_is_an_error_however_small(
    documents: Path, tmp_path: Path, stages: list[dict[str, Any]]
) -> None:
    write(documents / "c.json", ['{"key": "c", "text": "x"}'])
    (documents / "d.jsonl").write_text("\n \n")
    (documents / "e.jsonl").write_text("")
    with pytest.raises(BadInputError) as error:
        run(recipe(tmp_path, *stages))
    assert str(error.value) == (
        f"{documents}/c.json: expected documents, found none that can be read: "
        "line 1: missing field `id`; the line has `key`, `text`; `columns: {id: null}` makes one of the text"
    )
    assert verify_run(tmp_path / "run") == []


def test_the_budget_counts_every_stage_and_each_document_once(documents: Path, tmp_path: Path, module: str) -> None:
    """1 bad line; 2 documents that both taggers fail on; 1 that only the second one does."""
    write(
        documents / "a.jsonl", ["{}", *({"id": str(i), "text": t} for i, t in enumerate(["odd", "odd", "even", "x"]))]
    )
    first = tag("account_odd_v1", module, on_error="quarantine")
    second = tag("account_even_v1", module, on_error="quarantine")
    stages = [first, second, KEEP]
    assert run(recipe(tmp_path, *stages, max_bad_fraction=4 / 15)).stages[-1].counts["s"].documents_out == 11
    with pytest.raises(
        BadInputError, match=r"^4 of 15 documents \(26\.67%\) could not be read or tagged, over the max"
    ):
        run(recipe(tmp_path, *stages, max_bad_fraction=0.26))


def test_a_later_stage_counts_too(documents: Path, tmp_path: Path, module: str) -> None:
    write(documents / "a.jsonl", [{"id": "1", "text": "odd"}])
    late = tag("account_odd_v1", module, on_error="quarantine")
    with pytest.raises(BadInputError, match=r"^1 of 11 documents \(9\.09%\)"):
        run(recipe(tmp_path, KEEP, late, max_bad_fraction=0.05))


def test_a_bad_line_behind_a_mix_is_an_error(documents: Path, tmp_path: Path) -> None:
    run(recipe(tmp_path, KEEP))
    mixed = tmp_path / "run" / "mixed" / "mixed" / "documents" / "s" / "a.jsonl.zst"
    plain = {"mix": KEEP["mix"] | {"format": "jsonl"}}
    run(recipe(tmp_path, plain))
    mixed = mixed.with_suffix("")
    stat = mixed.stat()
    mixed.write_bytes(mixed.read_bytes().replace(b'"text"', b'"tixt"', 1))
    os.utime(mixed, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    with pytest.raises(DataError) as error:
        run(recipe(tmp_path, plain, tag("char_length_v1")))
    assert str(error.value).startswith(f"{mixed}:1: expected a document as an earlier stage of this run wrote it")


def test_a_file_that_changes_during_the_run(
    documents: Path, tmp_path: Path, module: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GROWS", str(documents / "a.jsonl"))
    size = (documents / "a.jsonl").stat().st_size
    with pytest.raises(
        StageError, match=rf"^{documents}/a\.jsonl changed: it had {size} bytes, and has \d+, during the"
    ):
        run(recipe(tmp_path, tag("account_grows_v1", module), KEEP))
    assert not (tmp_path / "run" / "manifest.json").exists()
    monkeypatch.setenv("GROWS", os.devnull)
    run(recipe(tmp_path, tag("account_grows_v1", module), KEEP))
    assert verify_run(tmp_path / "run") == []


def test_a_document_that_no_stage_accounts_for_fails_the_run(
    documents: Path, tmp_path: Path, module: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two lines become one behind the back of the run: size and time of the file stay as they were."""
    monkeypatch.setenv("JOINED", str(documents / "a.jsonl"))
    with pytest.raises(VerifyError) as error:
        run(recipe(tmp_path, tag("account_joins_v1", module), KEEP))
    assert str(error.value) == (
        "source s: 20 documents after stage 01-tag, but 19 in stage 02-mixed\n"
        "1 problem in the account of this run: do not use its outputs"
    )
    assert verify_run(tmp_path / "run") == [
        f"the run failed with exit code 1: {'; '.join(str(error.value).splitlines())}",
        "source s: 20 documents after stage 01-tag, but 19 in stage 02-mixed",
    ]


def verified(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, list[str]]:
    code = main(["verify", str(tmp_path / "run")])
    return code, [line.removeprefix(f"{tmp_path}/run: ") for line in capsys.readouterr().out.splitlines()]


def test_verify_counts_the_rows_of_the_quarantine(
    documents: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(documents / "a.jsonl", [{"id": "a", "text": "x"}, "{}", "{}"])
    run(recipe(tmp_path, KEEP))
    assert verified(tmp_path, capsys)[0] == 0
    aside = tmp_path / "run" / "quarantine" / "s" / "a.jsonl.jsonl"
    rows = aside.read_text().splitlines(keepends=True)
    aside.write_text(rows[0])
    code, said = verified(tmp_path, capsys)
    assert code == 1
    assert said[-1] == "quarantine/s/a.jsonl.jsonl: expected 2 rows, as stage 01-mixed counts them, found 1"
    aside.unlink()
    assert verified(tmp_path, capsys)[1][-1] == "quarantine/s/a.jsonl.jsonl: expected a quarantine file, found none"


def edit(tmp_path: Path, **changes: Any) -> None:
    path = tmp_path / "run" / "manifest.json"
    manifest = json.loads(path.read_text()) | changes
    path.write_text(json.dumps(manifest))


def test_verify_tells_an_edited_manifest(documents: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    manifest = run(recipe(tmp_path, KEEP))
    edit(tmp_path)
    assert verified(tmp_path, capsys)[0] == 0
    edited = "manifest.json: expected the contents that the run wrote, found others; it was edited afterwards"
    edit(tmp_path, seed=4)
    assert verified(tmp_path, capsys) == (1, [edited])
    gone = manifest.files[0]
    (tmp_path / "run" / gone.path).unlink()
    edit(tmp_path, seed=manifest.seed, files=msgspec.to_builtins(manifest.files[1:]))
    assert verified(tmp_path, capsys) == (1, [edited])
    edit(tmp_path, format=99)
    with pytest.raises(DataError, match=r"manifest\.json: expected format 2, found 99; it is of another version"):
        verify_run(tmp_path / "run")


def test_verify_names_files_of_others(documents: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(recipe(tmp_path, tag("char_length_v1"), KEEP))
    (tmp_path / "run" / "notes.txt").write_text("mine")
    (tmp_path / "run" / "mixed" / "mixed" / "documents" / "s" / "z.jsonl.zst").write_text("?")
    (tmp_path / "run" / "tokens").mkdir()
    (tmp_path / "run" / "tokens" / "part-00099.npy").write_text("?")
    said = "the run did not write this file; move it elsewhere"
    assert verified(tmp_path, capsys) == (
        1,
        [f"mixed/mixed/documents/s/z.jsonl.zst: {said}", f"tokens/part-00099.npy: {said}"],
    )


def test_beside_the_data_only_a_file_that_goes_on_with_the_numbers_is_not_ones_own(
    documents: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    mix = {"mix": KEEP["mix"] | {"destination": str(out), "max_size_in_bytes": 10_000, "name": "kept"}}
    run(recipe(tmp_path, mix))
    (out / "kept-0001.jsonl.zst").write_text("?")
    (out / "other-0000.jsonl.zst").write_text("another stream's")
    assert verified(tmp_path, capsys) == (
        1,
        [f"{out}/kept-0001.jsonl.zst: the run did not write this file; move it elsewhere"],
    )


def test_verify_notes_sources_that_changed(documents: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(recipe(tmp_path, KEEP))
    size = (documents / "a.jsonl").stat().st_size
    (documents / "a.jsonl").write_text("")
    (documents / "b.jsonl").unlink()
    assert verified(tmp_path, capsys) == (
        0,
        [
            f"note: {documents}/a.jsonl changed: it had {size} bytes, and has 0 since the run",
            f"note: {documents}/b.jsonl is gone since the run",
            "every file and every count is as its manifest says",
        ],
    )


def test_readings_by_other_fields_have_quarantine_files_of_their_own(documents: Path, tmp_path: Path) -> None:
    """Line 1 has both texts, 2 and 3 have one of them each, and 4 has none."""
    (documents / "b.jsonl").unlink()
    rows = [{"text": "t", "body": "b"}, {"text": "t"}, {"body": "b"}, {}]
    write(documents / "a.jsonl", [{"id": str(n), **row} for n, row in enumerate(rows)])
    write_byte_tokenizer(tmp_path / "bytes" / "tokenizer.json")
    tokenizer = {"path": str(tmp_path / "bytes" / "tokenizer.json"), "eos": "<eos>"}
    tokens = {"tokens": {"tokenizer": tokenizer, "text_field": "body"}}
    again = {"tokens": {**tokens["tokens"], "destination": str(tmp_path / "again"), "id_field": None}}
    manifest = run(recipe(tmp_path, tag("char_length_v1"), tokens, again))
    assert verify_run(tmp_path / "run") == []
    assert [sum(c.quarantined for c in stage.counts.values()) for stage in manifest.stages] == [2, 2, 2]
    files = {bad.quarantine for stage in manifest.stages for bad in stage.bad["s"]}
    lines = {f: [json.loads(x)["line"] for x in (tmp_path / "run" / f).read_text().splitlines()] for f in files}
    assert lines.pop("quarantine/s/a.jsonl.jsonl") == [3, 4]
    assert list(lines.values()) == [[2, 4], [2, 4]]
    assert bad_input.find(manifest, tmp_path / "run").documents == 3
