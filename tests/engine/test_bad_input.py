"""Everything bad that input can be, through a whole run: no traceback, nothing good lost, what and where is said."""

from __future__ import annotations

import gzip
import json
import resource
import subprocess
import sys
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
import zstandard

from dolma_pipeline.formats.documents import read_documents

GOOD = 200
"""Documents of the source that nothing is wrong with, so that one bad line is under the budget of 1 %."""


def lines(prefix: str, count: int) -> bytes:
    rows = [{"id": f"{prefix}{i}", "text": f"{prefix} document number {i}, which is {i * 7919}"} for i in range(count)]
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def recipe(directory: Path) -> dict[str, object]:
    return {
        "name": "bad",
        "work_dir": str(directory / "run"),
        "sources": {"s": {"documents": str(directory / "documents" / "*")}},
        "stages": [
            {"tag": {"experiment": "e", "taggers": ["gopher_v2", "c4_v2"]}},
            {"dedupe": {"name": "d", "documents": {"key": "text"}}},
            {"mix": {"drop": {"copy": "d.duplicate"}}},
            {"tokens": {"tokenizer": {"train": {"vocab_size": 300}, "eos": "<|endoftext|>"}}},
        ],
    }


def run(
    directory: Path, recipe: dict[str, object], prepare: Callable[[], None] | None = None, *options: str
) -> subprocess.CompletedProcess[str]:
    path = directory / "recipe.yaml"
    path.write_text(yaml.safe_dump(recipe))
    command = [sys.executable, "-m", "dolma_pipeline", "run", str(path), "--no-report", *options]
    return subprocess.run(command, capture_output=True, text=True, timeout=200, preexec_fn=prepare, check=False)


def kept(directory: Path) -> list[str]:
    return sorted(
        i for f in (directory / "run" / "mixed").rglob("*.zst") for d in read_documents(f) for i in d.id.to_pylist()
    )


def good(count: int = GOOD) -> list[str]:
    return sorted(f"good{i}" for i in range(count))


def quarantined(directory: Path) -> list[tuple[int, int, str]]:
    rows = [json.loads(r) for f in sorted((directory / "run" / "quarantine").rglob("*.jsonl")) for r in f.open()]
    return [(row["line"], row["offset"], row["reason"]) for row in rows]


BAD_LINES = {
    "malformed": (b'{"id": "x", "text": "y"', "EOF while parsing"),
    "missing text": (b'{"id": "x"}', "missing field `text`"),
    "missing id": (b'{"text": "x"}', "missing field `id`"),
    "wrong type of text": (b'{"id": "x", "text": 7}', "expected a string for `text`, found a number"),
    "wrong type of id": (b'{"id": ["x"], "text": "y"}', "expected a string for `id`, found an array"),
    "no object": (b'["x"]', 'expected a JSON object, found `["x"]`'),
    "bad UTF-8": (b'{"id": "x", "text": "\xff\xfe"}', "invalid UTF-8"),
    "NUL bytes": (b'{"id": "x", "text": "a\x00b"}', "control character"),
    "only NUL bytes": (b"\x00" * 64, "expected a JSON object"),
    "lone surrogate": (b'{"id": "x", "text": "\\ud800"}', "a lone surrogate"),
}


@pytest.mark.parametrize("name", BAD_LINES)
def test_a_bad_line_is_set_aside(tmp_path: Path, name: str) -> None:
    line, reason = BAD_LINES[name]
    first, second = lines("good", GOOD).split(b"\n", 1)
    (tmp_path / "documents").mkdir()
    (tmp_path / "documents" / "a.jsonl").write_bytes(first + b"\n" + line + b"\n" + second)
    done = run(tmp_path, recipe(tmp_path))
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert kept(tmp_path) == good()
    ((number, offset, found),) = quarantined(tmp_path)
    assert (number, offset) == (2, len(first) + 1)
    assert reason in found
    aside = tmp_path / "run" / "quarantine" / "s" / "a.jsonl.jsonl"
    assert (
        f"quarantined: 1 of {GOOD + 1} documents, in 1 file\n"
        f"  {tmp_path}/documents/a.jsonl:2: {found}; 1 document set aside in {aside}\n"
    ) in done.stderr


