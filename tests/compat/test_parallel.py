"""Processors run over files, once each."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import pytest

from dolma_pipeline.compat import BaseParallelProcessor, DolmaError
from tests.compat.processors import Flaky, Upper


@pytest.fixture
def source(tmp_path: Path) -> Path:
    for name in ("a/1.txt", "a/2.txt", "b/3.txt"):
        path = tmp_path / "in" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{name}\nx\n")
    return tmp_path


def processor(form: type[BaseParallelProcessor], source: Path, **changes: Any) -> BaseParallelProcessor:
    return form(f"{source}/in/**/*.txt", f"{source}/out", f"{source}/done", **changes)


def texts(directory: Path) -> dict[str, str]:
    files = sorted(directory.rglob("*.gz"))
    return {f.relative_to(directory).as_posix(): gzip.decompress(f.read_bytes()).decode() for f in files}


@pytest.mark.parametrize("processes", [1, 2])
def test_every_file_is_processed_and_marked(source: Path, processes: int, capsys: pytest.CaptureFixture[str]) -> None:
    processor(Upper, source, num_processes=processes, debug=processes == 1)(prefix="> ")
    assert texts(source / "out") == {
        "a/1.txt.gz": "> A/1.TXT\n> X\n",
        "a/2.txt.gz": "> A/2.TXT\n> X\n",
        "b/3.txt.gz": "> B/3.TXT\n> X\n",
    }
    assert sorted(p.relative_to(source / "done").as_posix() for p in (source / "done").rglob("*.txt")) == [
        "a/1.txt.done.txt",
        "a/2.txt.done.txt",
        "b/3.txt.done.txt",
    ]
    assert capsys.readouterr().err == "Found 3 files to process\nfiles: 3, documents: 6\n"
    processor(Upper, source)()
    assert capsys.readouterr().err.startswith("Found 0 files to process\n")


def test_a_file_is_tried_again_as_often_as_told(source: Path) -> None:
    with pytest.raises(DolmaError, match=r"in/a/1\.txt: failed 1 times: cut off"):
        processor(Flaky, source, debug=True)()
    assert not (source / "done" / "a" / "1.txt.done.txt").exists()
    processor(Flaky, source, debug=True, retries_on_error=1)()
    assert len(texts(source / "out")) == 3


def test_which_files_are_taken(source: Path) -> None:
    only = processor(Upper, source, files_regex_pattern=r"/a/", exclude_paths=[f"{source}/in/a/2.txt"])
    assert [f.destination for f in only.files()] == [f"{source}/out/a/1.txt"]
    both = only + processor(Upper, source, files_regex_pattern=r"/b/")
    assert both.files_regex_pattern is not None
    assert both.files_regex_pattern.pattern == "(/a/|/b/)"


def test_what_is_refused(source: Path) -> None:
    with pytest.raises(ValueError, match="expected at least one source prefix, found none"):
        Upper([], [], [])
    with pytest.raises(ValueError, match="expected 1 metadata prefixes, one for each source prefix, found 2"):
        Upper("a", "b", ["c", "d"])
    with pytest.raises(ValueError, match=r"expected a directory, found the glob `out/\*`"):
        Upper("a", "out/*", "c")
    with pytest.raises(ValueError, match="expected files, found none that match"):
        Upper(f"{source}/nothing/*", f"{source}/out", f"{source}/done")()
    with pytest.raises(AttributeError, match="expected a subclass that names its units, found none"):
        BaseParallelProcessor("a", "b", "c")
