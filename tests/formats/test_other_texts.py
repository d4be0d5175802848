"""Attributes of other texts than those they stand beside."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dolma_pipeline.cli.main import main
from dolma_pipeline.errors import DataError
from dolma_pipeline.formats.attributes import DOCUMENT, SPANS, AttributeCursor, AttributeWriter
from dolma_pipeline.formats.documents import Documents, read_documents
from dolma_pipeline.formats.other_texts import TextDigest, recorded


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def documents_of(directory: Path, texts: list[str]) -> Documents:
    path = write(directory / "documents" / "a.jsonl", [{"id": str(i), "text": t} for i, t in enumerate(texts)])
    (documents,) = list(read_documents(path))
    return documents


def test_a_digest_is_of_every_text_in_its_place_whatever_the_batches() -> None:
    def digest(*batches: list[str]) -> str:
        found = TextDigest()
        for batch in batches:
            found.add(pa.array(batch, pa.large_string()))
        return found.hex()

    whole = digest(["a", "b", "c"])
    assert digest(["a"], [], ["b", "c"]) == whole
    others = [["b", "a", "c"], ["a", "b"], ["a", "b", "c", ""], ["a", "b", "d"], ["a", "", "c"]]
    assert len({whole, *(digest(texts) for texts in others)}) == 6


def test_a_parquet_file_knows_its_texts(tmp_path: Path) -> None:
    documents = documents_of(tmp_path, ["one", "two"])
    writer = AttributeWriter(tmp_path / "a.parquet")
    writer.write(documents, {"k": pa.array([0.5, None], DOCUMENT)})
    writer.finish()
    assert recorded(str(writer.path)) == "2:" + f"{_sum(['one', 'two']):016x}"
    same = AttributeCursor(writer.path, ["k"])
    same.next(documents.slice(0, 1))
    same.next(documents.slice(1, 1))
    assert same.finish() == []
    other = AttributeCursor(writer.path, ["k"], documents="documents/a.jsonl")
    other.next(documents_of(tmp_path, ["one", "too"]))
    with pytest.raises(DataError) as caught:
        other.finish()
    assert str(caught.value) == (
        f"{writer.path}: expected attributes of the texts in documents/a.jsonl, found those of other texts "
        f"under the same "
        "ids: the documents were edited after they were tagged; tag the documents again"
    )


def _sum(texts: list[str]) -> int:
    from dolma_pipeline import _native
    from dolma_pipeline.formats.other_texts import SEED

    hashes = [int(h) for h in _native.keyed_hash(pa.array(texts, pa.large_string()), SEED).to_pylist()]
    return sum(h * (2 * i + 1) for i, h in enumerate(hashes)) % 2**64


def test_files_of_others_say_nothing_of_texts(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"id": ["0"], "k": [0.5]}), path)
    assert recorded(str(path)) is None
    cursor = AttributeCursor(path, ["k"])
    cursor.next(documents_of(tmp_path, ["x"]))
    assert cursor.finish() == []


@pytest.mark.parametrize("form", ["jsonl", "parquet"])
def test_a_span_ends_within_its_text(tmp_path: Path, form: str) -> None:
    documents = documents_of(tmp_path, ["héé", "two words", "x"])
    spans = [[(0, 5)], [(0, 3), (4, 10)], []]
    column = pa.array([[{"start": s, "end": e, "score": 1.0} for s, e in row] for row in spans], SPANS)
    writer = AttributeWriter(tmp_path / f"a.{form}")
    writer.write_rows(documents.id, {"k": column}, lengths=pa.array([3, 9, 1], pa.int64()))
    writer.finish()
    cursor = AttributeCursor(writer.path, ["k"])
    # The first counts bytes, as Dolma's deduper does.
    cursor.next(documents.slice(0, 1))
    place = f"{writer.path}:2" if form == "jsonl" else f"{writer.path}: row 2"
    with pytest.raises(DataError) as caught:
        cursor.next(documents.slice(1, 2))
    assert str(caught.value) == (
        f"{place}: attribute `k` of document `1` (line 2 of the documents): expected spans within its text of 9 "
        f"characters, "
        "found one from 4 to 10: the attributes are of another text; tag the documents again"
    )


def test_one_span_that_is_longer_than_the_text_is_a_warning(tmp_path: Path) -> None:
    documents = documents_of(tmp_path, ["abc", "ab", "a"])
    rows = [{"id": str(i), "attributes": {"k": [[0, 2, 1.0]], "l": [[0, 1, 1.0]]}} for i in range(3)]
    path = write(tmp_path / "a.jsonl", rows)
    cursor = AttributeCursor(path, ["k", "l"])
    cursor.next(documents)
    assert cursor.finish() == [
        f"{path}: attribute `k` of 1 document is a span that is longer than the text, the first at {path}:3: "
        f"the documents "
        "may have been edited after they were tagged, or it measures a key and not the text"
    ]


RECIPE = """
name: {name}
work_dir: {name}
layout: beside
sources: {{s: {{documents: documents/*.jsonl{attributes}}}}}
stages: [{stage}]
"""
TAG = "{tag: {taggers: [char_length_v1, whitespace_tokenizer_with_paragraphs_v1], experiment: base, format: FORM}}"
MIX = "{mix: {drop: {short: char_length_v1.length < 5}}}"


@pytest.mark.parametrize("form", ["parquet", "jsonl.gz"])
def test_a_mix_of_documents_that_were_edited_since(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], form: str
) -> None:
    monkeypatch.chdir(tmp_path)

    def run(name: str, stage: str, attributes: str = "") -> int:
        Path("r.yaml").write_text(RECIPE.format(name=name, stage=stage, attributes=attributes))
        return main(["run", "r.yaml", "--no-report", "--quiet"])

    rows = [{"id": str(i), "text": "some words", "n": i} for i in range(3)]
    write(Path("documents/a.jsonl"), rows)
    assert run("t", TAG.replace("FORM", form)) == 0
    # Other fields than the text may change.
    write(Path("documents/a.jsonl"), [{**row, "n": 0} for row in rows])
    assert run("m", MIX, ", attributes: [base]") == 0
    write(Path("documents/a.jsonl"), [*rows[:2], {"id": "2", "text": "cut"}])
    capsys.readouterr()
    code = run("m", MIX, ", attributes: [base]")
    if form == "parquet":
        assert code == 1
        assert capsys.readouterr().err == (
            "dolma: error: attributes/base/a.parquet: expected attributes of the texts in "
            "documents/a.jsonl, found those of other texts under the same ids: the documents were "
            "edited after "
            "they were tagged; tag the documents again\n"
        )
    else:
        assert code == 0
        (warning,) = json.loads(Path("m/manifest.json").read_text())["warnings"]
        assert (
            "attribute `base__char_length_v1__length` of 1 document is a span that is longer than the text" in warning
        )
