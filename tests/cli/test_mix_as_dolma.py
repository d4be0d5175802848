"""`dolma mix` on files: names, layout, order, provenance and errors as Dolma 1.2.1 has them."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from dolma_pipeline.cli.main import main


def write(path: str, rows: list[dict[str, Any]]) -> None:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    with gzip.open(path, "wt") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)


def read(path: str) -> list[dict[str, Any]]:
    with gzip.open(path, "rt") as file:
        return [json.loads(line) for line in file]


@pytest.fixture(autouse=True)
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for directory, name in (("b", "0"), ("a", "1"), ("a", "2")):
        rows = [{"id": f"{directory}{name}{i}", "text": f"text {i}", "metadata": {"n": i}} for i in range(2)]
        write(f"d/{directory}/documents/x/{name}.json.gz", rows)


def mix(*arguments: str, **stream: Any) -> int:
    whole = {"name": "s", "documents": ["d/b/documents/x/*", "d/a/documents/x/*"], "output": {"path": "out"}, **stream}
    Path("mix.json").write_text(json.dumps({"streams": [whole]}))
    return main(["-c", "mix.json", "mix", *arguments])


def written(directory: str = "out") -> list[str]:
    found = (p.relative_to(directory).as_posix() for p in Path(directory).rglob("*") if p.is_file())
    return sorted(name for name in found if not name.startswith("."))


def test_names_order_and_provenance() -> None:
    output = {"path": "out", "discard_fields": ["metadata"]}
    assert mix(output=output) == 0
    assert written() == ["s-0000.json.gz"]
    rows = read("out/s-0000.json.gz")
    # One pattern after the other, each by name.
    assert [row["id"] for row in rows] == ["b00", "b01", "a10", "a11", "a20", "a21"]
    assert [row["metadata"] for row in rows[1:3]] == [{"provenance": "0.json.gz:2"}, {"provenance": "1.json.gz:1"}]


def test_only_the_last_of_several_files_is_called_json() -> None:
    assert mix(output={"path": "out", "max_size_in_bytes": 1}) == 0
    assert written() == ["s-0000.jsonl.gz", "s-0001.jsonl.gz", "s-0002.json.gz"]


@pytest.mark.parametrize(("compression", "end"), [("zst", ".json.zst"), ("", ".json")])
def test_names_say_the_compression(compression: str, end: str) -> None:
    assert mix(compression={"output": compression}) == 0
    assert written() == [f"s-0000{end}"]


def test_without_shuffle_files_keep_their_place_below_documents() -> None:
    assert mix("--no-shuffle") == 0
    assert written() == ["documents/x/0.json.gz", "documents/x/1.json.gz", "documents/x/2.json.gz"]
    assert mix("--no-shuffle", compression={"output": "zst"}, output={"path": "zst"}) == 0
    assert written("zst") == ["documents/x/0.json.zst", "documents/x/1.json.zst", "documents/x/2.json.zst"]


def test_two_inputs_of_one_name_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    write("d/b/documents/x/1.json.gz", [{"id": "1", "text": "t"}])
    assert mix("--no-shuffle") == 2
    assert (
        "expected inputs of different names below `documents`, found d/b/documents/x/1.json.gz and d/a/documents"
        in (capsys.readouterr().err)
    )


@pytest.mark.parametrize(
    ("stream", "message"),
    [
        (
            {"filter": {"include": [".metadata.a.b"], "syntax": "jq"}},
            'd/b/documents/x/0.json.gz:1: document `b00`: select: jq `.metadata.a.b`: cannot index null with "b"',
        ),
        (
            {"span_replacement": [{"span": "[[0, 1, 1]]", "syntax": "jq", "replacement": "$.metadata.n"}]},
            "d/b/documents/x/0.json.gz:1: document `b00`: replacement $.metadata.n: jq `.metadata.n`: expected one "
            "string, found 0",
        ),
    ],
)
def test_what_fails_on_a_document_fails(
    stream: dict[str, Any], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert mix(**stream) == 1
    error = capsys.readouterr().err
    assert f"dolma: error: {message}" in error
    assert "on_error" not in error
    assert written() == []


def test_a_replacement_that_cannot_be_a_string_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert mix(span_replacement=[{"span": "$.attributes.x", "replacement": "$5"}]) == 2
    assert "$.streams[0].span_replacement[0].replacement: expected a jq program that gives a string" in (
        capsys.readouterr().err
    )


def test_a_run_says_what_dolma_does_otherwise(capsys: pytest.CaptureFixture[str]) -> None:
    assert mix(filter={"include": ["$.metadata[?(@.n >= 1.0)]"]}) == 0
    assert [row["id"] for row in read("out/s-0000.json.gz")] == ["b01", "a11", "a21"]
    assert (
        "3 documents would be treated otherwise by Dolma 1.2.1 (numbers compared by value; see docs/differences.md)"
        in (capsys.readouterr().err)
    )
