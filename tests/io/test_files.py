import os
from pathlib import Path, PurePosixPath

import pytest

from dolma_pipeline.errors import ConfigError, DataError, StageError
from dolma_pipeline.io.atomic import (
    atomic_path,
    read_json,
    remove_leftovers,
    remove_temporaries,
    sync_directories,
    write_json,
)
from dolma_pipeline.io.files import find_files, fixed_directory, relative_name, replace_component
from dolma_pipeline.io.lease import lock
from dolma_pipeline.io.url import local


def test_only_the_last_component_of_that_name_is_replaced() -> None:
    path = Path("/data/documents/web/documents/a/f.gz")
    assert replace_component(path, "documents", "attributes/x") == Path("/data/documents/web/attributes/x/a/f.gz")
    assert relative_name(path, "documents") == PurePosixPath("a/f.gz")
    assert replace_component(Path("documents/f.gz"), "documents", "attributes/x") == Path("attributes/x/f.gz")
    # A file of that name is no directory of that name.
    assert replace_component(Path("/data/documents"), "documents", "attributes/x") is None


def test_globs_are_sorted_and_each_file_counts_once(tmp_path: Path) -> None:
    for name in ("b.gz", "a.gz", ".a.gz.tmp-12"):
        (tmp_path / name).touch()
    found = find_files([f"{tmp_path}/*.gz", f"{tmp_path}/a*"], "$.here")
    assert [f.name for f in found] == ["a.gz", "b.gz"]


def test_a_glob_without_a_match_says_so(tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match=rf"^\$\.here: no file matches `{tmp_path}/x/\*\.gz` \(the directory {tmp_path} is there\)$"
    ):
        find_files(f"{tmp_path}/x/*.gz", "$.here")


def test_a_directory_stands_for_the_files_in_it(tmp_path: Path) -> None:
    for name in ("x/documents/b.gz", "x/documents/a.gz", "x/documents/.hidden", "y/documents/c.gz"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    for pattern in (f"{tmp_path}/x/documents", f"{tmp_path}/x/documents/"):
        assert [f.name for f in find_files(pattern, "$.here")] == ["a.gz", "b.gz"]
    assert [f.name for f in find_files(f"{tmp_path}/*/documents", "$.here")] == ["a.gz", "b.gz", "c.gz"]


def test_a_directory_of_directories_is_refused(tmp_path: Path) -> None:
    (tmp_path / "en").mkdir()
    (tmp_path / "en" / "a.gz").touch()
    (tmp_path / "b.gz").touch()
    with pytest.raises(
        ConfigError,
        match=rf"^\$\.here: expected a directory of files alone at `{tmp_path}`, found the directory {tmp_path}/en in "
        rf"it; `{tmp_path}/\*` takes the files without it, `{tmp_path}/\*\*/\*` all files below$",
    ):
        find_files(str(tmp_path), "$.here")


def test_an_empty_directory_has_no_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=rf"no file matches `{tmp_path}/` \(the directory {tmp_path} is there\)$"):
        find_files(f"{tmp_path}/", "$.here")


@pytest.mark.parametrize(
    ("pattern", "directory"), [("a/b/*.gz", "a/b"), ("a/*/b/*.gz", "a"), ("*.gz", "."), ("/*/x", "/"), ("a/b/", "a/b")]
)
def test_the_fixed_directory_of_a_glob(pattern: str, directory: str) -> None:
    assert fixed_directory(pattern) == directory


def test_a_remote_path_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"s3://bucket/x: expected a local path, found `s3://`"):
        local("s3://bucket/x")


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "f.json"
    write_json(path, {"b": 1, "a": [2]})
    with pytest.raises(ZeroDivisionError), atomic_path(path) as temporary:
        temporary.write_text("half")
        raise ZeroDivisionError
    assert read_json(path) == {"a": [2], "b": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["f.json"]
    assert path.read_text() == '{\n "b": 1,\n "a": [\n  2\n ]\n}\n'


def test_json_that_is_none_names_its_file(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text('{"a"')
    with pytest.raises(DataError, match=r"x\.json: Input data was truncated"):
        read_json(tmp_path / "x.json")


def test_what_killed_writers_left_is_removed(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / ".f.jsonl.zst.tmp-77").touch()
    (tmp_path / "a" / ".hidden").touch()
    assert remove_temporaries(tmp_path) == 1
    assert [p.name for p in (tmp_path / "a").iterdir()] == [".hidden"]


def test_what_killed_writers_of_whole_files_left_is_removed(tmp_path: Path) -> None:
    mine = [".p.npy.tmp-7", ".p.npy.unsorted.tmp-8"]
    others = [".q.npy.tmp-7", ".p.npy", "p.npy", "p.npy.tmp-7"]
    for name in mine + others:
        (tmp_path / name).touch()
    assert remove_leftovers([str(tmp_path / "p.npy"), str(tmp_path / "gone" / "x")]) == 2
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(others)


def test_one_run_at_a_time(tmp_path: Path) -> None:
    with lock(tmp_path), pytest.raises(StageError, match="another run is at work here"), lock(tmp_path):
        pass
    with lock(tmp_path):
        pass


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the files and directories that are synced, in order."""
    found: list[str] = []
    for call in ("fsync", "fdatasync"):
        monkeypatch.setattr(os, call, lambda handle: found.append(Path(f"/proc/self/fd/{handle}").readlink().name))
    return found


def test_bytes_are_on_the_disk_before_the_name_is(tmp_path: Path, synced: list[str]) -> None:
    with atomic_path(tmp_path / "f") as temporary:
        temporary.write_text("x")
    assert synced == [f".f.tmp-{os.getpid()}"]
    write_json(tmp_path / "g", 1, durable=False)
    assert len(synced) == 1


def test_directories_are_synced_once_and_those_above_them_too(tmp_path: Path, synced: list[str]) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    sync_directories([tmp_path / "a" / "b" / name for name in "xyz"] + [str(tmp_path / "gone" / "x")])
    assert synced[-3:] == [tmp_path.name, "a", "b"]
    assert len(synced) == 2 + len(tmp_path.absolute().parts)
