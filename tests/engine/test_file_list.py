from __future__ import annotations

from pathlib import Path

import pytest

from dolma_pipeline.engine.file_list import FileList, read_list, relative
from dolma_pipeline.errors import DataError


def test_a_list_names_its_files_from_where_it_lies(tmp_path: Path) -> None:
    files = (f"{tmp_path}/scratch/keys/web/a b.keys", f"{tmp_path}/scratch/list/partition-00000.verdicts")
    listed = FileList(path=f"{tmp_path}/scratch/list/keys.list", files=files)
    known = dict(zip(files, ("aa", "bb"), strict=True))
    assert listed.content(known) == b'["../keys/web/a b.keys","aa"]\n["partition-00000.verdicts","bb"]\n'
    listed.write(known)
    assert read_list(listed.path) == list(files)


def test_a_list_that_is_moved_names_the_files_that_moved_with_it(tmp_path: Path) -> None:
    (tmp_path / "old").mkdir()
    listed = FileList(path=f"{tmp_path}/old/x.list", files=(f"{tmp_path}/old/é.keys",))
    listed.write({f"{tmp_path}/old/é.keys": "aa"})
    (tmp_path / "old").rename(tmp_path / "new")
    assert read_list(f"{tmp_path}/new/x.list") == [f"{tmp_path}/new/é.keys"]


def test_the_digest_of_a_list_follows_the_content_and_the_order_of_its_files() -> None:
    one, two = "/w/a.keys", "/w/b.keys"
    digests = {
        FileList(path="/w/x.list", files=files).digest(known)
        for files in ((one, two), (two, one))
        for known in ({one: "aa", two: "bb"}, {one: "aa", two: "cc"})
    }
    assert len(digests) == 4
    moved = FileList(path="/elsewhere/x.list", files=("/elsewhere/a.keys",)).digest({"/elsewhere/a.keys": "aa"})
    assert moved == FileList(path="/w/x.list", files=(one,)).digest({one: "aa"})


def test_a_list_of_files_that_are_not_written_yet_has_no_content() -> None:
    with pytest.raises(FileNotFoundError, match=r"/w/a\.keys"):
        FileList(path="/w/x.list", files=("/w/a.keys",)).content({})


def test_a_damaged_list_is_an_error_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "x.list"
    path.write_text('["a","b"]\n["a"\n')
    with pytest.raises(DataError, match=r"x\.list:2: expected a path and its BLAKE3, found something else"):
        read_list(str(path))


@pytest.mark.parametrize(
    ("file", "directory", "expected"),
    [("/a/b/c", "/a/b", "c"), ("/a/b/c", "/a/d/e", "../../b/c"), ("/a", "/b", "../a"), ("/ab/c", "/a", "../ab/c")],
)
def test_relative(file: str, directory: str, expected: str) -> None:
    assert relative(file, directory) == expected
