"""Writers on a disk that is full, or allows no larger file: one error that names the file, and nothing left behind."""

from __future__ import annotations

import contextlib
import errno
import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from dolma_pipeline import _native
from dolma_pipeline.formats.attributes import AttributeWriter
from dolma_pipeline.formats.parquet_documents import ParquetDocumentWriter
from dolma_pipeline.io.atomic import atomic_path, remove_leftovers, write_json
from dolma_pipeline.io.writing import temporary_path, temporary_stem, write_array, writing
from dolma_pipeline.tokens import megatron
from dolma_pipeline.tokens.shard import ShardWriter

PID = os.getpid()
TOO_LARGE = (errno.EFBIG, "File too large")


@contextlib.contextmanager
def largest_file(size: int) -> Iterator[None]:
    """Files of this process may not be larger than that."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_long_names_have_short_temporary_ones() -> None:
    assert temporary_path("d/a.gz") == Path(f"d/.a.gz.tmp-{PID}")
    assert temporary_path("d/a.gz", "lines") == Path(f"d/.a.gz.lines.tmp-{PID}")
    assert temporary_stem("x" * 230) == "x" * 230
    # The hash is pinned in writer.rs too.
    assert temporary_stem("x" * 240) == "x" * 213 + "~ab63b56e728938e5"
    assert temporary_stem("é" * 120).startswith("é" * 106 + "~")
    assert temporary_stem("x" * 239 + "y") != temporary_stem("x" * 240)


def test_files_of_long_names_are_written_by_python_and_natively(tmp_path: Path) -> None:
    path, other = tmp_path / ("n" * 250 + ".json"), tmp_path / ("m" * 255)
    write_json(path, 1)
    lines = _native.LineWriter(str(other))
    (left,) = [p for p in tmp_path.iterdir() if p.name.startswith(".m")]
    assert left == temporary_path(other)
    lines.finish()
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted([path.name, other.name])
    left.touch()
    assert remove_leftovers([str(other)]) == 1
    assert not left.exists()


def test_an_error_of_the_disk_names_the_file() -> None:
    with pytest.raises(OSError, match="No space") as error, writing("a/b.npy"), Path("/dev/full").open("wb") as full:
        write_array(full, np.zeros(100_000, dtype=np.uint16))
    found = error.value
    assert (found.errno, found.strerror, found.filename) == (errno.ENOSPC, "No space left on device", "a/b.npy")
    with pytest.raises(OSError, match="No space") as error, writing("a/b.npy"):
        raise OSError(errno.ENOSPC, "in other words", f"a/.b.npy.tmp-{PID}")
    assert (error.value.strerror, error.value.filename) == ("No space left on device", "a/b.npy")


def test_other_errors_stay_as_they_are() -> None:
    for given in (FileNotFoundError(errno.ENOENT, "none", "c"), OSError(errno.EIO, "read"), OSError("no number")):
        with pytest.raises(OSError, match=r"none|read|no number") as error, writing("a/b.npy"):
            raise given
        assert error.value is given


def test_arrays_are_written_as_tofile_writes_them(tmp_path: Path) -> None:
    array = np.arange(24, dtype="<u4").reshape(4, 6)
    for number, given in enumerate((array, array[:, ::2], array.T, array[:0], array[0], array > 7)):
        with (tmp_path / f"{number}").open("wb") as file:
            write_array(file, given)
        assert (tmp_path / f"{number}").read_bytes() == given.tobytes()


def test_atomic_path(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    with (
        largest_file(1000),
        pytest.raises(OSError, match="File too large") as error,
        atomic_path(path) as raw,
        raw.open("wb") as file,
    ):
        write_array(file, np.zeros(1001, dtype=np.uint8))
    assert (*error.value.args[:2], error.value.filename) == (*TOO_LARGE, str(path))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("step", ["write", "finish"])
def test_attributes_in_parquet(tmp_path: Path, step: str) -> None:
    path = tmp_path / "a.parquet"
    rows = 200_000 if step == "write" else 5000
    ids = pa.array([f"{i:x}-{i * 7919 % 104729}" for i in range(rows)], pa.large_string())
    writer = AttributeWriter(path)
    with largest_file(4096), pytest.raises(OSError, match="File too large") as error:
        writer.write_rows(ids, {"x": pa.array(np.random.default_rng(0).random(rows))})
        assert step == "finish"
        writer.finish()
    assert (*error.value.args[:2], error.value.filename) == (*TOO_LARGE, str(path))
    with largest_file(4096):
        writer.abort()
    assert list(tmp_path.iterdir()) == []


def test_documents_in_parquet(tmp_path: Path) -> None:
    from dolma_pipeline.formats.documents import read_documents

    (tmp_path / "in.jsonl").write_text("".join(f'{{"id": "{i}", "text": "{i * 7919}"}}\n' for i in range(2000)))
    (documents,) = read_documents(tmp_path / "in.jsonl", keep_raw=True)
    path = tmp_path / "out" / "a.parquet"
    for size in (100, 20_000):
        writer = ParquetDocumentWriter(str(path))
        with largest_file(size), pytest.raises(OSError, match="File too large") as error:
            writer.write_documents(documents.records)
            writer.finish()
        writer.abort()
        assert (*error.value.args[:2], error.value.filename) == (*TOO_LARGE, str(path))
        assert list(path.parent.iterdir()) == []


@pytest.mark.parametrize("size", [100, 25_000])
def test_encoded_shards(tmp_path: Path, size: int) -> None:
    """Full while tokens are written, and while their index is."""
    dtype = np.dtype(np.uint16)
    writer = ShardWriter(str(tmp_path / "s"), label="s", dtype=dtype, order="shuffle")
    count = 1000
    numbers = np.arange(count)
    ids = pa.array([f"some document {i}" for i in range(count)], pa.large_string())
    with largest_file(size), pytest.raises(OSError, match="File too large") as error:
        writer.add(ids, numbers, numbers.astype(np.uint64), np.full(count, 10), np.zeros(10 * count, dtype))
        writer.finish()
    named = tmp_path / ("s.tokens" if size == 100 else "s.arrow")
    assert (*error.value.args[:2], error.value.filename) == (*TOO_LARGE, str(named))
    with largest_file(size):
        writer.abort()
    assert [p.name for p in tmp_path.iterdir()] == ([] if size == 100 else ["s.tokens"])


def test_the_index_of_megatron(tmp_path: Path) -> None:
    path = tmp_path / "a.idx"
    with largest_file(100), pytest.raises(OSError, match="File too large") as error:
        megatron.write_index(path, "uint16", np.full(100, 3))
    assert (*error.value.args[:2], error.value.filename) == (*TOO_LARGE, str(path))
    assert list(tmp_path.iterdir()) == []


RECIPE = """
name: r
work_dir: {work_dir}
sources: {{s: {{documents: "{documents}"}}}}
stages:
  - tag: {{taggers: [char_length_v1]}}
  - tokens: {{tokenizer: {{train: {{vocab_size: 300}}, eos: "<|endoftext|>"}}, order: shuffle}}
