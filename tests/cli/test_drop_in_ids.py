"""Documents without a string as their id, and with keys given twice: taken by the drop-in commands as by Dolma 1.2.1.

What Dolma writes is what its wheel wrote of the same files.
"""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from dolma_pipeline.cli.main import main
from dolma_pipeline.config.load import make_recipe
from dolma_pipeline.config.yaml_file import File
from dolma_pipeline.engine.run import RunOptions, run_recipe
from dolma_pipeline.errors import ConfigError, DataError

LINES = [
    '{"id":"a","text":"one"}',
    '{"text":"two"}',
    '{"id":null,"text":"one"}',
    '{"id":7,"text":"three"}',
    '{"id":7.0,"text":"two"}',
    '{"id":{"y":1,"x":[2]},"text":"four"}',
    '{"id":"x","text":"one","id":"b","text":"five","metadata":{"n":1},"metadata":{"n":2}}',
]
IDS = ["a", None, None, 7, 7.0, {"x": [2], "y": 1}, "b"]
NO_DOCUMENTS = ['{"id":"t"}', '{"id":"u","text":null}', '{"id":"v","text":5}', '["w","text"]', '{"id":"x","text":"o']


@pytest.fixture(autouse=True)
def there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write("documents", LINES)


def write(directory: str, lines: list[str]) -> None:
    path = Path(f"d/{directory}/f.jsonl.gz")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress("".join(f"{line}\n" for line in lines).encode()))


def read(path: str) -> list[str]:
    return gzip.decompress(Path(path).read_bytes()).decode().splitlines()


def rows(experiment: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in read(f"d/attributes/{experiment}/f.jsonl.gz")]


def dedupe(*mode: str) -> None:
    start = ["dedupe", "--documents", "d/documents/*", "--dedupe.name", "dup", "--bloom_filter.file", "f.bin"]
    assert main([*start, *mode]) == 0


def mix(**stream: Any) -> int:
    whole = {"name": "s", "documents": ["d/documents/*"], "output": {"path": "out"}, **stream}
    Path("mix.json").write_text(json.dumps({"streams": [whole]}))
    return main(["-c", "mix.json", "mix"])


def test_rows_have_the_ids_of_their_documents() -> None:
    dedupe("--dedupe.documents.attribute_name", "dup", "--dedupe.documents.key", "$.text")
    found = rows("dup")
    assert [row["id"] for row in found] == IDS
    # A whole number and a float are two values.
    assert [repr(row["id"]) for row in found[3:5]] == ["7", "7.0"]
    marked = [row["attributes"] for row in found]
    assert marked == [{}, {}, {"dup": [[0, 3, 1.0]]}, {}, {"dup": [[0, 3, 1.0]]}, {}, {}]
    assert main(["tag", "--documents", "d/documents/*", "--taggers", "char_length_v1", "--experiment", "e"]) == 0
    assert [row["id"] for row in rows("e")] == IDS
    assert [row["attributes"]["e__char_length_v1__length"][0][2] for row in rows("e")] == [3, 3, 3, 5, 3, 4, 4]


def test_paragraphs_and_keys_that_are_ids() -> None:
    dedupe("--dedupe.paragraphs.attribute_name", "dup")
    assert [bool(row["attributes"]["dup"]) for row in rows("dup")] == [False, False, True, False, True, False, False]
    write("documents", ['{"id":7,"text":"one"}', '{"id":7,"text":"one"}', '{"id":"7","text":"one"}'])
    Path("f.bin").unlink()
    # What is no string is no key; in Dolma it stops the file.
    dedupe("--dedupe.documents.attribute_name", "dup", "--dedupe.documents.key", "$.id")
    assert [row["attributes"] for row in rows("dup")] == [{"dup": []}, {"dup": []}, {}]


def test_mixed_lines_are_the_lines_that_were_read() -> None:
    dedupe("--dedupe.documents.attribute_name", "dup", "--dedupe.documents.key", "$.text")
    keep = {"include": ["$.attributes[?(!@.dup)]"]}
    assert mix(attributes=["dup"], filter=keep, output={"path": "out", "discard_fields": ["attributes"]}) == 0
    provenance = '"provenance":"f.jsonl.gz:{}"'
    assert read("out/s-0000.json.gz") == [
        f'{LINES[0][:-1]},"metadata":{{{provenance.format(1)}}}}}',
        f'{LINES[1][:-1]},"metadata":{{{provenance.format(2)}}}}}',
        f'{LINES[3][:-1]},"metadata":{{{provenance.format(4)}}}}}',
        f'{LINES[5][:-1]},"metadata":{{{provenance.format(6)}}}}}',
        '{"id":"b","text":"five","metadata":{"n":2,"provenance":"f.jsonl.gz:7"}}',
    ]


def test_filters_and_edits_see_the_id_that_counts() -> None:
    assert mix(filter={"include": ['.id == 7 or .id == "b" or .metadata?.n? == 1'], "syntax": "jq"}) == 0
    assert [json.loads(line)["id"] for line in read("out/s-0000.json.gz")] == [7, 7.0, "b"]


