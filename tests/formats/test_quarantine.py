"""Bad lines of a stream, set aside while it is read."""

import base64
import json
from pathlib import Path

import pytest

from dolma_pipeline.engine.task import BadInput, Counts
from dolma_pipeline.errors import DataError
from dolma_pipeline.formats.documents import BadLine, read_documents
from dolma_pipeline.formats.quarantine import Quarantine, SetAside, quarantine_row

GOOD = '{"id":"1","text":"x"}\n'
BROKEN = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03\xff\xff"


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


def found(path: Path, data: str | bytes, quarantine: str | None) -> list[BadInput]:
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    stream, counts = read_documents(path), Counts()
    with SetAside(stream, quarantine, counts) as aside:
        for _ in stream:
            aside.take()
    return aside.bad


def test_the_first_reason_of_each_file_is_known(tmp_path: Path) -> None:
    path, quarantine = tmp_path / "d.jsonl", str(tmp_path / "q.jsonl")
    (bad,) = found(path, GOOD + "[1]\n{}\n", quarantine)
    assert bad == BadInput(
        file=str(path),
        documents=2,
        line=2,
        reason="expected a JSON object, found `[1]`",
        quarantine=quarantine,
    )
    assert bad.why == f"{path}:2: expected a JSON object, found `[1]`"


def test_a_file_without_a_document_is_told_from_an_empty_one(tmp_path: Path) -> None:
    quarantine = str(tmp_path / "q.jsonl")
    assert [b.nothing_read for b in found(tmp_path / "d.jsonl", "[1]\n", quarantine)] == [True]
    assert found(tmp_path / "d.jsonl", "\n \n", quarantine) == []
    assert found(tmp_path / "d.jsonl", "", quarantine) == []
    (bad,) = found(tmp_path / "d.jsonl.gz", BROKEN, quarantine)
    assert (bad.nothing_read, bad.documents, bad.quarantine) == (True, 0, "")
    assert bad.why.startswith(f"{tmp_path / 'd.jsonl.gz'}: the file is truncated or corrupt")


@pytest.mark.parametrize(
    ("name", "data", "place"), [("d.jsonl", GOOD + "{}\n", "d.jsonl:2: "), ("d.jsonl.gz", BROKEN, "d.jsonl.gz: ")]
)
def test_what_this_run_wrote_has_no_bad_lines(tmp_path: Path, name: str, data: str | bytes, place: str) -> None:
    with pytest.raises(DataError) as error:
        found(tmp_path / name, data, None)
    assert str(error.value).startswith(
        f"{tmp_path}/{place}expected a document as an earlier stage of this run wrote it"
    )
    assert "This is a fault of dolma_pipeline" in str(error.value)


def test_a_full_file_has_places_and_reasons_without_the_lines(tmp_path: Path) -> None:
    quarantine = Quarantine(tmp_path / "q.jsonl", "d.jsonl", max_bytes=120)
    quarantine.add([BadLine(i, 10 * i, "bad", b"x" * 40) for i in (1, 2)])
    quarantine.add([BadLine(3, 30, "bad", b"\xff" * 40, length=5000)])
    (output,) = quarantine.finish()
    rows = [json.loads(line) for line in Path(output.path).read_text().splitlines()]
    place = {"file": "d.jsonl", "reason": "bad"}
    assert rows == [
        place | {"line": 1, "offset": 10, "raw": "x" * 40},
        place | {"line": 2, "offset": 20, "length": 40},
        place | {"line": 3, "offset": 30, "length": 5000},
    ]
    (bad,) = quarantine.found()
    assert (bad.documents, bad.without_raw) == (3, 2)


def test_a_line_of_which_only_the_beginning_was_kept_has_its_length(tmp_path: Path) -> None:
    quarantine = Quarantine(tmp_path / "q.jsonl", "d.jsonl")
    quarantine.add([BadLine(1, 0, "bad", b"xy", length=5000), BadLine(2, 9, "bad", b"xy", length=2)])
    quarantine.finish()
    rows = [json.loads(line) for line in (tmp_path / "q.jsonl").read_text().splitlines()]
    assert [(r["raw"], r.get("length")) for r in rows] == [("xy", 5000), ("xy", None)]
