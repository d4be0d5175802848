"""A large file is divided into pieces: what comes out, and the account of it, are those of the file read as a whole."""

from __future__ import annotations

import gzip
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from dolma_pipeline.config.load import decode
from dolma_pipeline.config.recipe import Recipe
from dolma_pipeline.engine.manifest import RunManifest, read_manifest
from dolma_pipeline.engine.plan import make_plan
from dolma_pipeline.engine.run import RunOptions, run_recipe
from dolma_pipeline.engine.verify import verify_run
from dolma_pipeline.errors import DataError
from dolma_pipeline.formats.attributes import attribute_batches, attribute_keys
from dolma_pipeline.formats.documents import read_documents
from tests.corpus import WORDS, entered

PIECE = 5000
MODULE = """
from dolma_pipeline.taggers import tagger

@tagger("pieces_odd_v1")
def odd(text: str) -> float:
    if "odd" in text:
        raise ValueError("odd")
    return 1.0
"""


def lines(seed: int, count: int) -> list[bytes]:
    """Documents of made-up text; some lines are bad or blank, and on some texts a tagger fails."""
    rng = random.Random(seed)
    found = []
    for n in range(count):
        words = rng.choices([*WORDS.split(), "odd"], [10] * len(WORDS.split()) + [0.1], k=rng.randint(3, 80))
        text = "\n".join(" ".join(words[i : i + 12]) + rng.choice([".", ".", ""]) for i in range(0, len(words), 12))
        found.append(json.dumps({"id": f"{seed}-{n}", "text": text, "n": n, "source": f"s{n % 3}"}).encode())
        if rng.random() < 0.05:
            found.append(rng.choice([b"{", b"", b"\xff", b'{"id": "x"}']))
    return found


def make_documents(directory: Path) -> Path:
    """Files of about 100 kB as they are stored, one in each form, and a small one; the zstd frame is cut short."""
    documents = directory / "documents"
    documents.mkdir(parents=True)
    text = [b"\n".join(lines(n, 1200)) + b"\n" for n in range(4)]
    (documents / "a.jsonl").write_bytes(b"\n".join(lines(9, 300)))
    (documents / "b.jsonl.gz").write_bytes(gzip.compress(text[0], mtime=0))
    (documents / "c.jsonl.zst").write_bytes(zstandard.compress(text[1], 1)[:-20_000])
    cuts = range(0, len(text[2]), 10_000)
    (documents / "d.jsonl.gz").write_bytes(b"".join(gzip.compress(text[2][c : c + 10_000], mtime=0) for c in cuts))
    (documents / "small.jsonl").write_bytes(b"\n".join(lines(10, 5)))
    rows = [json.loads(line) for line in lines(11, 1200) if line.startswith(b'{"id": "11')]
    rows[700]["text"] = None
    pq.write_table(pa.Table.from_pylist(rows), documents / "e.parquet", row_group_size=100)
    return directory


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_documents(tmp_path_factory.mktemp("source"))


