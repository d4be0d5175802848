"""`dolma stat`: Dolma's keys and files, and what goes past them."""

from __future__ import annotations

import gzip
import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from dolma_pipeline.cli.drop_in.stat import StatConfig, to_recipe
from dolma_pipeline.cli.main import main
from dolma_pipeline.cli.sources import root_of, spread
from dolma_pipeline.config.load import decode
from dolma_pipeline.config.recipe import Source, Stage, Stat, Sweep
from dolma_pipeline.errors import ConfigError
from tests.corpus import make_corpus
from tests.stat.test_summaries import EXPECTED, ROWS, write_lines


def test_dolmas_keys() -> None:
    config = {
        "attributes": ["/d/attributes/base/*.gz"],
        "report": "out",
        "bins": 50,
        "processes": 2,
        "seed": 4,
        "total": True,
        "regex": "x",
    }
    recipe = to_recipe(decode(StatConfig, config, lax=True))
    assert recipe.sources == {
        "attributes": Source(documents=["/d/attributes/base/*.gz"], document_dir="attributes"),
    }
    assert recipe.stages == [Stage(stat=Stat(inputs="attributes", bins=50, regex="x", destination="out"))]
    assert (recipe.seed, recipe.layout) == (4, "beside")
    assert re.fullmatch(r"\./\.dolma/stat-out-[0-9a-f]{8}", recipe.work_dir)


