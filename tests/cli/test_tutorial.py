"""The commands of Dolma's tutorial (docs/getting-started.md of its repository), as a user types them.

Replaced, because it needs the network or a package that is not here: the download of Wikipedia by articles in the shape
that its script writes; the tagger by CLD2, also in the configuration of the mix, by the one by fastText; the tokenizer
from the Hugging Face Hub by one of bytes in a file. Other than written: as many processes as there are, `/tmp`, and the
end of documents, without which `tokens` has nothing to part them with, in Dolma 1.2.1 too.
"""

from __future__ import annotations

import csv
import gzip
import json
import re
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dolma_pipeline.cli.main import main
from dolma_pipeline.models import LANGUAGE_ID, ModelNotFound, find_model
from tests.tokens.token_toys import write_byte_tokenizer

ENGLISH = "ft_lang_id_en_paragraph_with_doc_score_v2"
TAG = """dolma tag
    --documents "wikipedia/v0/documents/*"
    --experiment exp
    --taggers random_number_v1
              char_length_with_paragraphs_v1
              whitespace_tokenizer_with_paragraphs_v1"""
DEDUPE = """dolma dedupe
    --documents "wikipedia/v0/documents/*"
    --dedupe.paragraphs.attribute_name 'bff_duplicate_paragraph_spans'
    --dedupe.skip_empty
    --bloom_filter.file deduper_bloom_filter.bin
    --no-bloom_filter.read_only
    --bloom_filter.estimated_doc_count '6_000_000'
    --bloom_filter.desired_false_positive_rate '0.0001'"""
MIX = "dolma -c examples/wikipedia-mixer.json mix"
TOKENS = """dolma tokens
    --documents "wikipedia/example0/documents/*.gz"
    --tokenizer.name_or_path tokenizer.json
    --tokenizer.eos_token_id 256
    --destination wikipedia/example0/tokens"""

STREAM = {
    "name": "getting-started",
    "documents": ["wikipedia/v0/documents/*.gz"],
    "output": {"path": "wikipedia/example0/documents", "max_size_in_bytes": 1_000_000_000},
    "attributes": ["exp", "bff_duplicate_paragraph_spans"],
    "filter": {
        "include": ["$.attributes[?(@.exp__whitespace_tokenizer_with_paragraphs_v1__document[0][2] < 100000)]"],
        "exclude": [
            "$.attributes[?(@.exp__whitespace_tokenizer_with_paragraphs_v1__document[0][2] < 50)]",
            f"$.attributes[?(@.exp__{ENGLISH}__doc_en[0][2] <= 0.5)]",
            "$@.attributes[?(@.bff_duplicate_paragraph_spans && @.bff_duplicate_paragraph_spans[0] && "
            "@.bff_duplicate_paragraph_spans[0][2] >= 1.0)]",
        ],
    },
    "span_replacement": [{"span": f"$.attributes.exp__{ENGLISH}__not_en", "min_score": 0.5, "replacement": ""}],
}

STUB = "This article is about a small place, and everyone who knows more about it can help to make it longer."
GERMAN = [
    f"Das Dorf mit der Nummer {i} liegt an einem kleinen Fluss, und seine alte Kirche wurde nach dem Brand wieder "
    "aufgebaut, weil die Menschen dort nicht ohne sie leben wollten."
    for i in range(3)
]


def article(number: int, *more: str, sentences: int = 5) -> str:
    lines = [
        f"The town with the number {number}{i} is near a small river, and its old church was built again after the "
        "fire because the people there did not want to live without it."
        for i in range(sentences)
    ]
    return "\n".join([f"The history of the town with the number {number}\n", *lines, *more])


TEXTS = {
    "whole": article(1),
    "stub": article(2, STUB),
    "stub too": article(3, STUB),
    "short": article(4, sentences=1),
    "german": "\n".join(GERMAN),
    "part german": article(5, "Die alte Stadt hat eine sehr schöne Kirche, die nach dem Krieg gebaut wurde.\n"),
    "last": article(6),
}
FILES = {"wiki_00": list(TEXTS)[:4], "wiki_01": list(TEXTS)[4:]}


def has_language_model() -> bool:
    try:
        find_model(LANGUAGE_ID)
    except ModelNotFound:
        return False
    return True


LANGUAGES = has_language_model()
"""Without the model of languages the tutorial goes on without its tagger."""
KEPT = [i for i in ("whole", "stub", "german", "part german", "last") if not (LANGUAGES and i == "german")]
"""One of the duplicate paragraph goes, with its whole document; Dolma 1.2.1 keeps it, for it compares 1 with 1.0."""


def dolma(command: str, *more: str) -> None:
    words = shlex.split(command)
    assert words[0] == "dolma"
    assert main([*words[1:], *more]) == 0


