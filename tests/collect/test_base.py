"""Collections: shards, stable documents, fingerprints, and what cannot be read."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from dolma_pipeline.collect import installed
from dolma_pipeline.collect.base import COLLECTIONS, Collection, reading
from dolma_pipeline.collect.base import collection as named
from dolma_pipeline.errors import ConfigError


def library(root: Path, count: int = 20) -> Collection:
    """`python_stdlib` of a toy library of `count` modules."""
    (root / "json").mkdir(parents=True)
    for i in range(count):
        (root / "json" / f"m{i:02d}.py").write_text(f"value = {i}\n")
    return look_at(root)


def look_at(root: Path) -> Collection:
    return reading(COLLECTIONS["python_stdlib"], partial(installed.standard_library, root))


def test_every_item_is_in_one_shard(tmp_path: Path) -> None:
    collection = library(tmp_path)
    assert collection.shards() == [f"{i:05d}" for i in range(8)]
    documents = [document for shard in collection.shards() for document in collection.documents(shard)]
    assert sorted(document["text"] for document in documents) == sorted(f"value = {i}\n" for i in range(20))
    assert len({document["id"] for document in documents}) == 20


def test_a_document_is_the_same_wherever_the_library_lies(tmp_path: Path) -> None:
    here, there = library(tmp_path / "here"), library(tmp_path / "there")
    for shard in here.shards():
        assert list(here.documents(shard)) == list(there.documents(shard))
    assert here.fingerprint() == there.fingerprint()
    (document,) = (d for s in here.shards() for d in here.documents(s) if d["metadata"]["path"] == "json/m07.py")
    version = document["metadata"].pop("version")
    assert version.startswith("3.")
    assert document == {
        "id": "711d4e036b807ff174b0f424d495eea1",
        "text": "value = 7\n",
        "source": "python_stdlib",
        "metadata": {"path": "json/m07.py", "kind": "module"},
    }


def test_fingerprint_sees_a_new_file_and_a_new_size(tmp_path: Path) -> None:
    before = library(tmp_path).fingerprint()
    assert look_at(tmp_path).fingerprint() == before
    (tmp_path / "json" / "m00.py").write_text("value = 100\n")
    changed = look_at(tmp_path).fingerprint()
    (tmp_path / "new.py").write_text("pass\n")
    assert len({before, changed, look_at(tmp_path).fingerprint()}) == 3


def test_what_cannot_be_read_is_named_and_left_out(tmp_path: Path) -> None:
    collection = library(tmp_path, count=2)
    (tmp_path / "bad.py").write_bytes(b"caf\xe9 = 1\n")
    (tmp_path / "blank.py").write_text(" \n")
    problems: list[str] = []
    documents = [d for shard in collection.shards() for d in collection.documents(shard, problems)]
    assert sorted(d["metadata"]["path"] for d in documents) == ["json/m00.py", "json/m01.py"]
    assert len(problems) == 1
    assert problems[0].startswith("bad.py: SyntaxError: invalid or missing encoding declaration")
    assert str(tmp_path) not in problems[0]


def test_a_file_that_went_away_is_named_without_its_directory(tmp_path: Path) -> None:
    collection = library(tmp_path, count=1)
    assert [item.key for item in collection.items] == ["json/m00.py"]
    (tmp_path / "json" / "m00.py").unlink()
    problems: list[str] = []
    assert [d for shard in collection.shards() for d in collection.documents(shard, problems)] == []
    assert problems == ["json/m00.py: FileNotFoundError: No such file or directory"]


def test_nothing_found_is_an_error(tmp_path: Path) -> None:
    collection = reading(COLLECTIONS["pydoc_topics"], partial(installed.help_topics, tmp_path))
    with pytest.raises(
        ConfigError, match=r"^the collection `pydoc_topics` \(texts of `help\(\)`, one topic a document\) "
    ):
        collection.fingerprint()


def test_unknown_names() -> None:
    with pytest.raises(ConfigError) as error:
        named("python_stdlb", "$.sources.code.collect")
    assert str(error.value) == (
        "$.sources.code.collect: unknown collection `python_stdlb`; did you mean `python_stdlib`? (known: `licenses`, "
        "`package_descriptions`, `pydoc_topics`, `python_docstrings`, `python_packages`, `python_stdlib`)"
    )
    with pytest.raises(ConfigError, match=r"unknown shard `1` \(known: `00000`\)"):
        next(COLLECTIONS["pydoc_topics"].documents("1"))


@pytest.mark.parametrize("name", ["python_stdlib", "pydoc_topics", "package_descriptions", "licenses"])
def test_collections_of_this_installation(name: str) -> None:
    collection = COLLECTIONS[name]
    documents = [document for shard in collection.shards() for document in collection.documents(shard)]
    assert len(documents) > 10
    assert len({document["id"] for document in documents}) == len(documents)
    assert sum(item.size for item in collection.items) <= collection.max_bytes
