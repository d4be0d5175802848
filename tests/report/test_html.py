"""The page: one well-formed file that needs nothing else and that no name or text can break."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from dolma_pipeline.errors import DataError
from dolma_pipeline.report.account import load_run
from dolma_pipeline.report.html import render_page, write_report

EVIL = '<script>alert("&")</script>'


class Page(HTMLParser):
    """Checks that tags are closed in order; collects the tags, headings and the text of cells."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.open: list[str] = []
        self.text: list[str] = []
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.tags.append(tag)
        self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: Any) -> None:
        self.tags.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)

    @property
    def rows(self) -> list[str]:
        return [text for text in self.text if text.strip()]

    def headings(self, page: str) -> list[str]:
        return re.findall(r"<h2>([^<]*)</h2>", page)


def test_the_whole_page(toy_run: Path) -> None:
    path = write_report(toy_run)
    assert path == toy_run / "report.html"
    page = path.read_text(encoding="utf-8")
    parsed = Page(page)
    assert parsed.headings(page) == [
        "Warnings",
        "Where the documents went",
        "Duplicates",
        "Tokens by source",
        "Training",
        "Time",
        "Stages",
        "Quarantine",
        "Recipe",
        "Files",
    ]
    shown = "|".join(parsed.rows)
    for expected in (
        "documents|34|kept of 113",
        "text|1.53 kB|kept of 3.42 kB",
        "tokens|496|from 2 sources",
        "perplexity|31.50|on text set aside",
        "time|2 min 05 s|with 2 processes",
        "too_short|−60|53.1%",
        "02-near|129|9|7.0%|9|6.0%|5.6e-15",
        "news|222|44.8%",
        "uint16, vocabulary of 300.",
        "01-tag+|4|0.50 s|0.00 s|9.0|2,206",
        "3 documents, set aside whole in quarantine/, could not be read.",
        'wiki.jsonl|3|159|malformed JSON at byte 18: EOF while parsing a string|{"text": "<b>cut &',
        "25 bytes that are not UTF-8",
        "tokens/part-00000.npy|992|",
    ):
        assert expected in shown
    assert sorted(p.name for p in toy_run.iterdir()) == ["manifest.json", "quarantine", "report.html", "timings.json"]


def test_bars_of_a_gate_lie_end_to_end(toy_run: Path) -> None:
    """What is left after the last rule is what came out."""
    page = render_page(load_run(toy_run))
    found = re.findall(r'<rect x="([\d.]+)%" width="([\d.]+)%" height="100%" class="\w+"><title>(\w+): (\d+)<', page)
    bars = [(name, int(number), float(start), float(length)) for start, length, name, number in found]
    left_out = [b for b in bars if b[0] in ("too_short", "budget", "long")]
    # The bar of all sources ends where those kept and the bad lines end; that of each source begins behind those kept.
    assert left_out == [
        ("too_short", 60, 52.0, 48.0),
        ("budget", 25, 32.0, 20.0),
        ("long", 3, 29.6, 2.4),
        ("too_short", 60, 15.0, 60.0),
        ("budget", 25, 75.0, 25.0),
        ("long", 3, 76.0, 12.0),
    ]


def test_it_needs_nothing_else(toy_run: Path) -> None:
    page = render_page(load_run(toy_run))
    assert not {"script", "link", "img", "iframe"} & set(Page(page).tags)
    assert re.findall(r"https?://|url\(|@import", page) == []


def test_everything_is_escaped(toy_run: Path, manifest: dict[str, Any]) -> None:
    counts = manifest["stages"][2]["counts"]
    counts[EVIL] = {"documents_in": 1, "dropped": {EVIL: 1}, "edited": {EVIL: 1}}
    manifest["stages"][3]["details"] = {"tokens": {EVIL: 5}, "form": EVIL}
    manifest["stages"][0]["id"] = EVIL
    manifest["recipe"][EVIL] = EVIL
    manifest["files"][0]["path"] = EVIL
    manifest.update(name=EVIL, version=EVIL, warnings=[EVIL])
    (toy_run / "manifest.json").write_text(json.dumps(manifest))
    timings = {"wall_seconds": 1.0, "phases": [{"phase": EVIL, "stage": EVIL, "seconds": 1.0}]}
    (toy_run / "timings.json").write_text(json.dumps(timings))
    row = {"file": EVIL, "line": 1, "offset": 0, "reason": EVIL, "raw": EVIL + "\x00\x1b"}
    (toy_run / "quarantine" / "wiki" / "wiki.jsonl.jsonl").write_text(json.dumps(row))
    page = render_page(load_run(toy_run))
    assert "<script" not in page
    assert "\x00" not in page
    assert "script" not in Page(page).tags
    assert page.count("&lt;script&gt;alert(&quot;&amp;&quot;)&lt;/script&gt;") >= 15


def test_missing_pieces(tmp_path: Path, manifest: dict[str, Any]) -> None:
    manifest.update(stages=[], files=[], warnings=[])
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    page = render_page(load_run(tmp_path))
    assert Page(page).headings(page) == ["Recipe"]


def test_the_page_of_a_run_is_the_same_each_time(toy_run: Path) -> None:
    first = write_report(toy_run).read_bytes()
    assert write_report(toy_run).read_bytes() == first


def test_unfinished_run(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"expected a manifest\.json, found none"):
        write_report(tmp_path)
    assert list(tmp_path.iterdir()) == []
