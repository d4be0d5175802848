"""Files appear whole, and their hash is that of their bytes without a second reading."""

from __future__ import annotations

import io
import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from dolma_pipeline import _native
from dolma_pipeline.io import fs
from dolma_pipeline.io.atomic import (
    Draft,
    Output,
    output,
    point_to,
    publish_copy,
    publish_directory,
    publishing,
    write_bytes,
    write_json,
    write_msgpack,
    write_text,
)
from dolma_pipeline.io.writing import write_array

ABC = "6437b3ac38465133ffb63b75273a8db548c558465d79db03fd359c6cd5bd9d85"
"""BLAKE3 of `abc`, as its authors give it."""


def test_a_hash_that_grows() -> None:
    grown = _native.Blake3()
    grown.update(b"a")
    assert grown.hexdigest() != ABC
    grown.update(pa.array([98, 99], pa.uint8()))
    assert grown.hexdigest() == ABC
    with pytest.raises(ValueError, match="expected uint8 data"):
        grown.update(pa.array([1], pa.int8()))


@pytest.mark.parametrize("length", [1000, 65_535, 65_536, 65_537, 200_000])
def test_pieces_of_any_length_hash_as_the_whole(tmp_path: Path, length: int) -> None:
    data = bytes(i % 251 for i in range(400_000))
    grown = _native.Blake3()
    for start in range(0, len(data), length):
        grown.update(data[start : start + length])
    assert grown.hexdigest() == write_bytes(tmp_path / "f", data).blake3 == _native.blake3_file(str(tmp_path / "f"))


def test_what_is_written_is_hashed_on_the_way(tmp_path: Path) -> None:
    array = np.arange(100_000, dtype="<u4")
    with publishing(tmp_path / "a" / "f") as published:
        write_array(published.file, array)
        write_array(published.file, array.reshape(100, 1000)[:, ::2])
        published.file.write(b"end")
        published.file.write(bytearray(b"s"))
        with io.BufferedWriter(published.file) as buffered:
            buffered.write(b"!")
    whole = array.tobytes() + array.reshape(100, 1000)[:, ::2].tobytes() + b"ends!"
    assert (tmp_path / "a" / "f").read_bytes() == whole
    assert published.output == output(tmp_path / "a" / "f")
    assert published.output.bytes == len(whole)
    assert [p.name for p in (tmp_path / "a").iterdir()] == ["f"]


def test_every_writer_gives_the_account_of_its_file(tmp_path: Path) -> None:
    (tmp_path / "given").write_bytes(b"x" * 3_000_000)
    for found in (
        write_bytes(tmp_path / "b", b"abc"),
        write_text(str(tmp_path / "t"), "é\r\n"),
        write_json(tmp_path / "j", {"a": 1}),
        write_msgpack(tmp_path / "m", [1, 2]),
        publish_copy(tmp_path / "given", tmp_path / "copy"),
    ):
        assert found == output(found.path)
    assert output(tmp_path / "b") == Output(path=str(tmp_path / "b"), bytes=3, blake3=ABC)
    assert (tmp_path / "t").read_bytes() == b"\xc3\xa9\r\n"
    assert (tmp_path / "copy").read_bytes() == b"x" * 3_000_000


def test_nothing_is_seen_before_it_is_whole(tmp_path: Path) -> None:
    write_bytes(tmp_path / "f", b"old")
    with pytest.raises(ZeroDivisionError), publishing(tmp_path / "f") as published:
        published.file.write(b"half")
        assert (tmp_path / "f").read_bytes() == b"old"
        assert sorted(p.name for p in tmp_path.iterdir()) == [f".f.tmp-{os.getpid()}", "f"]
        raise ZeroDivisionError
    assert [p.name for p in tmp_path.iterdir()] == ["f"]
    assert (tmp_path / "f").read_bytes() == b"old"


def test_a_draft_to_be_read_again(tmp_path: Path) -> None:
    draft = Draft(tmp_path / "f", step="unsorted", hashed=False)
    draft.write(b"abc")
    assert draft.staged == tmp_path / f".f.unsorted.tmp-{os.getpid()}"
    assert (draft.tell(), draft.staged.read_bytes()) == (3, b"abc")
    draft.abort()
    draft.abort()
    assert list(tmp_path.iterdir()) == []


def test_directories_and_links(tmp_path: Path) -> None:
    fs.make_directories(tmp_path / ".one")
    publish_directory(tmp_path / ".one", tmp_path / "one")
    for name in ("two", "one"):
        point_to(tmp_path / "latest", name)
        assert (tmp_path / "latest").readlink() == Path(name)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["latest", "one"]


def test_a_draft_takes_bytes_in_silence_only_once_it_is_given_up(tmp_path: Path) -> None:
    published = Draft(tmp_path / "a")
    published.write(b"abc")
    assert published.publish().blake3 == ABC
    with pytest.raises(ValueError, match="expected an open file, found one that is published"):
        published.write(b"lost")
    given_up = Draft(tmp_path / "b")
    given_up.write(b"abc")
    given_up.abort()
    assert given_up.write(b"footer") == 6
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a"]
