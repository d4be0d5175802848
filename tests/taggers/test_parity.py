"""Attributes equal to those of Dolma 1.2.1: recorded ones always, live ones where $DOLMA_PYTHON names its interpreter.

`python -m tests.taggers.test_parity` records dolma_expected.json anew.
"""

from __future__ import annotations

import gzip
import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from dolma_pipeline.taggers.native import NativeTagger, tag_natively
from tests.taggers.test_native import NAMES
from tests.taggers.toys import documents, rows

HERE = Path(__file__).resolve().parent
EXPECTED = HERE / "dolma_expected.json"
PER_FILE = int(os.environ.get("DOLMA_PARITY_DOCUMENTS", "20"))
"""Documents of each file of the collection that are compared."""

TOYS = [
    "",
    " \n\t ",
    "word",
    "The quick brown fox jumps over the lazy dog.\nThe quick brown fox jumps over the lazy dog.\n",
    "* one…\n- two # three\n\n\n* one…\nfour with that and the be to of have",
    "a b c a b c a b c a b c a b c d e f g h i j k a b c d e f g h i j k",
    "Call  (555) 123-4567 or mail (first.last@example.org) today, ask @x@y.z and z@localhost \n10.0.0.1 and 1.2.3.4.5",
    "isbn 555 123 4567 " + "far " * 30 + " 555.123.4567" + " gone" * 30 + " 192.168.1.255#1",
    'It has {javascript} and JavaScript too.\nLorem Ipsum dolor!\nIs it "so"?\nno end here\nshort one.\n" \n',
    "CRLF line one here.\r\nCRLF line two here.\r\n\x1cthird\x1dline\x85here\u2028and\u3000there.",
    "Größe naïve café — 字 漢字 混ぜ書き ひらがな\n한국어 문장입니다.\nمرحبا بالعالم\n👍🏽👍🏽 e\u0301 é Ⅷ ² ½",
    "sexy KINKY \u212aINKY \x00NUL\x00 and nothing else\n" * 3,
]


def dolma(texts: list[str]) -> dict[str, list[dict[str, Any]]]:
    """What Dolma gives for `texts`: tagger -> text -> attribute -> [[start, end, score], ...]."""
    python = os.environ.get("DOLMA_PYTHON")
    if not python:
        pytest.skip("$DOLMA_PYTHON names no interpreter that has dolma 1.2.1")
    asked = json.dumps({"taggers": NAMES, "texts": texts})
    run = subprocess.run([python, HERE / "dolma_runner.py"], input=asked, capture_output=True, text=True, check=True)
    # Importing Dolma may print.
    found: dict[str, list[dict[str, Any]]] = json.loads(run.stdout[run.stdout.index('{"' + NAMES[0]) :])
    return found


def in_the_shape_of_dolma(texts: list[str]) -> dict[str, list[dict[str, Any]]]:
    """The same of our taggers: a document score is a span over the whole text, an attribute without spans is absent."""
    found: dict[str, list[dict[str, Any]]] = {}
    for name, columns in zip(NAMES, tag_natively(NAMES, documents(texts)), strict=True):
        kinds = dict(NativeTagger(name).attributes)
        found[name] = []
        for text, row in zip(texts, rows(columns), strict=True):
            spans = {
                attribute: [[0, len(text), value]] if kinds[attribute] == "document" else [list(s) for s in value]
                for attribute, value in row.items()
            }
            found[name].append({attribute: s for attribute, s in spans.items() if s})
    return found


def test_recorded_attributes_are_reproduced() -> None:
    recorded = json.loads(EXPECTED.read_text("utf-8"))
    found = in_the_shape_of_dolma(TOYS)
    for name in NAMES:
        for text, ours, theirs in zip(TOYS, found[name], recorded[name], strict=True):
            assert ours == theirs, (name, text)


def test_dolma_still_gives_what_was_recorded() -> None:
    assert dolma(TOYS) == json.loads(EXPECTED.read_text("utf-8"))


@pytest.mark.data
@pytest.mark.slow
def test_real_documents_have_the_attributes_of_dolma(shared_data: Path) -> None:
    texts = []
    for path in sorted(shared_data.glob("*/documents/*.jsonl.gz")):
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            read = [json.loads(line)["text"] for line, _ in zip(lines, range(PER_FILE * 10), strict=False)]
        texts += read[::10]
    # Dolma counts these offsets in the lower-cased text (see rust_ext/core/src/taggers/c4.rs).
    texts = [t for t in texts if "\u0130" not in t]
    theirs, ours = dolma(texts), in_the_shape_of_dolma(texts)
    different = [
        (name, number) for name in NAMES for number in range(len(texts)) if ours[name][number] != theirs[name][number]
    ]
    assert len(texts) > 100
    assert different == []


if __name__ == "__main__":
    # A line per text: a change of one shows as one.
    lines = {
        name: ",\n".join(json.dumps(row, ensure_ascii=False) for row in found) for name, found in dolma(TOYS).items()
    }
    EXPECTED.write_text("{" + ",\n".join(f'"{n}": [\n{r}\n]' for n, r in lines.items()) + "}\n", "utf-8")
