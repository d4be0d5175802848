"""Taggers in Dolma's shapes give the attributes that Dolma gives."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from dolma_pipeline.compat import TaggerRegistry, create_and_run_tagger
from dolma_pipeline.models import LANGUAGE_ID, find_model

MODULE = str(Path(__file__).with_name("public_taggers.py"))
DOCUMENTS = [
    {"id": "a", "text": "Is this it?\n\nYes, this is. Sure?", "source": "web", "metadata": {"stars": 3}},
    {"id": "b", "text": "ÜBER", "source": "books"},
]
EXPECTED: dict[str, list[dict[str, Any]]] = {
    "decorated_v1": [{"length": [[0, 32, 32.0]]}, {"length": [[0, 4, 4.0]]}],
    "registered_v1": [{"upper": [[0, 32, 0.0]]}, {"upper": [[0, 4, 1.0]]}],
    "paragraphs_v1": [{"words": [[0, 12, 3.0], [13, 32, 4.0]]}, {"words": [[0, 4, 1.0]]}],
    "words_v1": [{"words": [[0, 32, 11.0]]}, {"words": [[0, 4, 1.0]]}],
    "sentences_v1": [{"question": [[0, 11, 1.0], [27, 32, 1.0]]}, {}],
    "metadata_v1": [{"stars": [[0, 32, 3.0]]}, {"stars": [[0, 4, 0.0]]}],
    "defaults_v1": [
        {"found": [[5, 7, 0.12346], [20, 22, 0.12346], [23, 25, 0.12346]]},
        {},
    ],
    "keyword_this_v1": [{"this": [[0, 32, 2.0]]}, {"this": [[0, 4, 0.0]]}],
    "own_rows_v1": [{"source_length": [[0, 32, 3.0]]}, {"source_length": [[0, 4, 5.0]]}],
    "grouped_v1": [{"my_length": [[0, 32, 32.0]]}, {"my_length": [[0, 4, 4.0]]}],
}


@pytest.fixture
def documents(tmp_path: Path) -> Path:
    path = tmp_path / "documents" / "a.jsonl.gz"
    path.parent.mkdir()
    path.write_bytes(gzip.compress("".join(json.dumps(d) + "\n" for d in DOCUMENTS).encode()))
    return path


def rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in gzip.decompress(path.read_bytes()).splitlines()]


@pytest.mark.parametrize("tagger", EXPECTED)
def test_a_public_tagger_gives_what_dolma_gives(tagger: str, documents: Path) -> None:
    create_and_run_tagger([str(documents)], [tagger], taggers_modules=[MODULE], experiment="e", debug=True)
    found = rows(documents.parent.parent / "attributes" / "e" / "a.jsonl.gz")
    assert [row["id"] for row in found] == ["a", "b"]
    shown = [{k.removeprefix(f"e__{tagger}__"): v for k, v in row["attributes"].items()} for row in found]
    assert shown == EXPECTED[tagger]


def test_a_fasttext_tagger_classifies_each_paragraph(documents: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_FASTTEXT_MODEL", str(find_model(LANGUAGE_ID)))
    create_and_run_tagger([str(documents)], ["lines_fasttext_v1"], taggers_modules=[MODULE], experiment="e", debug=True)
    first, second = rows(documents.parent.parent / "attributes" / "e" / "a.jsonl.gz")
    english = first["attributes"]["e__lines_fasttext_v1__en"]
    assert [span[:2] for span in english] == [[0, 12], [13, 32]]
    assert all(score > 0.5 for _, _, score in english)
    assert sum(spans[0][2] for spans in second["attributes"].values()) == pytest.approx(1, abs=0.01)


def test_built_in_and_own_taggers_come_from_one_registry() -> None:
    TaggerRegistry.add("mine_v1")(TaggerRegistry.get("gopher_v1"))
    assert TaggerRegistry.has("mine_v1")
    assert TaggerRegistry.has("c4_v2")
    with pytest.raises(ValueError, match="expected the name of a tagger, found `nope`"):
        TaggerRegistry.get("nope")
    with pytest.raises(ValueError, match="the name is that of a built-in tagger"):
        TaggerRegistry.add("c4_v2")(TaggerRegistry.get("gopher_v1"))
    assert TaggerRegistry.remove("mine_v1")
    assert not TaggerRegistry.has("mine_v1")
