"""Taggers that read sources, pages and addresses: equal to Dolma 1.2.1's but where it errs.

Recorded attributes always; live ones where $DOLMA_PYTHON, or a virtual environment in $DOLMA_PEER_VENV, has dolma 1.2.1
with `beautifulsoup4` and `detect-secrets`.

`python -m tests.taggers.test_source_parity` records dolma_sources.json anew.
"""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import pytest

from dolma_pipeline.config.recipe import CustomTagger
from dolma_pipeline.taggers.registry import load_taggers
from tests import needs
from tests.taggers.toys import documents, rows

HERE = Path(__file__).resolve().parent
EXPECTED = HERE / "dolma_sources.json"
LISTS = {
    "domain_blocklist_utp_v1": ("domain", "# list\nbad.example\nwww.worse.example\n8.8.8.8\n"),
    "link_blocklist_phishing_v1": ("url", "page.example/login\n# no\n"),
    "oisd_small_abp_v1": ("adblock", "[Adblock Plus]\n! no\n||ads.example^\n@@||ok.ads.example^\n||path.example/x/*\n"),
}
NAMES = [
    "cc_re",
    "cc_re_fast",
    "code_copyright_comments_v1",
    "code_redpajama_taggers_v1",
    "code_starcoder_taggers_v1",
    "code_starcoder_taggers_v2",
    "not_alphanum_paragraph_v1",
    *LISTS,
]

PYTHON = '''# Copyright (c) Someone
"""Of the module: é.

    Indented.
"""


class A:
    "Short."

    def f(self, x: int = 1) -> str:
        """Does \\\\n nothing."""
        return "# no"  # yes #1
'''
JAVA = '/* Copyright é */\nclass A { // one\n  String s = "// no"; char c = \'"\'; /* two\n*/ }\n'
SCRIPT = "// a\nvar r = /[/*]'/g; /* b */ var t = `// ${x}`; // c\n"
PAGE = (
    "<html><head><title>Title</title><style>p {}</style></head>\n<body>\n<p class='a'>A longer text &amp; more é, so "
    "that there are more than a hundred characters of it on the page, all of them visible.</p>\n  <script>if (a < b) "
    "no()</script><!-- no --><pre>\n  kept\n </pre></body></html>\n"
)
LICENCE = "<a rel='license' href='https://creativecommons.org/licenses/by-sa/4.0/deed.de'>x</a>"
DOCUMENTS: list[tuple[str, dict[str, Any]]] = [
    (PYTHON, {"ext": "py", "max_stars_count": 12, "html": LICENCE, "url": "http://bad.example/x"}),
    (JAVA, {"ext": "java", "html": LICENCE * 2, "url": "https://www.worse.example"}),
    (SCRIPT, {"ext": "js", "max_stars_count": None, "html": "", "url": "http://page.example/login?next=1"}),
    (PAGE, {"ext": "html", "html": PAGE, "url": "ads.example/a"}),
    (
        '<?xml version="1.0"?>\n<a/>',
        {"ext": "none", "html": LICENCE.replace("by-sa/4.0/deed.de", "by/2.0/"), "url": ""},
    ),
    ("***\n— … 👍🏽\nword 字\n\n", {"html": "", "url": "http://ok.ads.example/"}),
    ("// a\n# b\n\n-- c\nx = 1\n", {"html": "", "url": "http://path.example/x/1"}),
    ("a\r\nbé\u2028c\x1cd 12 ½", {"html": "", "url": "http://8.8.8.8/"}),
    ("x", {"html": "", "url": "http://good.example/path"}),
]
TEXTS = [text for text, _ in DOCUMENTS]


def dolma(texts: list[str], metadata: list[dict[str, Any]], names: list[str] = NAMES) -> dict[str, list[Any]]:
    """What Dolma gives: tagger -> text -> attribute -> [[start, end, score], ...]."""
    venv = os.environ.get("DOLMA_PEER_VENV")
    python = os.environ.get("DOLMA_PYTHON") or (f"{venv}/bin/python" if venv else None)
    if not python:
        needs.skip("neither $DOLMA_PYTHON nor $DOLMA_PEER_VENV names a Python that has dolma 1.2.1", "make parity")
    with tempfile.TemporaryDirectory() as directory:
        lists = {}
        for name, (_, lines) in LISTS.items():
            lists[name] = f"{directory}/{name}.txt"
            Path(lists[name]).write_text(lines)
        asked = json.dumps({"taggers": names, "texts": texts, "metadata": metadata, "lists": lists})
        run = subprocess.run([python, HERE / "metadata_runner.py"], input=asked, capture_output=True, text=True)
    if "Code dependencies are not available" in run.stderr:
        needs.skip("dolma 1.2.1 is there without beautifulsoup4 and detect-secrets", "make parity")
    assert run.returncode == 0, run.stderr
    found: dict[str, list[Any]] = json.loads(run.stdout[run.stdout.index('{"' + names[0]) :])
    return found