@pytest.mark.parametrize(
    ("document", "row", "taken"),
    [
        ('{"text":"t"}', '{"attributes":{},"id":null}', True),
        ('{"text":"t"}', '{"attributes":{}}', True),
        ('{"id":null,"text":"t"}', '{"attributes":{}}', True),
        ('{"id":1e2,"text":"t"}', '{"attributes":{},"id":100.0}', True),
        ('{"id":{"a":1,"b":2},"text":"t"}', '{"attributes":{},"id":{"b":2,"a":1}}', True),
        ('{"id":123456789012345678901,"text":"t"}', '{"attributes":{},"id":1.2345678901234568e20}', True),
        ('{"id":"\\u0000x","text":"t"}', '{"attributes":{},"id":"\\u0000x"}', True),
        ('{"id":7,"text":"t"}', '{"attributes":{},"id":"7"}', False),
        ('{"id":7,"text":"t"}', '{"attributes":{},"id":7.0}', False),
        ('{"id":"a","text":"t"}', '{"attributes":{}}', False),
    ],
)
def test_rows_are_compared_as_dolma_compares_them(document: str, row: str, taken: bool) -> None:
    write("documents", [document])
    write("attributes/e", [row])
    assert mix(attributes=["e"]) == (0 if taken else 1)
    assert Path("out/s-0000.json.gz").exists() == taken


def test_a_mismatch_names_the_ids(capsys: pytest.CaptureFixture[str]) -> None:
    write("documents", ['{"id":7,"text":"t"}'])
    write("attributes/e", ['{"attributes":{},"id":"7.0"}'])
    assert mix(attributes=["e"]) == 1
    assert (
        "d/attributes/e/f.jsonl.gz:1: expected the attributes of document `7`, found those of `7.0` (line 1 of the "
        "documents); tag the documents again"
    ) in capsys.readouterr().err


def test_lines_without_a_text_are_set_aside(capsys: pytest.CaptureFixture[str]) -> None:
    write("documents", ['{"id":1,"text":"kept"}', *NO_DOCUMENTS])
    assert mix() == 3
    assert [json.loads(line)["id"] for line in read("out/s-0000.json.gz")] == [1]
    (aside,) = Path(".dolma").glob("*/quarantine/**/*.jsonl")
    assert [json.loads(line)["reason"] for line in aside.read_text().splitlines()] == [
        "missing field `text`",
        "missing field `text`",
        "expected a string for `text`, found a number",
        'expected a JSON object, found `["w","text"]`',
        "malformed JSON at byte 19: EOF while parsing a string",
    ]


def test_a_custom_tagger_sees_the_json_of_an_id() -> None:
    Path("mine.py").write_text(
        "from dolma_pipeline import BaseTagger, DocResult, Span, add_tagger\n\n\n"
        "@add_tagger('length_of_id_v1')\nclass LengthOfId(BaseTagger):\n"
        "    def predict(self, doc):\n"
        "        return DocResult(doc=doc, spans=[Span(0, len(doc.text), 'n', score=len(doc.id))])\n"
    )
    tag = "tag --documents d/documents/* --taggers length_of_id_v1 --experiment e --tagger_modules mine.py"
    assert main(tag.split()) == 0
    # a, null, null, 7, 7.0, {"x":[2],"y":1}, b
    assert [row["attributes"]["e__length_of_id_v1__n"][0][2] for row in rows("e")] == [1, 4, 4, 1, 3, 15, 1]


def recipe(*stages: dict[str, Any], **source: Any) -> dict[str, Any]:
    sources = {"s": {"documents": "d/documents/*", **source}}
    return {"name": "r", "work_dir": "run", "sources": sources, "stages": list(stages), "max_bad_fraction": 1.0}


def run(data: dict[str, Any]) -> tuple[int, int]:
    done = run_recipe(make_recipe(File("r.yaml", data)), RunOptions(progress="none"))
    counts = done.stages[-1].counts["s"]
    return counts.documents_out, counts.quarantined


def test_recipes_are_strict_unless_they_say_otherwise() -> None:
    stage = {"mix": {"format": "jsonl"}}
    assert run(recipe(stage)) == (1, 6)
    assert run(recipe(stage, columns={"as_dolma": True})) == (7, 0)


def test_a_recipe_reads_rows_of_such_ids_only_with_such_documents() -> None:
    assert main(["tag", "--documents", "d/documents/*", "--taggers", "char_length_v1", "--experiment", "e"]) == 0
    stage = {"mix": {"drop": {"long": "char_length_v1.length > 3"}, "format": "jsonl"}}
    assert run(recipe(stage, attributes=["e"], columns={"as_dolma": True})) == (4, 0)
    write("documents", ['{"id":"a","text":"one"}', '{"id":"b","text":"two"}'])
    with pytest.raises(DataError) as error:
        run(recipe(stage, attributes=["e"]))
    assert str(error.value) == (
        "d/attributes/e/f.jsonl.gz: line 2: expected an attribute row: expected a string as `id`, found none; "
        "documents with such ids are read with `columns: {as_dolma: true}`, as `dolma tag`, `dedupe` and `mix` read "
        "them"
    )


@pytest.mark.parametrize(
    ("columns", "stages", "message"),
    [
        (
            {"as_dolma": True, "text": "body"},
            [{"mix": {}}],
            ": expected either `as_dolma` or names of columns, found both",
        ),
        (
            {"as_dolma": True},
            [{"mix": {}}, {"tokens": {"tokenizer": {"path": "t.json"}}}],
            ".as_dolma: expected `tag`, `dedupe`, `decontaminate` and at their end one `mix`, found `tokens` in "
            "$.stages[1], which needs the ids of all documents",
        ),
    ],
)
def test_what_cannot_do_without_ids(columns: dict[str, Any], stages: list[dict[str, Any]], message: str) -> None:
    with pytest.raises(ConfigError) as error:
        run(recipe(*stages, columns=columns))
    assert str(error.value) == f"r.yaml: $.sources.s.columns{message}"
