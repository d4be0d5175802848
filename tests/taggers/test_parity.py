"""Attributes equal to those of Dolma 1.2.1: recorded ones always, live ones where $DOLMA_PEER_VENV names its home.

`python -m tests.taggers.test_parity` records dolma_expected.json anew. With $DOLMA_MODELS the taggers that need a
tokenizer are compared too.
"""

from __future__ import annotations

import gzip
import itertools
import json
import os
import random
import re
import subprocess
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from dolma_pipeline.taggers import load_taggers
from dolma_pipeline.taggers.tokenizer import FACTORIES
from tests import needs
from tests.taggers.test_native import NAMES
from tests.taggers.toys import documents, rows

HERE = Path(__file__).resolve().parent
EXPECTED = HERE / "dolma_expected.json"
PER_FILE = int(os.environ.get("DOLMA_PARITY_DOCUMENTS", "20"))
"""Documents of each file of the collection that are compared, every tenth of the first; 0 for all there are."""
SLOW = int(os.environ.get("DOLMA_PARITY_CHARACTERS", "300000"))
"""Characters that Dolma's slow taggers are given: they read 0.05 to 0.2 MB/s."""
COMPARED = [name for name in NAMES if name != "pii_v1"]
"""Native taggers that Dolma has too."""
TOKENIZED = [n for n in sorted(FACTORIES) if n != "tokenizers_EleutherAI_GPT_NeoX_20B"]

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
    "a\nab ab ab ab\n=====  .....\n" + "so so so so " * 3 + "\n" + "0123456789abc 0123456789abc" * 4 + "né né né né né",
    "The price (32.3%) can't be 1,000.50; it's a_b C++ e.g. U.S. 3:30 don’t 👩‍💻🇫🇷🇩🇪 שלום\"ד \u0301x \n \n",
    "\tLine  two\u3000three ½Ⅷ²x 12ab $+<=>^`|~ (x) [y]\r\n\n\n   end\t\t. ١٢٣ ﹙ ‿",
    "sexy KINKY \u212aINKY \x00NUL\x00 and nothing else\n" * 3,
]


Found = dict[str, list[dict[str, Any] | None]]
"""tagger -> text -> attribute -> [[start, end, score], ...]; None where Dolma failed."""


def dolma(names: list[str], texts: list[str], characters: int = 10**12) -> Found:
    """What Dolma gives for `texts`; its slow taggers are given `characters` of them."""
    venv = os.environ.get("DOLMA_PEER_VENV")
    if not venv:
        needs.skip("$DOLMA_PEER_VENV names no environment that has dolma 1.2.1", "make parity")
    slow = re.compile("repetitions|uniseg|olmo_|tokenizers_|dolma_v")
    limits = {name: characters if slow.search(name) else 10**12 for name in names}
    asked = json.dumps({"taggers": limits, "texts": texts})
    python = Path(venv) / "bin" / "python"
    run = subprocess.run([python, HERE / "dolma_runner.py"], input=asked, capture_output=True, text=True, check=True)
    # Importing Dolma may print.
    found: Found = json.loads(run.stdout[run.stdout.index('{"' + names[0]) :])
    return {name: [repaired(name, t, row) for t, row in zip(texts, rows, strict=False)] for name, rows in found.items()}


def repaired(name: str, text: str, row: dict[str, Any] | None) -> dict[str, Any] | None:
    """What Dolma would give without the errors that are not repeated here; each is told where the tagger is defined."""
    if row is None:
        return None
    if name == "pii_regex_with_counts_fast_v2" and text:
        spans = [s for attribute, found in row.items() if attribute not in ("doc_count", "doc_frac") for s in found]
        row["doc_frac"] = [[0, len(text), round(sum(end - start for start, end, _ in spans) / len(text), 5)]]
    return row


def in_the_shape_of_dolma(names: list[str], texts: list[str]) -> Found:
    """The same of our taggers: a document score is a span over the whole text, an attribute without spans is absent."""
    found: Found = {}
    tagged = load_taggers(names).tag(documents(texts))
    for name in names:
        columns = {attribute: column for (tagger, attribute), column in tagged.items() if tagger == name}
        scores = {attribute for attribute, column in columns.items() if not pa.types.is_list(column.type)}
        found[name] = []
        for text, row in zip(texts, rows(columns), strict=True):
            spans = {k: [[0, len(text), v]] if k in scores else [list(s) for s in v] for k, v in row.items()}
            found[name].append({attribute: s for attribute, s in spans.items() if s})
    return found


def differences(names: list[str], texts: list[str], characters: int) -> list[tuple[str, int]]:
    """(tagger, text) where Dolma gives something else; says how many were compared."""
    theirs, ours = dolma(names, texts, characters), in_the_shape_of_dolma(names, texts)
    different = []
    for name in names:
        compared = [i for i, row in enumerate(theirs[name]) if row is not None]
        wrong = [(name, i) for i in compared if theirs[name][i] != ours[name][i]]
        print(f"{name}: {len(compared)} documents, {len(wrong)} different")
        different += wrong
    return different


def test_recorded_attributes_are_reproduced() -> None:
    recorded = json.loads(EXPECTED.read_text("utf-8"))
    found = in_the_shape_of_dolma(COMPARED, TOYS)
    assert list(recorded) == COMPARED
    for name in COMPARED:
        for text, ours, theirs in zip(TOYS, found[name], recorded[name], strict=True):
            assert theirs is None or ours == theirs, (name, text)


def test_dolma_still_gives_what_was_recorded() -> None:
    assert dolma(COMPARED, TOYS) == json.loads(EXPECTED.read_text("utf-8"))


def some_texts(shared_data: Path) -> list[str]:
    """In an order of chance, as the slow taggers see only the first."""
    texts = []
    for path in sorted(shared_data.glob("*/documents/*.jsonl.gz")):
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            count = PER_FILE * 10 if PER_FILE else None
            read = [json.loads(line)["text"] for line in itertools.islice(lines, count)]
        texts += read[:: 10 if PER_FILE else 1]
    # Dolma counts these offsets in the lower-cased text (see rust_ext/core/src/taggers/c4.rs).
    texts = [t for t in texts if "\u0130" not in t]
    random.Random(5).shuffle(texts)
    assert len(texts) > 100
    return texts


@pytest.mark.data
@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_real_documents_have_the_attributes_of_dolma(shared_data: Path) -> None:
    assert differences(COMPARED, some_texts(shared_data), SLOW) == []


@pytest.mark.data
@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_real_documents_have_the_tokens_of_dolma(shared_data: Path) -> None:
    if "DOLMA_MODELS" not in os.environ:
        needs.skip("$DOLMA_MODELS names no directory of tokenizers", "make parity")
    assert differences(TOKENIZED, some_texts(shared_data), SLOW) == []


if __name__ == "__main__":
    # A line per text: a change of one shows as one.
    lines = {
        name: ",\n".join(json.dumps(row, ensure_ascii=False) for row in found)
        for name, found in dolma(COMPARED, TOYS).items()
    }
    EXPECTED.write_text("{" + ",\n".join(f'"{n}": [\n{r}\n]' for n, r in lines.items()) + "}\n", "utf-8")