def test_documents() -> None:
    config = {
        "documents": ["/d/web/documents/*.gz", "/d/books/documents/*.gz"],
        "attributes": ["base"],
        "expression": ["a.b < {t}"],
        "sweep": ["1", "2.5"],
        "drop": {"x": "a.b > 9"},
        "examples": 1,
    }
    recipe = to_recipe(decode(StatConfig, config, lax=True), "/tmp/w")
    assert recipe.sources == {
        "web": Source(documents="/d/web/documents/*.gz", attributes=["base"]),
        "books": Source(documents="/d/books/documents/*.gz", attributes=["base"]),
    }
    sweeps = [Sweep(expression="a.b < {t}", at=[1.0, 2.5])]
    assert recipe.stages == [Stage(stat=Stat(histograms=False, sweeps=sweeps, drop={"x": "a.b > 9"}, examples=1))]
    assert recipe.work_dir == "/tmp/w"


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({}, "$.attributes: expected globs of attribute files, found none; give them in the file or as `--attributes`, "
             "or `--documents` and the names of experiments, or a `--recipe`"),
        ({"attributes": ["a/*"], "drop": {"a": "b.c"}},
             "$.documents: expected globs of document files to try rules on, found none; give them as `--documents`, "
             "and as `--attributes` the names of experiments beside them"),
        ({"documents": ["d/documents/*"], "attributes": ["d/attributes/*"]},
             "$.attributes[0]: expected the name of an experiment beside the documents, such as `base`, found "
             "`d/attributes/*`; globs of attribute files go without `documents`"),
        ({"documents": ["d/documents/*"], "expression": ["a.b < {t}"]},
             "$.sweep: expected it beside `expression`, as in `--expression 'x.y < {t}' --sweep 1 2 5`"),
        ({"mix": "x"}, "$.mix: expected `recipe` beside it, found none; it names a mix of that recipe"),
    ],
)  # fmt: skip
def test_mistakes(config: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as error:
        to_recipe(decode(StatConfig, config, lax=True))
    assert str(error.value) == message


def test_a_run_is_dolmas(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    directory = tmp_path / "attributes" / "e"
    directory.mkdir(parents=True)
    write_lines(directory / "a.jsonl")
    lines = (directory / "a.jsonl").read_text().splitlines(keepends=True)
    # The last row in a file of its own: where files are cut changes nothing.
    (directory / "a.jsonl").write_text("".join(lines[:3]))
    (directory / "b.jsonl.gz").write_bytes(gzip.compress(lines[3].encode()))
    report = tmp_path / "report"
    command = ["stat", "--attributes", str(directory / "*"), "--report", str(report), "--total"]
    assert main(command) == 0
    written = gzip.decompress((report / "summaries.jsonl.gz").read_bytes())
    found = [json.loads(line) for line in written.splitlines()]
    assert [(f["name"], f["counts"], f["bins"], f["total"], f["sum"]) for f in found] == [
        (s.name, s.counts, s.bins, s.total, s.sum) for s in EXPECTED
    ]
    assert list(found[0]) == ["name", "counts", "bins", "total", "sum"]
    shown = capsys.readouterr().out
    table = [line.split() for line in shown.partition("dup/length\n")[2].splitlines()[:6]]
    assert table == [
        ["value", "share", "count"],
        ["[0,", "4)", "0.2500", "1"],
        ["[4,", "5)", "0.2500", "1"],
        ["[5,", "8)", "0.2500", "1"],
        ["[8,", "8]", "0.2500", "1"],
        ["17", "←", "sum/total", "→", "4"],
    ]
    assert main(command) == 0
    assert "up to date" in capsys.readouterr().err
    assert len(ROWS) == 4


def test_without_a_report_nothing_is_left_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "attributes").mkdir()
    write_lines(tmp_path / "attributes" / "a.jsonl")
    monkeypatch.chdir(tmp_path)
    assert main(["stat", "--attributes", "attributes/*"]) == 0
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["a.jsonl", "attributes"]


RECIPE = {
    "name": "web",
    "stages": [
        {"tag": {"experiment": "base", "taggers": ["gopher_v2"]}},
        {"dedupe": {"name": "exact", "documents": {"key": "text"}, "partitions": 2}},
        {"mix": {"drop": {"short": "gopher_v2.word_count < 40", "copy": "exact.duplicate"}}},
    ],
}


def test_rules_of_a_recipe_beside_its_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    corpus = make_corpus(tmp_path / "corpus", shards=1)
    sources = {s: {"documents": str(corpus / s / "documents" / "sub" / "*")} for s in ("a", "b")}
    work_dir = tmp_path / "run"
    path = tmp_path / "web.yaml"
    path.write_text(yaml.safe_dump({**RECIPE, "work_dir": str(work_dir), "sources": sources}))
    assert main(["run", str(path), "--quiet", "--no-report"]) == 0
    manifest = (work_dir / "manifest.json").read_bytes()
    capsys.readouterr()
    sweep = ["--expression", "gopher_v2.word_count < {t}", "--sweep", "40"]
    assert main(["stat", "--recipe", str(path), *sweep]) == 0
    shown = capsys.readouterr()
    assert "01-tag+: read 2 shards once for 01-tag, 02-exact-keys (4 tasks, 4 up to date)" in shown.err
    assert (work_dir / "manifest.json").read_bytes() == manifest
    dropped = [c["dropped"] for c in json.loads(manifest)["stages"][-1]["counts"].values()]
    first = {name: sum(d.get(name, 0) for d in dropped) for name in ("short", "copy")}
    whatif = json.loads((work_dir / "stat" / "whatif.json").read_bytes())
    for rule in whatif["rules"]:
        assert sum(a["documents"] for a in rule["first"].values()) == first[rule["name"]]
    assert re.search(rf"all rules +{sum(first.values())} ", shown.out)


def test_beside_rules_only_the_distributions_asked_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    corpus = make_corpus(tmp_path, shards=1)
    documents = ["--documents", str(corpus / "a" / "documents" / "**" / "*.gz")]
    taggers = ["char_length_v1", "whitespace_tokenizer_v1"]
    assert main(["tag", *documents, "--experiment", "e", "--taggers", *taggers]) == 0
    rule = ["--expression", "char_length_v1.length < {t}", "--sweep", "100"]
    titles = []
    for options in ([], rule, [*rule, "--regex", "char"]):
        capsys.readouterr()
        assert main(["stat", *documents, "--attributes", "e", *options]) == 0
        titles.append(re.findall(r"^\S+/score$|^\S+ < \{t\}$", capsys.readouterr().out, re.M))
    scores = ["e__char_length_v1__length/score", "e__whitespace_tokenizer_v1__length/score"]
    assert titles == [scores, ["char_length_v1.length < {t}"], ["char_length_v1.length < {t}", scores[0]]]


def test_which_mix_of_a_recipe(tmp_path: Path) -> None:
    mixes = [{"mix": {"name": n, "drop": {"short": "length < 4"}}} for n in ("one", "two")]
    path = tmp_path / "r.yaml"
    path.write_text(
        yaml.safe_dump({"name": "r", "work_dir": "w", "sources": {"a": {"documents": "d/*"}}, "stages": mixes})
    )
    with pytest.raises(ConfigError) as error:
        to_recipe(StatConfig(recipe=str(path)))
    assert str(error.value) == (
        f"$.mix: expected the name of one of the mixes of `{path}`, found none (mixes: `one`, `two`)"
    )
    with pytest.raises(ConfigError, match=r"^\$\.mix: unknown mix `too`; did you mean `two`\?"):
        to_recipe(StatConfig(recipe=str(path), mix="too"))
    assert len(to_recipe(StatConfig(recipe=str(path), mix="two")).stages) == 2


def test_a_glob_over_data_sets_is_a_source_each(tmp_path: Path) -> None:
    for name in ("b", "a", "none"):
        (tmp_path / name / "documents").mkdir(parents=True)
    for name in ("b", "a"):
        (tmp_path / name / "documents" / "x.jsonl").touch()
    pattern = f"{tmp_path}/*/documents/*.jsonl"
    assert spread([pattern, "c/documents/*"]) == [
        f"{tmp_path}/a/documents/*.jsonl",
        f"{tmp_path}/b/documents/*.jsonl",
        "c/documents/*",
    ]
    assert spread(["no/*/documents/*"]) == ["no/*/documents/*"]


def test_the_ledger_is_in_a_directory_that_is_named() -> None:
    assert root_of(["d/*/documents/*.gz"]) == "d"
    assert root_of(["d/web/documents/*.gz"]) == "d/web"
