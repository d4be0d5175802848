from __future__ import annotations

import gzip
import os
from pathlib import Path

import pytest

from dolma_pipeline.io import fs
from dolma_pipeline.io.cache import local_copy, map_array, read_array, scratch_directory


def test_what_is_there(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"four")
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "gone").symlink_to("nowhere")
    os.mkfifo(tmp_path / "pipe")
    looked = {
        name: (fs.exists(tmp_path / name), fs.is_file(tmp_path / name), fs.is_directory(tmp_path / name))
        for name in ("f", ".", "loop", "gone", "pipe", "none", "f/below", "zero\0byte")
    }
    nothing = (False, False, False)
    assert looked == {
        "f": (True, True, False),
        ".": (True, False, True),
        "loop": nothing,
        "gone": nothing,
        "pipe": (True, False, False),
        "none": nothing,
        "f/below": nothing,
        "zero\0byte": nothing,
    }
    assert fs.is_taken(tmp_path / "gone")
    assert not fs.is_taken(tmp_path / "none")
    assert fs.is_file(f"file://{tmp_path}/f")


def test_a_look_at_many_files_says_of_each_what_stat_does(tmp_path: Path) -> None:
    """The directories change, and names in none of them; some files are missing."""
    (tmp_path / "é").mkdir()
    paths = [f"{tmp_path}/{'é/' * (n // 300 % 2)}{n}" for n in range(2000)]
    for n, path in enumerate(paths):
        if n % 7:
            Path(path).write_bytes(b"x" * n)
    (tmp_path / "link").symlink_to(paths[1])
    paths[5:5] = [f"{tmp_path}/link", f"{tmp_path}/zero\0byte", f"{tmp_path}/1/below", "", "none", str(tmp_path)]
    found = [None if (s := fs.find_stat(path)) is None else (s.size, int(s.version)) for path in paths]
    assert fs.look(paths) == found
    assert fs.look([f"file://{path}" for path in paths[:3]]) == found[:3]
    assert fs.look([]) == []


def test_size_and_version(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"four")
    os.utime(path, ns=(1, 2_000_000_003))
    assert fs.stat(path)[:2] == (4, "2000000003")
    with pytest.raises(FileNotFoundError, match="none"):
        fs.stat(tmp_path / "none")


def test_reading(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"a\r\nb\rc\xff")
    assert fs.read_range(path, 2, 3) == b"\nb\r"
    assert fs.read_range(path, 6, 99) == b"\xff"
    assert fs.read_text(path, errors="replace") == "a\nb\nc\ufffd"
    with pytest.raises(UnicodeDecodeError, match="byte 0xff in position 6"):
        fs.read_text(path)
    path.write_bytes(gzip.compress(b"1\n") + gzip.compress(b"2\n"))
    with fs.open_gzip(path) as file:
        assert list(file) == [b"1\n", b"2\n"]


def test_listing_and_removing(tmp_path: Path) -> None:
    for name in ("b/2", "b/1", "a/c/3", "0"):
        fs.make_directories((tmp_path / name).parent)
        (tmp_path / name).touch()
    names = [p.relative_to(tmp_path).as_posix() for p in fs.walk(tmp_path)]
    assert names == ["0", "a/c/3", "b/1", "b/2"]
    assert fs.list_directory(tmp_path) == [tmp_path / "0", tmp_path / "a", tmp_path / "b"]
    assert fs.find(tmp_path, "*/[12]") == [tmp_path / "b/1", tmp_path / "b/2"]
    assert list(fs.walk(tmp_path / "none")) == []
    fs.remove(tmp_path / "none", missing_ok=True)
    with pytest.raises(FileNotFoundError):
        fs.remove(tmp_path / "none")
    with pytest.raises(OSError, match="not empty"):
        fs.remove_directory(tmp_path / "b")
    fs.remove_tree(tmp_path / "b")
    fs.remove_tree(tmp_path / "b", ignore_errors=True)
    assert [p.name for p in fs.list_directory(tmp_path)] == ["0", "a"]


def test_a_link_costs_no_copy(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"x")
    fs.link_or_copy(tmp_path / "f", tmp_path / "g")
    assert (tmp_path / "g").samefile(tmp_path / "f")
    with pytest.raises(FileExistsError):
        fs.link_or_copy(tmp_path / "f", tmp_path / "g")
    fs.copy(tmp_path / "f", tmp_path / "h")
    fs.move(tmp_path / "h", tmp_path / "i")
    assert (tmp_path / "i").read_bytes() == b"x"
    assert not (tmp_path / "h").exists()


def test_arrays(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_bytes(bytes(range(8)))
    assert map_array(path, "<u2", offset=2, count=2).tolist() == [0x0302, 0x0504]
    assert map_array(path, "u1").tolist() == list(range(8))
    assert read_array(path, "u1", offset=5, count=2).tolist() == [5, 6]
    assert read_array(path, "u1", offset=6, count=9).tolist() == [6, 7]
    assert local_copy(path) == path
    with scratch_directory("of-a-test-") as directory:
        (directory / "x").touch()
    assert not directory.exists()
