"""Bad lines of a stream, set aside while it is read."""

import base64
import json
from pathlib import Path

import pytest

from dolma_pipeline.formats.documents import BadLine, read_documents
from dolma_pipeline.formats.quarantine import SetAside, quarantine_row
from dolma_pipeline.task import Counts

GOOD = '{"id":"1","text":"x"}\n'


def test_bad_lines_are_counted_and_written(tmp_path: Path) -> None:
    (tmp_path / "d.jsonl").write_text(GOOD + "bad\n" + GOOD + "{}\n")
    stream, counts = read_documents(tmp_path / "d.jsonl"), Counts()
    with SetAside(stream, str(tmp_path / "q.jsonl"), counts) as aside:
        for documents in stream:
            counts.documents_in += len(documents)
            aside.take()
    assert (counts.documents_in, counts.quarantined) == (4, 2)
    assert [json.loads(line)["line"] for line in (tmp_path / "q.jsonl").open()] == [2, 4]
    assert [o.path for o in aside.outputs] == [str(tmp_path / "q.jsonl")]


def test_of_a_long_line_the_beginning_is_kept_and_its_length(tmp_path: Path) -> None:
    accents, binary, short = "é" * 3000, b"\xff" * 5000, "x" * 4096
    (tmp_path / "d.jsonl").write_bytes(b"x" + accents.encode() + b"\n" + binary + b"\n" + short.encode() + b"\n")
    stream = read_documents(tmp_path / "d.jsonl")
    with SetAside(stream, str(tmp_path / "q.jsonl"), Counts()):
        assert list(stream) == []
    long, bytes_, whole = (json.loads(line) for line in (tmp_path / "q.jsonl").open())
    assert (long["raw"], long["length"]) == ("x" + "é" * 2047, 6001)
    assert (base64.b64decode(bytes_["raw_base64"]), bytes_["length"]) == (b"\xff" * 4096, 5000)
    assert (whole["raw"], "length" in whole) == (short, False)


def test_a_long_row_that_was_not_cut_by_its_reader_is_cut() -> None:
    row = quarantine_row("f", BadLine(3, 9, "why", ("é" * 3000).encode()[1:]))
    assert (row.raw, len(base64.b64decode(row.raw_base64 or "")), row.length) == (None, 4096, 5999)
    row = quarantine_row("f", BadLine(3, 9, "why", ("x" + "é" * 3000).encode()))
    assert (row.raw, row.raw_base64, row.length) == ("x" + "é" * 2047, None, 6001)


def test_a_failure_leaves_no_half_file(tmp_path: Path) -> None:
    (tmp_path / "d.jsonl").write_text("bad\n")
    stream = read_documents(tmp_path / "d.jsonl")
    with pytest.raises(ValueError, match="stop"), SetAside(stream, str(tmp_path / "q.jsonl"), Counts()) as aside:
        list(stream)
        aside.take()
        raise ValueError("stop")
    assert [p.name for p in tmp_path.iterdir()] == ["d.jsonl"]
