"""Where globs of documents lead, and where ledgers go."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from dolma_pipeline.cli.command import WorkDir
from dolma_pipeline.cli.sources import dataset_root, ledger, parent_of, sources
from dolma_pipeline.config.recipe import (
    Source,
)
from dolma_pipeline.errors import ConfigError


@pytest.mark.parametrize(
    ("pattern", "root"),
    [
        ("/d/web/documents/*.gz", "/d/web"),
        ("documents/*.gz", "."),
        ("/documents/*.gz", "/"),
        ("a/documents/b/documents/*.gz", "a/documents/b"),
        ("a/documents", None),
        ("a/*.gz", None),
        ("s3://bucket/web/documents/*.gz", "s3://bucket/web"),
    ],
)
def test_dataset_root(pattern: str, root: str | None) -> None:
    assert dataset_root(pattern, "documents") == root


def test_the_root_of_a_directory_of_documents(tmp_path: Path) -> None:
    (tmp_path / "web" / "documents").mkdir(parents=True)
    assert dataset_root(f"{tmp_path}/web/documents", "documents") == f"{tmp_path}/web"
    assert dataset_root(f"{tmp_path}/web/documents/", "documents") == f"{tmp_path}/web"
    assert dataset_root(f"{tmp_path}/*/documents", "documents") == f"{tmp_path}/*"


def test_a_wildcard_may_stand_for_the_directory_of_the_documents(tmp_path: Path) -> None:
    for name in ("documents", "docs"):
        (tmp_path / name).mkdir()
    (tmp_path / "documents" / "a.gz").touch()
    found = sources([f"{tmp_path}/doc*/a.gz"], beside=True)
    assert found == {tmp_path.name: Source(documents=f"{tmp_path}/doc*/a.gz")}
    (tmp_path / "docs" / "a.gz").touch()
    with pytest.raises(ConfigError, match=rf"expected a directory `documents` in the path, found `{tmp_path}/doc\*/a"):
        sources([f"{tmp_path}/doc*/a.gz"], beside=True)


def test_sources_have_names_of_their_own() -> None:
    found = sources(["/a/web/documents/*", "/b/web/documents/*", "/c/my web!/documents/*", "/b/web/documents/*"])
    assert {name: source.documents for name, source in found.items()} == {
        "web": "/a/web/documents/*",
        "web-2": "/b/web/documents/*",
        "my_web_": "/c/my web!/documents/*",
    }


@pytest.mark.parametrize(
    ("destination", "parent"),
    [
        ("/no/out", "/no"),
        ("/no/out/", "/no"),
        ("out", "."),
        ("no/out", "no"),
        (".", "./.."),
        ("..", "../.."),
        ("/out", "/"),
        ("s3://bucket/x/out", "s3://bucket/x"),
    ],
)
def test_ledgers_are_beside_destinations(destination: str, parent: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: True)
    assert parent_of(destination) == parent


def test_a_ledger_is_in_the_destination_where_it_cannot_be_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: path != tmp_path)
    assert parent_of(f"{tmp_path}/out") == f"{tmp_path}/out"
    assert parent_of(f"{tmp_path}/a/out") == f"{tmp_path}/a"


def test_jobs_on_parts_of_a_data_set_have_ledgers_of_their_own() -> None:
    one = ledger(WorkDir(), "/d", "tag", "base", ["/d/documents/a*"])
    assert one == ledger(WorkDir(), "/d", "tag", "base", ["/d/documents/a*"])
    assert one != ledger(WorkDir(), "/d", "tag", "base", ["/d/documents/b*"])