"""


def dolma(recipe: Path, largest: int) -> tuple[int, str]:
    command = f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, ({largest}, -1)); "
    command += "import sys; from dolma_pipeline.cli.main import main; sys.exit(main())"
    done = subprocess.run([sys.executable, "-c", command, "run", str(recipe)], capture_output=True, text=True)
    return done.returncode, done.stderr


def test_a_run_that_may_write_no_larger_file(tmp_path: Path) -> None:
    """One line with the file, no traceback, nothing half written; the same command goes on where there is room."""
    name = "n" * 234 + ".jsonl"
    (tmp_path / "documents").mkdir()
    (tmp_path / "documents" / name).write_text(
        "".join(f'{{"id": "{i}", "text": "{i * 7919} and {i}"}}\n' for i in range(3000))
    )
    recipe = tmp_path / "r.yaml"
    recipe.write_text(RECIPE.format(work_dir=tmp_path / "w", documents=tmp_path / "documents" / "*"))
    named = set()
    for largest in (20_000, 60_000, 90_000):
        code, said = dolma(recipe, largest)
        assert code == 1, said
        errors = [line for line in said.splitlines() if line.startswith("dolma: error: ")]
        assert len(errors) == 1
        assert errors[0].startswith("dolma: error: File too large: ")
        assert "Traceback" not in said
        named.add(Path(errors[0].partition("File too large: ")[2]).suffix)
        assert not list((tmp_path / "w").rglob(".*.tmp-*"))
    assert len(named) > 1, "each limit met another writer"
    code, said = dolma(recipe, -1)
    assert code == 0, said