def damaged_gzip(data: bytes) -> bytes:
    packed = bytearray(gzip.compress(data))
    packed[len(packed) // 2] ^= 0xFF
    return bytes(packed)


@dataclass
class File:
    name: str
    data: bytes
    complete: bool
    """Whether all of its documents must come out."""
    says: str
    code: int = 3


DAMAGE = "the file is truncated or corrupt after byte"
FILES = [
    File("z.jsonl.gz", gzip.compress(lines("other", 400))[:-1500], False, f"z.jsonl.gz: {DAMAGE}"),
    File("z.jsonl.zst", zstandard.compress(lines("other", 4000))[:-3000], False, f"z.jsonl.zst: {DAMAGE}"),
    File("z.jsonl.gz", damaged_gzip(lines("other", 4000)), False, f"z.jsonl.gz: {DAMAGE}"),
    File("z.jsonl.gz", lines("other", 30), True, "", 0),
    File("z.jsonl.GZ", gzip.compress(lines("other", 30)), True, "", 0),
    File("z.jsonl", zstandard.compress(lines("other", 30)), True, "", 0),
    File("z.jsonl.gz", gzip.compress(lines("other", 30)) + bytes(10240), True, "", 0),
    File("z.jsonl.gz", gzip.compress(lines("other", 30)) + b"rest", True, f"z.jsonl.gz: {DAMAGE}"),
    File("z.jsonl.zst", b"\x28\xb5\x2f\xfd\xff\xff" * 9, False, f"z.jsonl.zst: {DAMAGE} 0"),
    File("z.jsonl.gz", b"", True, "", 0),
    File("z.jsonl", b"", True, "", 0),
    File("z.jsonl", b"\n\n \n", True, "", 0),
    File("z.jsonl", lines("other", 30)[:-1], True, "", 0),
    File("z.jsonl", b"\xef\xbb\xbf" + lines("other", 30), True, "", 0),
    File("z.jsonl", lines("other", 30).replace(b"\n", b"\r\n"), True, "", 0),
]  # fmt: skip


@pytest.mark.parametrize("file", FILES, ids=range(len(FILES)))
def test_a_bad_file_loses_nothing_that_can_be_read(tmp_path: Path, file: File) -> None:
    (tmp_path / "documents").mkdir()
    (tmp_path / "documents" / "a.jsonl").write_bytes(lines("good", GOOD))
    (tmp_path / "documents" / file.name).write_bytes(file.data)
    done = run(tmp_path, recipe(tmp_path))
    assert done.returncode == file.code, done.stderr
    assert "Traceback" not in done.stderr
    assert file.says in done.stderr
    found = kept(tmp_path)
    assert [i for i in found if i.startswith("good")] == good()
    others = [i for i in found if i.startswith("other")]
    if file.complete:
        assert len(others) == (30 if file.data.strip() else 0)
    else:
        assert bool(others) == (not file.says.endswith(" 0"))


@pytest.mark.slow
def test_a_line_of_100_megabytes(tmp_path: Path) -> None:
    (tmp_path / "documents").mkdir()
    long = b'{"id": "long", "text": "' + b"all work and no play " * 4_800_000 + b'"}\n'
    (tmp_path / "documents" / "a.jsonl.zst").write_bytes(zstandard.compress(lines("good", 3) + long, 1))
    settings = recipe(tmp_path)
    settings["stages"] = settings["stages"][1:3]  # type: ignore[index]
    done = run(tmp_path, settings)
    assert done.returncode == 0, done.stderr
    assert kept(tmp_path) == ["good0", "good1", "good2", "long"]


def test_a_line_over_the_limit_takes_little_memory(tmp_path: Path) -> None:
    """300 MB of NULs in 0.3 MB of gzip."""
    (tmp_path / "documents").mkdir()
    packer = zlib.compressobj(1, zlib.DEFLATED, 31)
    packed = [packer.compress(lines("good", 1)), *(packer.compress(bytes(1 << 20)) for _ in range(300))]
    packed += [packer.compress(b"\n" + lines("good", GOOD).split(b"\n", 1)[1]), packer.flush()]
    (tmp_path / "documents" / "a.jsonl.gz").write_bytes(b"".join(packed))
    settings = recipe(tmp_path)
    settings["stages"] = settings["stages"][1:3]  # type: ignore[index]
    done = run(tmp_path, settings, lambda: resource.setrlimit(resource.RLIMIT_AS, (3 << 30, 3 << 30)))
    assert done.returncode == 0, done.stderr
    assert kept(tmp_path) == good()
    ((line, _, reason),) = quarantined(tmp_path)
    assert (line, reason) == (2, "a line of 314572800 bytes, over the limit of 134217728")
    (file,) = (tmp_path / "run" / "quarantine").rglob("*.jsonl")
    assert file.stat().st_size < 30_000


def foreign(directory: Path) -> Path:
    """A directory of documents with one file of a foreign format among them."""
    (directory / "documents").mkdir()
    (directory / "documents" / "a.jsonl").write_bytes(lines("good", 3))
    rows = [{"id": str(i), "text": "x"} for i in range(3)]
    (directory / "documents" / "b.json.gz").write_bytes(gzip.compress(json.dumps(rows, indent=1).encode()))
    return directory / "documents" / "b.json.gz"


def test_a_foreign_file_is_named_before_any_work(tmp_path: Path) -> None:
    file = foreign(tmp_path)
    done = run(tmp_path, recipe(tmp_path))
    assert done.returncode == 2, done.stderr
    assert done.stderr.endswith(
        f"dolma: error: {file}: expected JSON lines (one object a line; plain, gzip or zstd) or Parquet, found a JSON "
        "array; `jq -c '.[]' FILE` writes its items as lines\n"
    )
    assert {p.name for p in (tmp_path / "run").rglob("*") if p.is_file()} == {".lock", "failure.json", "owner.json"}


@pytest.mark.parametrize(
    "command",
    [
        ["tag", "--experiment", "e", "--taggers", "char_length_v1"],
        ["dedupe", "--dedupe.name", "d", "--dedupe.documents.key", "$.text", "--dedupe.documents.attribute_name", "dup",
         "--bloom_filter.file", "bloom", "--bloom_filter.estimated_doc_count", "100",
         "--bloom_filter.desired_false_positive_rate", "0.01"],
        ["train-tokenizer", "--output", "t", "--vocab_size", "300"],
    ],
    ids=lambda command: command[0],
)  # fmt: skip
def test_every_command_names_a_foreign_file(tmp_path: Path, command: list[str]) -> None:
    file = foreign(tmp_path)
    name, *options = command
    given = [sys.executable, "-m", "dolma_pipeline", name, "--documents", "documents/*", *options]
    done = subprocess.run(given, capture_output=True, text=True, timeout=200, check=False, cwd=tmp_path)
    assert done.returncode == 2, done.stderr
    assert f"documents/{file.name}: expected JSON lines" in done.stderr
    assert not (tmp_path / "t").exists()


def test_nesting_breaks_nothing(tmp_path: Path) -> None:
    (tmp_path / "documents").mkdir()
    deep = "[" * 100_000 + "]" * 100_000
    rows = [f'{{"id": "deep{i}", "text": "{i} of them", "metadata": {{"x": {deep}}}, "y": {deep}}}\n' for i in range(2)]
    text = lines("good", GOOD) + "".join(rows).encode() + deep.encode() + b"\n"
    (tmp_path / "documents" / "a.jsonl").write_bytes(text)
    done = run(tmp_path, recipe(tmp_path))
    assert done.returncode == 0, done.stderr
    assert kept(tmp_path) == sorted(["deep0", "deep1", *good()])
    assert [line for line, _, _ in quarantined(tmp_path)] == [GOOD + 3]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sources": {"s": {"documents": "nowhere/*.gz"}}}, "$.sources.s.documents: "),
        ({"stagse": []}, "recipe.yaml:23: $.stagse: unknown key; did you mean `stages`?"),
        ({"stages": [{"tag": {"taggers": ["gopher_v9"]}}]}, "$.stages[0].tag.taggers[0]: unknown tagger `gopher_v9`"),
        ({"stages": [{"mix": {"drop": {"x": "nobody.knows < 3"}}}]}, "$.stages[0].mix.drop.x: "),
        ({"max_bad_fraction": 2}, "$.max_bad_fraction: "),
    ],
)
def test_a_wrong_recipe_is_a_usage_error(tmp_path: Path, change: dict[str, object], message: str) -> None:
    (tmp_path / "documents").mkdir()
    (tmp_path / "documents" / "a.jsonl").write_bytes(lines("good", 3))
    done = run(tmp_path, recipe(tmp_path) | change)
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    assert message in done.stderr
    assert not (tmp_path / "run").exists()


def test_a_full_disk_ends_the_run_and_room_lets_it_go_on(tmp_path: Path) -> None:
    """A limit on the size of files stands for the full disk: the write fails in the middle, with an errno."""
    (tmp_path / "documents").mkdir()
    (tmp_path / "documents" / "a.jsonl").write_bytes(lines("good", 20_000))
    settings = recipe(tmp_path)
    done = run(tmp_path, settings, lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000)))
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "File too large: " in done.stderr
    assert str(tmp_path / "run") in done.stderr.split("File too large: ")[1]
    left = [p for p in (tmp_path / "run").rglob("*") if p.is_file() and p.stat().st_size >= 100_000]
    assert left == [], "a file that was cut must not stand under its name"
    done = run(tmp_path, settings)
    assert done.returncode == 0, done.stderr
    assert kept(tmp_path) == good(20_000)


def test_a_work_directory_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "documents").mkdir()
    (tmp_path / "documents" / "a.jsonl").write_bytes(lines("good", 3))
    (tmp_path / "run").write_text("a file")
    done = run(tmp_path, recipe(tmp_path))
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert str(tmp_path / "run") in done.stderr
