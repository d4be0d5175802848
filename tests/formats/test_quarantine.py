"""Bad lines of a stream, set aside while it is read."""

import json
from pathlib import Path

import pytest

from dolma_pipeline.formats.documents import read_documents
from dolma_pipeline.formats.quarantine import SetAside
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


def test_a_failure_leaves_no_half_file(tmp_path: Path) -> None:
    (tmp_path / "d.jsonl").write_text("bad\n")
    stream = read_documents(tmp_path / "d.jsonl")
    with pytest.raises(ValueError, match="stop"), SetAside(stream, str(tmp_path / "q.jsonl"), Counts()) as aside:
        list(stream)
        aside.take()
        raise ValueError("stop")
    assert [p.name for p in tmp_path.iterdir()] == ["d.jsonl"]