@pytest.fixture(scope="module")
def module(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("taggers") / "pieces_taggers.py"
    path.write_text(MODULE)
    return str(path)


def recipe(source: Path, work_dir: Path, stages: list[dict[str, Any]], **changes: Any) -> Recipe:
    settings = {
        "name": "pieces",
        "work_dir": str(work_dir),
        "sources": {"web": {"documents": str(source / "documents" / "*")}},
        "stages": stages,
        "piece_bytes": PIECE,
        "max_bad_fraction": 1.0,
        **changes,
    }
    return decode(Recipe, settings)


def run(made: Recipe, processes: int = 1) -> RunManifest:
    manifest = run_recipe(made, RunOptions(progress="none", keep_scratch=True, processes=processes))
    assert verify_run(made.work_dir) == []
    return manifest


def attributes(path: Path) -> list[dict[str, Any]]:
    keys = attribute_keys(path, 10_000)
    return [row for batch in attribute_batches(path, keys) for row in batch.to_pylist()]


def texts(path: Path) -> list[tuple[str, str]]:
    batches = list(read_documents(path))
    return [pair for b in batches for pair in zip(b.id.to_pylist(), b.text.to_pylist(), strict=True)]


def contents(work_dir: Path) -> dict[str, Any]:
    """What stands in the files of data of a run, by their paths in it."""
    found: dict[str, Any] = {}
    for path in sorted(p for d in ("attributes", "mixed", "quarantine") for p in (work_dir / d).rglob("*")):
        if path.is_file():
            read: dict[str, Callable[[Path], Any]] = {"attributes": attributes, "mixed": texts}
            name = path.relative_to(work_dir)
            found[name.as_posix()] = read.get(name.parts[0], Path.read_text)(path)
    return found


def hashes(manifest: RunManifest) -> dict[str, str]:
    return {file.path: file.blake3 for file in manifest.files}


def same_account(whole: RunManifest, divided: RunManifest) -> None:
    form: dict[str, Any] = {"details": {}}
    for before, after in zip(whole.stages, divided.stages, strict=True):
        assert msgspec.to_builtins(after) | form == msgspec.to_builtins(before) | form
    assert divided.warnings == whole.warnings


def tag(**changes: Any) -> dict[str, Any]:
    return {"tag": {"experiment": "base", "taggers": ["gopher_v2", "c4_v2", "random_number_v1"], **changes}}


@pytest.mark.parametrize("form", ["parquet", "jsonl.zst"])
def test_tag_gives_the_same_attributes(tmp_path: Path, source: Path, form: str) -> None:
    stages = [tag(format=form), tag(experiment="other", taggers=["char_length_v1"], format=form)]
    whole = run(recipe(source, tmp_path / "whole", stages, piece_bytes=1 << 30))
    divided = run(recipe(source, tmp_path / "divided", stages))
    assert contents(tmp_path / "divided") == contents(tmp_path / "whole")
    same_account(whole, divided)
    pieces = {f.name for f in (tmp_path / "divided" / "scratch" / "01-tag-pieces" / "web").iterdir()}
    of = {n: sum(p.startswith(n) for p in pieces) for n in ("a", "b", "c", "d", "e", "small")}
    sizes = {n: next((source / "documents").glob(f"{n}*")).stat().st_size for n in of}
    assert of == {n: -(-size // PIECE) if size > PIECE else 0 for n, size in sizes.items()}
    assert sum(of.values()) > 20


def test_documents_on_which_a_tagger_fails_are_set_aside_as_in_the_whole(
    tmp_path: Path, source: Path, module: str
) -> None:
    stages = [tag(taggers=["pieces_odd_v1"], tagger_modules=[module], on_error="quarantine")]
    whole = run(recipe(source, tmp_path / "whole", stages, piece_bytes=1 << 30))
    divided = run(recipe(source, tmp_path / "divided", stages))
    assert len([name for name in hashes(whole) if name.startswith("quarantine/01-tag/")]) >= 4
    assert contents(tmp_path / "divided") == contents(tmp_path / "whole")
    same_account(whole, divided)


def test_a_plan_does_not_change_with_what_is_done(tmp_path: Path, source: Path) -> None:
    made = recipe(source, tmp_path / "run", [tag()])
    assert "join the pieces of 5 shards" in str(make_plan(made))
    manifest = run(made)
    assert "to do" not in str(make_plan(made))
    assert hashes(run(made)) == hashes(manifest)
    # Another piece_bytes makes other pieces, and what those of before have left is removed.
    run(recipe(source, tmp_path / "run", [tag()], piece_bytes=1 << 30))
    assert list((tmp_path / "run" / "scratch").rglob("*.parquet")) == []


def mix(**changes: Any) -> dict[str, Any]:
    rules = {"short": "gopher_v2.word_count < 20", "long": "length > 380"}
    return {"mix": {"drop": rules, "edit": [{"cut": "c4_v2.lines_with_no_ending_punctuation"}], **changes}}


def use_of(manifest: RunManifest) -> Any:
    """What the rules of the last stage found; which names documents have is told of a sample of each piece."""
    return {k: v for k, v in manifest.stages[-1].details["use"].items() if k != "names"}


FILTERS: dict[str, Any] = {
    "select": {
        "exclude": [
            "$.attributes[?(@.base__gopher_v2__word_count && @.base__gopher_v2__word_count[0][2] > 75)]",
            "$.attributes[?(@.nowhere && @.nowhere[0][2] > 1)]",
        ]
    },
    "keep_attributes": True,
}


@pytest.mark.parametrize(
    ("form", "changes"),
    [
        ("parquet", {}),
        ("parquet", FILTERS),
        ("jsonl.gz", FILTERS),
        ("parquet", {"budget": {"bytes": 300_000}, "format": "jsonl.gz"}),
        ("jsonl.gz", {"format": "jsonl"}),
    ],
    ids=["rules", "filters", "filters of lines", "budget", "plain"],
)
def test_mix_gives_the_same_documents(tmp_path: Path, source: Path, form: str, changes: dict[str, Any]) -> None:
    stages = [tag(format=form), mix(**changes)]
    whole = run(recipe(source, tmp_path / "whole", stages, piece_bytes=1 << 30))
    divided = run(recipe(source, tmp_path / "divided", stages))
    assert contents(tmp_path / "divided") == contents(tmp_path / "whole")
    same_account(whole, divided)
    assert use_of(divided) == use_of(whole)
    assert whole.stages[-1].counts["web"].documents_out > 1000
    assert sum(whole.stages[-1].counts["web"].dropped.values()) > 500
    assert len(list((tmp_path / "divided" / "scratch" / "02-mixed-pieces" / "web").iterdir())) > 20


def test_mix_computes_the_same_attributes(tmp_path: Path, source: Path) -> None:
    stages = [tag(keep=False), mix()]
    whole = run(recipe(source, tmp_path / "whole", stages, piece_bytes=1 << 30))
    divided = run(recipe(source, tmp_path / "divided", stages))
    assert contents(tmp_path / "divided") == contents(tmp_path / "whole")
    same_account(whole, divided)
    assert use_of(divided) == use_of(whole)


def beside(source: Path, work_dir: Path, form: str) -> Path:
    """Copies the documents, with attribute files beside them that another run has written of each file as a whole."""
    stages = [tag(format=form, experiment="given")]
    settings = {"layout": "beside", "piece_bytes": 1 << 30}
    directory = make_documents(work_dir / "data")
    run(recipe(directory, work_dir / "run", stages, **settings))
    return directory


GIVEN: dict[str, Any] = {"drop": {"short": "gopher_v2.word_count < 20"}}


@pytest.mark.parametrize("form", ["parquet", "jsonl.zst"])
def test_documents_are_counted_where_no_stage_before_has_read_the_pieces(tmp_path: Path, form: str) -> None:
    given = beside(tmp_path, tmp_path, form)
    sources = {"web": {"documents": str(given / "documents" / "*"), "attributes": ["given"]}}
    whole = run(recipe(given, tmp_path / "whole", [{"mix": GIVEN}], piece_bytes=1 << 30, sources=sources))
    made = recipe(given, tmp_path / "divided", [{"mix": GIVEN}], sources=sources)
    assert "01-mixed-rows" in str(make_plan(made))
    divided = run(made)
    assert contents(tmp_path / "divided") == contents(tmp_path / "whole")
    same_account(whole, divided)


@pytest.mark.parametrize("form", ["parquet", "jsonl.zst"])
def test_attributes_of_other_documents_are_refused_as_for_the_whole(tmp_path: Path, form: str) -> None:
    given = beside(tmp_path, tmp_path, form)
    sources = {"web": {"documents": str(given / "documents" / "b*"), "attributes": ["given"]}}
    path = given / "documents" / "b.jsonl.gz"
    text = gzip.decompress(path.read_bytes())
    rows = text.splitlines(keepends=True)
    last = rows[-1].replace(b'"text": "', b'"text": "another ')
    changes = {"fewer": b"".join(rows[:-9]), "more": text + rows[0], "id": text.replace(b'"id": "0-1', b'"id": "1-1')}
    if form == "parquet":
        changes["text"] = b"".join([*rows[:-1], last])
    for name, changed in changes.items():
        path.write_bytes(gzip.compress(changed, mtime=0))
        said = []
        for piece_bytes in (1 << 30, PIECE):
            with pytest.raises(DataError) as error:
                run(recipe(given, tmp_path / name, [{"mix": GIVEN}], piece_bytes=piece_bytes, sources=sources))
            said.append(str(error.value))
        assert "tag the documents again" in said[0]
        assert said[1] == said[0]


def start(directory: Path, made: Recipe, *options: str) -> subprocess.Popen[bytes]:
    path = directory / f"{Path(made.work_dir).name}.yaml"
    path.write_bytes(msgspec.yaml.encode(made))
    command = [sys.executable, "-m", "dolma_pipeline", "run", str(path), "--no-report", *options]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True)


def finish(process: subprocess.Popen[bytes]) -> None:
    out, _ = process.communicate(timeout=240)
    assert process.returncode == 0, out.decode()


STAGES = [tag(), tag(experiment="lines", taggers=["char_length_v1"], format="jsonl.gz"), mix()]


@pytest.fixture(scope="module")
def expected(source: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return hashes(run(recipe(source, tmp_path_factory.mktemp("expected") / "run", STAGES)))


@pytest.mark.slow
def test_two_processes_write_the_same_bytes(tmp_path: Path, source: Path, expected: dict[str, str]) -> None:
    made = recipe(source, tmp_path / "run", STAGES)
    finish(start(tmp_path, made, "--processes", "2"))
    assert hashes(read_manifest(tmp_path / "run")) == expected


def test_killed_and_run_again(tmp_path: Path, source: Path, expected: dict[str, str]) -> None:
    made = recipe(source, tmp_path / "run", STAGES)
    rng = random.Random(1)
    for _ in range(3):
        process = start(tmp_path, made)
        deadline = time.monotonic() + 60
        entries = entered(tmp_path / "run") + rng.randint(1, 25)
        while time.monotonic() < deadline and process.poll() is None and entered(tmp_path / "run") < entries:
            time.sleep(0.002)
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        assert process.returncode == -signal.SIGKILL, "the run was over before it was killed"
    finish(start(tmp_path, made))
    assert hashes(read_manifest(tmp_path / "run")) == expected


DEDUPES: list[dict[str, Any]] = [
    {"name": "exact", "documents": {"key": "text"}, "partitions": 3},
    {"name": "parts", "paragraphs": {}, "bloom": {"false_positive_rate": 1e-4}, "partitions": 2, "format": "jsonl.gz"},
]


def test_dedupe_gives_the_same_verdicts(tmp_path: Path, source: Path) -> None:
    copy = make_documents(tmp_path / "copy") / "documents" / "f.jsonl"
    copy.write_bytes(gzip.decompress((source / "documents" / "b.jsonl.gz").read_bytes()))
    rules: dict[str, Any] = {"drop": {"copy": "exact.duplicate"}, "edit": [{"cut": "parts.duplicate"}]}
    stages = [{"dedupe": dedupe} for dedupe in DEDUPES] + [tag(), {"mix": rules}]
    whole = run(recipe(tmp_path / "copy", tmp_path / "whole", stages, piece_bytes=1 << 30))
    divided = run(recipe(tmp_path / "copy", tmp_path / "divided", stages))
    assert contents(tmp_path / "divided") == contents(tmp_path / "whole")
    same_account(whole, divided)
    assert whole.stages[0].counts["web"].edited == {"duplicate": 1200}
    assert [stage.details for stage in divided.stages[:2]] == [stage.details for stage in whole.stages[:2]]
