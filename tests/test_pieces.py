"""A large file is divided into pieces: what comes out, and the account of it, are those of the file read as a whole."""

from __future__ import annotations

import gzip
import json
import random
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
from dolma_pipeline.engine.manifest import RunManifest
from dolma_pipeline.engine.plan import make_plan
from dolma_pipeline.engine.run import RunOptions, run_recipe
from dolma_pipeline.engine.verify import verify_run
from dolma_pipeline.formats.attributes import attribute_batches, attribute_keys
from dolma_pipeline.formats.documents import read_documents
from tests.corpus import WORDS

PIECE = 20_000
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
        text = "\n".join(" ".join(words[i : i + 12]) for i in range(0, len(words), 12))
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
    manifest = run_recipe(made, RunOptions(progress="none", processes=processes))
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


@pytest.mark.parametrize("form", ["parquet", "jsonl.gz", "jsonl.zst", "jsonl"])
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
