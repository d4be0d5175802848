"""Dolma's configurations as recipes: the same keys, the same defaults, the same places."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from dolma_pipeline.cli.command import notes
from dolma_pipeline.cli.drop_in import dedupe, tag, tokens
from dolma_pipeline.cli.main import main, make_parser
from dolma_pipeline.config.load import decode
from dolma_pipeline.config.recipe import (
    Source,
    Stage,
    Tag,
)
from dolma_pipeline.formats.columns import AS_DOLMA, Columns
from tests.cli.drop_in_recipes import FORMS, TOKENS, message, recipes


def test_tag() -> None:
    config = {
        "documents": ["/d/web/documents/*.gz", "/d/books/documents/en/*.gz", "/d/web/documents/b/*"],
        "taggers": ["gopher_v1", "c4_v2"],
        "experiment": "base",
        "tagger_modules": ["mine"],
    }
    (recipe,) = recipes(tag, config)
    assert recipe.layout == "beside"
    assert recipe.sources == {
        "web": Source(documents=["/d/web/documents/*.gz", "/d/web/documents/b/*"], columns=AS_DOLMA),
        "books": Source(documents="/d/books/documents/en/*.gz", columns=AS_DOLMA),
    }
    assert recipe.stages == [
        Stage(tag=Tag(taggers=["gopher_v1", "c4_v2"], experiment="base", tagger_modules=["mine"], format="jsonl.gz"))
    ]
    assert re.fullmatch(r"/d/web/\.dolma/tag-base-[0-9a-f]{8}", recipe.work_dir)


def test_tag_destinations() -> None:
    config = {
        "documents": ["a/*.gz", "b/*.gz"],
        "destination": ["out/a", "out/b"],
        "taggers": ["c4_v2"],
        "work_dir": {"output": "w/"},
    }
    (recipe,) = recipes(tag, config)
    assert recipe.sources == {
        "a": Source(documents="a/*.gz", columns=AS_DOLMA, destination="out/a"),
        "b": Source(documents="b/*.gz", columns=AS_DOLMA, destination="out/b"),
    }
    assert re.fullmatch(r"w/tag-c4_v2-[0-9a-f]{8}", recipe.work_dir)


def test_tag_mistakes() -> None:
    assert message(tag, {"taggers": ["c4_v2"]}) == (
        "$.documents: expected globs of document files, found none; give it in the file or as `--documents`"
    )
    assert message(tag, {"documents": ["d/documents/*"], "taggers": ["c4_v2"], "destination": ["a", "b"]}) == (
        "$.destination: expected a directory for each of the 1 patterns in `documents`, found 2"
    )
    assert message(tag, {"documents": ["a/documents/*", "b/*.gz"], "taggers": ["c4_v2"]}) == (
        "$.documents[1]: expected a directory `documents` in the path, found `b/*.gz`: attribute files go beside it, "
        "as in `data/documents/*.jsonl.gz`"
    )


def test_every_command_takes_columns() -> None:
    columns = {"id": None, "text": "body"}
    wanted = Columns(id=None, text="body")
    marked = {"documents": {"attribute_name": "d", "key": "$.text"}}
    configs: list[tuple[Any, dict[str, Any]]] = [
        (tag, {"documents": ["d/documents/*"], "taggers": ["gopher_v2"]}),
        (dedupe, {"documents": ["d/documents/*"], "dedupe": marked, "bloom_filter": {"file": "f.bin"}}),
        (tokens, TOKENS),
    ]
    for command, given in configs:
        (recipe,) = recipes(command, given | {"columns": columns})
        assert [s.columns for s in recipe.sources.values()] == [wanted]


def test_settings_without_effect_are_named_when_they_are_changed() -> None:
    config = decode(tokens.TokensConfig, TOKENS | {"ring_size": 9, "batch_size": 10_000, "tokenizer": {"refresh": 3}})
    assert notes(config, tokens.NO_EFFECT) == [
        "`ring_size` has no effect: documents of all files are shuffled together, by a hash of the seed and their ids",
        "`tokenizer.refresh` has no effect: the tokenizer is loaded once in each process",
    ]


@pytest.mark.parametrize("module", FORMS)
def test_settings_without_effect_exist(module: Any) -> None:
    """A key in NO_EFFECT that no option has would never be noted."""

    name = module.__name__.rpartition(".")[2]
    options = make_parser(name)[1][name].option_strings()
    assert [key for key in module.NO_EFFECT if f"--{key}" not in options] == []


def test_dryrun_prints_the_configuration_and_stops(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("c.yaml").write_text("documents: [d/documents/*]\ntaggers: [gopher_v1]\nprocesses: ${oc.env:DOLMA_TEST_N,4}\n")
    argv = ["-c", "c.yaml", "tag", "--experiment", "base", "--profile.enable", "--dryrun"]
    assert main(argv) == 0
    out, err = capsys.readouterr()
    assert err == (
        "dolma: note: `profile.enable` has no effect: timings.json in the ledger directory has the time of every "
        "phase\n"
    )

    printed = yaml.safe_load(out)
    assert printed["experiment"] == "base"
    assert printed["processes"] == 4
    assert printed["documents"] == ["d/documents/*"]
    assert msgspec.convert(printed, tag.TagConfig).dryrun is True
    assert [p.name for p in tmp_path.iterdir()] == ["c.yaml"]
