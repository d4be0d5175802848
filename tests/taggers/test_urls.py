"""Taggers that look URLs up: every form of list, where the files are sought, and what Dolma 1.2.1 gets wrong."""

from __future__ import annotations

import gzip
import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from dolma_pipeline.config.recipe import CustomTagger
from dolma_pipeline.errors import ConfigError
from dolma_pipeline.models import find_list
from dolma_pipeline.taggers.registry import built_in, load_taggers
from dolma_pipeline.taggers.url_lists import LISTS, WIKIDATA
from dolma_pipeline.taggers.urls import is_clean
from tests.taggers.toys import documents

LIST = "# hosts\n127.0.0.1 localhost\n0.0.0.0 bad.example # ads\nweb.de\n||worse.example^\nhttp://page.example/x\n"


def on_list(tagger: str | CustomTagger, urls: Sequence[str | None]) -> list[str]:
    """Those of `urls` that `tagger` finds."""
    raw = [json.dumps({"id": "x", "metadata": {"url": url}}).encode() for url in urls]
    taggers = load_taggers([tagger])
    assert (taggers.needs_raw, [a for _, a in taggers.attribute_names()]) == (True, ["url"])
    ((_, column),) = taggers.tag(documents(["text"] * len(urls), raw)).items()
    assert set(column.to_pylist()) <= {1.0, None}
    return [str(url) for url, hit in zip(urls, column.to_pylist(), strict=True) if hit]


def test_what_dolma_gets_wrong_of_domains(tmp_path: Path) -> None:
    """`lstrip("www.")`, addresses of hosts files on the list, no domains below a listed one."""
    (tmp_path / "list.txt").write_text(LIST)
    urls = [
        "http://web.de/",
        "https://www.web.de/x",
        "http://eb.de/",
        "http://0.0.0.0/",
        "http://a.bad.example/?q",
        None,
    ]
    found = on_list(CustomTagger(name="mine", url_list=str(tmp_path / "list.txt")), urls)
    assert found == ["http://web.de/", "https://www.web.de/x", "http://a.bad.example/?q"]


def test_whole_addresses_and_rules(tmp_path: Path) -> None:
    path = tmp_path / "list.txt.gz"
    path.write_bytes(gzip.compress(b"http://page.example/x?y\n||b.example^\n@@||ok.b.example^\n||c.example/ads/*\n"))
    urls = ["page.example/x", "page.example/x/y", "b.example", "ok.b.example", "c.example/ads/1", "c.example"]
    assert on_list(CustomTagger(name="u", url_list=[str(path)], mode="url"), urls)[:1] == ["page.example/x"]
    rules = on_list(CustomTagger(name="r", url_list=str(path), mode="adblock"), urls)
    assert rules == ["b.example", "c.example/ads/1"]


def test_lists_of_dolma_are_found_by_their_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOLMA_LISTS", str(tmp_path))
    for mode, files, _ in LISTS.values():
        for name in files:
            path = tmp_path / name.removesuffix(".gz")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("bad.example\n" if mode != "adblock" else "||bad.example^\n")
    for name in LISTS:
        assert on_list(name, ["http://bad.example/", "http://good.example/"]) == ["http://bad.example/"], name
        assert built_in()[name].needs.startswith("metadata.url, list ")


def test_sites_of_wikidata(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Dolma never applies the filter of the cleaned list, and lists `co.uk` for `https://www.news.example.co.uk`."""
    monkeypatch.setenv("DOLMA_MODELS", str(tmp_path))
    sites = [
        {"url": "https://www.news.example.co.uk/", "description": "daily newspaper"},
        {"url": "http://fun.example", "description": "satirical newspaper"},
        {"url": "http://bare.example", "description": None},
        {"url": None},
    ]
    for name in WIKIDATA:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(json.dumps(sites))
    urls = ["news.example.co.uk/a", "other.co.uk", "fun.example", "bare.example"]
    assert on_list("allowlist_wikidata_v1", urls) == ["news.example.co.uk/a", "fun.example", "bare.example"]
    assert on_list("allowlist_wikidata_cleaned_v1", urls) == ["news.example.co.uk/a"]
    assert not is_clean("http://a.xxx/sports", "sports magazine")
    (tmp_path / WIKIDATA[1]).write_text("{}")
    with pytest.raises(Exception, match=r"response\.json: expected a JSON list of sites with `url` and `description`"):
        load_taggers(["allowlist_wikidata_v1"])


def test_a_list_that_is_not_there_says_which_and_where_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOLMA_LISTS", str(tmp_path))
    monkeypatch.delenv("DOLMA_MODELS", raising=False)
    with pytest.raises(ConfigError) as caught:
        load_taggers(["blocklist_hosts_porn_v1"], where="$.stages[0].tag")
    name = "blocklist_hosts/blocklist_hosts-20240208/porn.txt"
    assert str(caught.value) == (
        f"$.stages[0].tag.taggers[0]: no list `{name}`: expected it in the directory that $DOLMA_LISTS ({tmp_path}) or "
        f'$DOLMA_MODELS (not set) names; `wget -x -nH -P "$DOLMA_LISTS" https://dolma-artifacts.org/{name}` gets it, '
        "or give a list of yours: `taggers: [{name: mine, url_list: FILE}]`"
    )
    (tmp_path / "a.txt.zst").write_bytes(b"")
    assert find_list("a.txt", {"DOLMA_LISTS": "/nowhere", "DOLMA_MODELS": str(tmp_path)}) == tmp_path / "a.txt.zst"


def test_a_list_of_nothing(tmp_path: Path) -> None:
    path = tmp_path / "list.txt"
    path.write_text("# none\n/banner/*\n")
    with pytest.raises(
        ConfigError, match=r"^taggers\[0\]: tagger `m`: expected entries of a list of mode `domain` in "
    ):
        load_taggers([CustomTagger(name="m", url_list=str(path))])