def ours(
    texts: list[str], metadata: list[dict[str, Any]], directory: Path, names: list[str] = NAMES
) -> dict[str, list[Any]]:
    """The same of our taggers: a document score is a span over the whole text, what has no span is absent."""
    raw = [json.dumps({"id": "x", "metadata": m}).encode() for m in metadata]
    found = {}
    for name in names:
        tagger: str | CustomTagger = name
        if name in LISTS:
            mode, lines = LISTS[name]
            (directory / name).write_text(lines)
            tagger = CustomTagger(name="mine", url_list=str(directory / name), mode=mode)  # type: ignore[arg-type]
        columns = {a: c for (_, a), c in load_taggers([tagger]).tag(documents(texts, raw)).items()}
        found[name] = [
            {a: [list(s) for s in v] if isinstance(v, list) else [[0, len(text), v]] for a, v in row.items() if v != []}
            for text, row in zip(texts, rows(columns) if columns else [{}] * len(texts), strict=True)
        ]
    return found


def as_dolma_counts(text: str, row: dict[str, Any]) -> dict[str, Any]:
    """A row of `code_copyright_comments_v1` with the two faults of its span and its share."""
    row = {k: [list(s) for s in v] for k, v in row.items()}
    for name in ("copyright_notice", "comment_block"):
        for span in row.get(name, []):
            if name == "comment_block":
                kept = text[: span[1]].split("\n")[: None if span[1] == len(text) else -1]
                span[1] = sum(len(line) or 1 for line in kept)
            row["doc"][0][2] = round((span[1] - span[0] + 1) / len(text), 5)
    return row


def compare(texts: list[str], found: dict[str, list[Any]], theirs: dict[str, list[Any]]) -> list[tuple[str, int]]:
    """(tagger, text) of every difference; texts on which Dolma's tagger fails have none."""
    different = []
    for name, rows_ in found.items():
        for number, (text, mine, other) in enumerate(zip(texts, rows_, theirs[name], strict=True)):
            shown = as_dolma_counts(text, mine) if name == "code_copyright_comments_v1" else mine
            if other is not None and shown != other:
                different.append((name, number))
    return different


def test_recorded_attributes_are_reproduced(tmp_path: Path) -> None:
    found = ours(TEXTS, [m for _, m in DOCUMENTS], tmp_path)
    recorded = json.loads(EXPECTED.read_text("utf-8"))
    assert compare(TEXTS, found, recorded) == []
    assert [row for row in found["domain_blocklist_utp_v1"] if row] != []


def test_dolma_still_gives_what_was_recorded() -> None:
    assert dolma(TEXTS, [m for _, m in DOCUMENTS]) == json.loads(EXPECTED.read_text("utf-8"))


@pytest.mark.data
@pytest.mark.slow
def test_real_documents_have_the_attributes_of_dolma(shared_data: Path, tmp_path: Path) -> None:
    names = ["code_copyright_comments_v1", "code_redpajama_taggers_v1", "not_alphanum_paragraph_v1"]
    texts = []
    for path in sorted(shared_data.glob("*/documents/*.jsonl.gz")):
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            texts += [json.loads(line)["text"] for line, _ in zip(lines, range(40), strict=False)]
    metadata: list[dict[str, Any]] = [{}] * len(texts)
    found = ours(texts, metadata, tmp_path, names)
    assert len(texts) > 100
    assert compare(texts, found, dolma(texts, metadata, names)) == []


if __name__ == "__main__":
    given = dolma(TEXTS, [m for _, m in DOCUMENTS])
    lines = {name: ",\n".join(json.dumps(row, ensure_ascii=False) for row in rows_) for name, rows_ in given.items()}
    EXPECTED.write_text("{" + ",\n".join(f'"{n}": [\n{r}\n]' for n, r in lines.items()) + "}\n", "utf-8")