def rows(path: str) -> list[dict[str, Any]]:
    with gzip.open(path, "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def listed(directory: str) -> list[str]:
    found = (p.relative_to(directory) for p in Path(directory).rglob("*") if p.is_file())
    return sorted(str(p) for p in found if not any(part.startswith(".") for part in p.parts))


@pytest.fixture(scope="module", autouse=True)
def tutorial(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Runs the commands in their order; the tests look at what each has left."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("tutorial"))
        Path("wikipedia/v0/documents").mkdir(parents=True)
        for name, ids in FILES.items():
            with gzip.open(f"wikipedia/v0/documents/{name}.gz", "wt", encoding="utf-8") as file:
                for identity in ids:
                    text = TEXTS[identity]
                    url = f"https://simple.wikipedia.org/wiki?curid={identity}"
                    metadata = {"revid": "7", "url": url, "length": len(text.split())}
                    row = {"id": identity, "source": "wikipedia", "version": "v0", "text": text}
                    dates = {"created": "2023-10-01T00:00:00.000Z", "added": "2023-11-02T03:04:05.678Z"}
                    file.write(json.dumps({**row, **dates, "metadata": metadata}) + "\n")
        Path("examples").mkdir()
        Path("examples/wikipedia-mixer.json").write_text(json.dumps({"streams": [STREAM], "processes": 1}))
        write_byte_tokenizer(Path("tokenizer.json"))
        # The list of taggers is the last option.
        dolma(TAG, *([ENGLISH] if LANGUAGES else []))
        dolma(DEDUPE)
        dolma(MIX)
        dolma(TOKENS)
        yield


def test_the_taggers_measure_every_article() -> None:
    assert listed("wikipedia/v0/attributes/exp") == ["wiki_00.gz", "wiki_01.gz"]
    for name, ids in FILES.items():
        found = rows(f"wikipedia/v0/attributes/exp/{name}.gz")
        assert [row["id"] for row in found] == ids
        for row in found:
            text, values = TEXTS[row["id"]], row["attributes"]
            length = len(text)
            # The pieces between words, as Dolma counts: in each paragraph one more than words.
            words = sum(len(re.split(r"\w+|[^\w\s]+", p)) for p in text.split("\n") if p.strip())
            assert values["exp__whitespace_tokenizer_with_paragraphs_v1__document"] == [[0, length, words]]
            assert values["exp__char_length_with_paragraphs_v1__document"] == [[0, length, length]]
            paragraphs = values["exp__whitespace_tokenizer_with_paragraphs_v1__paragraph"]
            assert sum(score for _, _, score in paragraphs) == words
            assert 0 <= values["exp__random_number_v1__random"][0][2] < 1


def test_the_second_copy_of_a_paragraph_is_marked() -> None:
    assert listed("wikipedia/v0/attributes/bff_duplicate_paragraph_spans") == ["wiki_00.gz", "wiki_01.gz"]
    found = {
        row["id"]: row["attributes"]["bff_duplicate_paragraph_spans"]
        for name in FILES
        for row in rows(f"wikipedia/v0/attributes/bff_duplicate_paragraph_spans/{name}.gz")
    }
    length = len(TEXTS["stub too"])
    assert found == {i: [[length - len(STUB), length, 1.0]] if i == "stub too" else [] for i in TEXTS}
    assert Path("deduper_bloom_filter.bin").stat().st_size > 6_000_000


def test_the_mix_keeps_the_documents_that_pass_the_filters() -> None:
    assert listed("wikipedia/example0/documents") == ["getting-started-0000.json.gz"]
    found = rows("wikipedia/example0/documents/getting-started-0000.json.gz")
    assert [row["id"] for row in found] == KEPT
    places = {i: f"{name}.gz:{ids.index(i) + 1}" for name, ids in FILES.items() for i in ids}
    assert [row["metadata"]["provenance"] for row in found] == [places[i] for i in KEPT]
    texts = {row["id"]: row["text"] for row in found}
    expected = {i: TEXTS[i] for i in KEPT}
    if LANGUAGES:
        expected["part german"] = article(5, "")
    assert texts == expected


def test_the_tokens_are_those_of_the_mixed_documents() -> None:
    assert listed("wikipedia/example0/tokens") == [
        "manifest.json",
        "part-0-00000.csv.gz",
        "part-0-00000.npy",
        "tokenizer.json",
    ]
    # Without white space at their ends, as in Dolma.
    texts = {r["id"]: r["text"].strip() for r in rows("wikipedia/example0/documents/getting-started-0000.json.gz")}
    ids = np.fromfile("wikipedia/example0/tokens/part-0-00000.npy", np.uint16)
    assert len(ids) == sum(len(text.encode()) + 1 for text in texts.values())
    with gzip.open("wikipedia/example0/tokens/part-0-00000.csv.gz", "rt", newline="") as file:
        table = [(int(start), int(end), identity) for start, end, identity, _, _ in csv.reader(file)]
    assert sorted(identity for _, _, identity in table) == sorted(KEPT)
    assert [end - start for start, end, _ in table] == [len(texts[i].encode()) + 1 for _, _, i in table]
    assert [int(ids[end - 1]) for _, end, _ in table] == [256] * len(KEPT)
