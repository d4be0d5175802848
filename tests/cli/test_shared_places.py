"""Commands whose outputs would meet: refused with what to do, or side by side as Dolma's jobs are."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from dolma_pipeline.cli.main import main


@pytest.fixture(autouse=True)
def documents(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("a/documents/0", "b/documents/0", "a/documents/1"):
        path = Path(f"{name}.jsonl.gz")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(gzip.compress(b'{"id":"%s","text":"text"}\n' % name.encode(), mtime=0))


def tag(*documents: str, taggers: tuple[str, ...] = ("char_length_v1",), **options: str) -> int:
    more = [word for key, value in options.items() for word in (f"--{key}", *value.split())]
    return main(["tag", "--documents", *documents, "--taggers", *taggers, *more])


def rows(path: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in gzip.decompress(Path(path).read_bytes()).splitlines()]


def test_equal_names_in_one_destination(capsys: pytest.CaptureFixture[str]) -> None:
    assert tag("a/documents/*", "b/documents/*", experiment="e", destination="t t") == 2
    assert (
        "--destination: $.destination: expected a file of its own for every output, found t/0.jsonl.gz twice for "
        "a/documents/0.jsonl.gz and b/documents/0.jsonl.gz"
    ) in capsys.readouterr().err
    assert not Path("t").exists()
    assert tag("a/documents/1*", "b/documents/*", experiment="e", destination="t t") == 0
    assert len(list(Path("t").glob("*.gz"))) == 2


def test_one_pattern_with_two_destinations(capsys: pytest.CaptureFixture[str]) -> None:
    assert tag("a/documents/*", "a/documents/*", experiment="e", destination="t u") == 2
    assert (
        "$.documents[1]: expected each pattern once, found `a/documents/*` for t and again for u; run the command once "
        "for each destination"
    ) in capsys.readouterr().err
    assert tag("a/documents/*", "a/documents/*", experiment="e", destination="t t") == 0


def test_taggers_without_an_experiment_share_the_file_of_a_destination() -> None:
    assert tag("a/documents/*", taggers=("char_length_v1", "whitespace_tokenizer_v1"), destination="t") == 0
    assert rows("t/1.jsonl.gz") == [
        {
            "id": "a/documents/1",
            "attributes": {
                "char_length_v1__char_length_v1__length": [[0, 4, 4.0]],
                "whitespace_tokenizer_v1__whitespace_tokenizer_v1__length": [[0, 4, 2.0]],
            },
        }
    ]
    assert sorted(p.name for p in Path("t").glob("*.gz")) == ["0.jsonl.gz", "1.jsonl.gz"]


def test_jobs_on_parts_of_a_data_set_share_an_experiment(capsys: pytest.CaptureFixture[str]) -> None:
    assert tag("a/documents/0*", experiment="e") == 0
    assert tag("a/documents/1*", experiment="e") == 0
    assert tag("a/documents/1*", experiment="e") == 0
    assert "1 up to date" in capsys.readouterr().err
    before = rows("a/attributes/e/0.jsonl.gz")
    # The whole is another job, and would write the files of both.
    assert tag("a/documents/*", experiment="e") == 2
    error = capsys.readouterr().err
    assert "expected a place without files of others, found a/attributes/e/0.jsonl.gz and 1 more, written by" in error
    assert "`tag e`, whose ledger is" in error
    assert "give another `experiment`, or remove the old files" in error
    assert tag("a/documents/0*", experiment="e", taggers=("whitespace_tokenizer_v1",)) == 2
    assert "which this command wrote before with other settings" in capsys.readouterr().err
    assert rows("a/attributes/e/0.jsonl.gz") == before
    command = ["tag", "--documents", "a/documents/*", "--experiment", "e", "--taggers", "char_length_v1"]
    assert main([*command, "--ignore_existing"]) == 0
    assert "warning: writing over 2 files of another command" in capsys.readouterr().err


def test_deduplication_does_not_write_over_taggers(capsys: pytest.CaptureFixture[str]) -> None:
    assert tag("a/documents/*", experiment="e") == 0
    options = ["--dedupe.name", "e", "--dedupe.documents.key", "$.text", "--dedupe.documents.attribute_name", "d"]
    command = ["dedupe", "--documents", "a/documents/*", "--bloom_filter.file", "f.bin", *options]
    assert main(command) == 2
    assert "found a/attributes/e/0.jsonl.gz and 1 more, written by `tag e`" in capsys.readouterr().err
    assert not Path("f.bin").exists()


def test_attributes_do_not_take_the_place_of_documents(capsys: pytest.CaptureFixture[str]) -> None:
    assert tag("a/documents/*", experiment="e", destination="a/documents") == 2
    assert "expected a place outside of the input, found a/documents/0.jsonl.gz" in capsys.readouterr().err
    assert rows("a/documents/0.jsonl.gz") == [{"id": "a/documents/0", "text": "text"}]


def test_a_renamed_recipe(capsys: pytest.CaptureFixture[str]) -> None:
    recipe = "work_dir: w\nsources: {s: {documents: 'a/documents/*'}}\nstages: [{mix: {}}]\n"
    for name in ("one", "two"):
        Path(f"{name}.yaml").write_text(f"name: {name}\n{recipe}")
    run = ["run", "--no-report", "--quiet"]
    assert main([*run, "one.yaml"]) == 0
    assert main([*run, "two.yaml"]) == 1
    assert "/w: expected the work_dir of recipe `two`, found that of recipe `one`" in capsys.readouterr().err
    assert main([*run, "two.yaml", "--renamed"]) == 0
    assert main([*run, "one.yaml"]) == 1


def test_what_a_stat_of_a_recipe_wrote_outlives_the_next_run() -> None:
    Path("r.yaml").write_text(
        "name: r\nwork_dir: w\nsources: {s: {documents: 'a/documents/*'}}\n"
        "stages: [{tag: {taggers: [char_length_v1]}}, {mix: {drop: {a: length < 2}}}]\n"
    )
    run = ["run", "--no-report", "--quiet", "r.yaml"]
    assert main(run) == 0
    assert main(["stat", "--recipe", "r.yaml", "--report", "w/stat/d"]) == 0
    assert main(run) == 0
    assert Path("w/stat/d/report.html").is_file()
    assert main(["verify", "w"]) == 0
