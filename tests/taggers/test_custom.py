"""Taggers made of files, in recipes and from Python."""

from __future__ import annotations

from pathlib import Path

import pytest

from dolma_pipeline.config.load import load_recipe
from dolma_pipeline.config.recipe import CustomTagger, Tag
from dolma_pipeline.engine.run import RunOptions, run_recipe
from dolma_pipeline.errors import ConfigError
from dolma_pipeline.taggers.registry import load_taggers

RECIPE = """
name: custom
work_dir: w
sources: {a: {documents: documents/*.jsonl}}
stages:
  - tag:
      experiment: base
      taggers:
        - char_length_v1
        - {name: blocked, url_list: list.txt, mode: domain}
  - mix: {drop: {listed: blocked.url}}
"""


def test_in_a_recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("recipe.yaml").write_text(RECIPE)
    Path("list.txt").write_text("bad.example\n")
    Path("documents").mkdir()
    Path("documents/a.jsonl").write_text(
        '{"id":"a","text":"x","metadata":{"url":"http://www.bad.example"}}\n{"id":"b","text":"y"}\n'
    )
    recipe = load_recipe("recipe.yaml")
    tag = recipe.stages[0].tag
    assert isinstance(tag, Tag)
    assert tag.names == ["char_length_v1", "blocked"]
    assert tag.taggers[1] == CustomTagger(name="blocked", url_list="list.txt")
    manifest = run_recipe(recipe, RunOptions())
    assert manifest.stages[1].counts["a"].dropped == {"listed": 1}
    assert load_taggers([tag.taggers[1]]).files() == ("list.txt",)


@pytest.mark.parametrize(
    ("custom", "message"),
    [
        ("{name: m}", "expected exactly one of `url_list` and `fasttext`, found none"),
        ("{name: m, url_list: a, fasttext: b}", "expected exactly one of `url_list` and `fasttext`, found both"),
        ("{name: m, url_list: a, by: sentence}", "expected no `by` beside `url_list`: it belongs to `fasttext`"),
        ("{name: m, fasttext: a, mode: url}", "expected no `mode` beside `fasttext`: it belongs to `url_list`"),
        ("cld3_en_doc_v2", "tagger `cld3_en_doc_v2` is one of Dolma's that there is not: cld3 has no packages for"),
    ],
)
def test_what_cannot_be_meant(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, custom: str, message: str) -> None:
    monkeypatch.chdir(tmp_path)
    Path("recipe.yaml").write_text(RECIPE.replace("{name: blocked, url_list: list.txt, mode: domain}", custom))
    with pytest.raises(ConfigError) as caught:
        load_recipe("recipe.yaml")
    assert str(caught.value).startswith(f"recipe.yaml:10: $.stages[0].tag.taggers[1]: {message}")


def test_files_that_are_not_there_and_taken_names(tmp_path: Path) -> None:
    path = str(tmp_path / "none")
    with pytest.raises(
        ConfigError, match=r"^taggers\[0\]: tagger `m`: expected a list at `.*none`, found no file there$"
    ):
        load_taggers([CustomTagger(name="m", url_list=path)])
    with pytest.raises(
        ConfigError, match=r"^taggers\[0\]: expected the fastText model at `.*none`, found no file there$"
    ):
        load_taggers([CustomTagger(name="m", fasttext=path)])
    with pytest.raises(ConfigError, match="tagger `c4_v2`: the name is that of a built-in tagger"):
        load_taggers([CustomTagger(name="c4_v2", url_list=path)])


def test_names_of_dolma_that_there_are_not() -> None:
    with pytest.raises(ConfigError) as caught:
        load_taggers(["langdetect_doc_v1"])
    assert str(caught.value) == (
        "taggers[0]: tagger `langdetect_doc_v1` is one of Dolma's that there is not: langdetect has not been "
        "maintained since 2021 and reads half a megabyte a second; use `ft_lang_id_doc_v1`"
    )
