"""From files and overrides to a Recipe: the values, and the text of every mistake."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import pytest
from msgspec import Struct

from dolma_pipeline.config.load import decode, defaults, load_recipe, merge, override
from dolma_pipeline.config.recipe import Dedupe, DocumentKey, Mix, Recipe, Source, Stage, Tag
from dolma_pipeline.config.yaml_file import parse
from dolma_pipeline.errors import ConfigError

RECIPE = """\
name: test
work_dir: runs/test
sources:
  one: {documents: one/documents/*.jsonl}
  two: {documents: two/documents/*.jsonl}
stages:
  - tag:
      experiment: base
      taggers: [gopher_v2, c4_v2]
  - dedupe: {name: url, documents: {key: metadata.url}}
  - mix:
      drop: {short: gopher_v2.word_count < 50}
      budget: {tokens: 20_000_000, weights: {one: 0.7, two: 3e-1}}
"""


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    file = Path("recipe.yaml")
    file.write_text(RECIPE)
    return file


def changed(path: Path, old: str, new: str) -> str:
    """The message of the recipe with `old` replaced by `new`."""
    assert old in RECIPE
    path.write_text(RECIPE.replace(old, new))
    with pytest.raises(ConfigError) as error:
        load_recipe(str(path))
    return str(error.value)


def test_load_recipe(path: Path) -> None:
    recipe = load_recipe(str(path))
    assert recipe.sources["one"] == Source(documents="one/documents/*.jsonl")
    assert recipe.stages[0] == Stage(tag=Tag(experiment="base", taggers=["gopher_v2", "c4_v2"]))
    assert recipe.stages[1] == Stage(dedupe=Dedupe(name="url", documents=DocumentKey(key="metadata.url")))
    assert isinstance(recipe.stages[2].mix, Mix)
    assert recipe.stages[2].mix.budget is not None
    assert recipe.stages[2].mix.budget.tokens == 20_000_000
    assert recipe.stages[2].mix.budget.weights == {"one": 0.7, "two": 0.3}
    assert recipe.seed == 17


def test_json_is_the_same(path: Path) -> None:
    from json import dumps

    Path("recipe.json").write_text(dumps(parse(RECIPE, "r.yaml").data))
    assert load_recipe("recipe.json") == load_recipe("recipe.yaml")


def test_overrides(path: Path) -> None:
    recipe = load_recipe(
        "recipe.yaml",
        ["seed=3", "stages[0].tag.taggers=[pii_regex_v2]", "stages[2].mix.min_text_length=5", "sources.one.priority=2",
         "stages[0].tag.experiment=null", "work_dir=runs/${name}"],
    )  # fmt: skip
    assert recipe.seed == 3
    assert recipe.stages[0] == Stage(tag=Tag(taggers=["pii_regex_v2"]))
    assert isinstance(recipe.stages[2].mix, Mix)
    assert recipe.stages[2].mix.min_text_length == 5
    assert recipe.sources["one"].priority == 2
    assert recipe.work_dir == "runs/test"


def test_unknown_key(path: Path) -> None:
    assert changed(path, "taggers:", "tagers:") == (
        "recipe.yaml:9: $.stages[0].tag.tagers: unknown key; did you mean `taggers`? "
        "(allowed: `taggers`, `experiment`, `tagger_modules`, `format`, `on_error`, `keep`)\n"
        "recipe.yaml:7: $.stages[0].tag: expected the key `taggers` (names of taggers, and taggers made from files; "
        "all run in one pass), found none"
    )


def test_every_mistake_is_found_at_once(path: Path) -> None:
    path.write_text(
        RECIPE.replace("name: test\n", "nam: test\n")
        .replace("key: metadata.url", "keys: metadata.url")
        .replace("taggers: [gopher_v2, c4_v2]", "taggers: [gopher_v2, 7]")
        .replace("experiment: base", "experiment: base\n      format: csv")
        .replace("one: 0.7", "one: much")
    )
    with pytest.raises(ConfigError) as error:
        load_recipe("recipe.yaml")
    assert str(error.value).splitlines() == [
        "recipe.yaml:1: $.nam: unknown key; did you mean `name`? (allowed: `name`, `work_dir`, `sources`, `stages`, "
        "`stage_modules`, `scratch_dir`, `seed`, `layout`, `max_bad_fraction`, `piece_bytes`)",
        "recipe.yaml:9: $.stages[0].tag.format: expected one of `parquet`, `jsonl.zst`, `jsonl.gz`, `jsonl`, "
        'found "csv"',
        "recipe.yaml:10: $.stages[0].tag.taggers[1]: expected a string or a mapping (keys: `name`, `url_list`, `mode`, "
        "`fasttext`, `by`, `labels`, `threshold`, `lower`), found 7",
        "recipe.yaml:11: $.stages[1].dedupe.documents.keys: unknown key; did you mean `key`? "
        "(allowed: `key`, `attribute`)",
        'recipe.yaml:14: $.stages[2].mix.budget.weights.one: expected `float`, found "much"',
        "recipe.yaml: $: expected the key `name` (the name of the recipe, to which its work directory belongs), "
        "found none",
    ]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("[gopher_v2, c4_v2]", "[]", "recipe.yaml:9: $.stages[0].tag.taggers: expected at least 1, found 0"),
        ("[gopher_v2, c4_v2]", "gopher_v2", 'recipe.yaml:9: $.stages[0].tag.taggers: expected `list`, found '
         '"gopher_v2"'),
        ("tokens: 20_000_000", "tokens: 0", "recipe.yaml:13: $.stages[2].mix.budget.tokens: expected `int` >= "
         "1, found 0"),
        ("tokens: 20_000_000", "tokens: '5'",
         'recipe.yaml:13: $.stages[2].mix.budget.tokens: expected `int | null`, found "5"'),
        ("tokens: 20_000_000", "tokens: yes",
         "recipe.yaml:13: $.stages[2].mix.budget.tokens: expected `int | null`, found true"),
        ("{key: metadata.url}", "[url]",
         "recipe.yaml:10: $.stages[1].dedupe.documents: expected a mapping (keys: `key`, `attribute`), found a list"),
        ("name: url", "name: {}", "recipe.yaml:10: $.stages[1].dedupe.name: expected `str`, found a mapping"),
        ("name: test", "name: ''", 'recipe.yaml:1: $.name: expected `str` of length >= 1, found ""'),
        ("name: test", "name: ${oc.env:DOLMA_TEST_UNSET}",
         "recipe.yaml:1: $.name: expected the environment variable `DOLMA_TEST_UNSET`, found it unset; "
         "export it, or give a default: `${oc.env:DOLMA_TEST_UNSET,default}`"),
    ],
)  # fmt: skip
def test_messages(path: Path, old: str, new: str, message: str) -> None:
    assert changed(path, old, new) == message


def test_a_file_that_is_no_mapping(path: Path) -> None:
    path.write_text("- a\n")
    with pytest.raises(ConfigError, match=r"^recipe.yaml: \$: expected a mapping \(keys: `name`, .*\), found a list$"):
        load_recipe("recipe.yaml")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("seed=x", '--set seed: $.seed: expected `int`, found "x"'),
        ("seed", "--set seed: expected `path=value`, as in `--set stages[0].tag.experiment=base`"),
        ("seed=[1", "--set seed=:1:3: not YAML: while parsing a flow sequence, expected ',' or ']', but got "
         "'<stream end>'"),
        ("=3", "--set =3: expected `path=value`, as in `--set stages[0].tag.experiment=base`"),
        ("stages[9].tag.experiment=a", "--set stages[9].tag.experiment: expected an index below 3 at $.stages, "
         "found 9"),
        ("sources[0]=a", "--set sources[0]: expected a list at $.sources, found a mapping"),
        ("name.x=a", '--set name.x: expected a mapping at $.name, found "test"'),
        ("stages[0].tag.tager.x=1",
         "--set stages[0].tag.tager.x: $.stages[0].tag.tager: unknown key; did you mean `taggers`? "
         "(allowed: `taggers`, `experiment`, `tagger_modules`, `format`, `on_error`, `keep`)"),
        ("stages[0].tag.taggers=[a, 1]", "--set stages[0].tag.taggers: $.stages[0].tag.taggers[1]: expected "
         "a string or a mapping (keys: `name`, `url_list`, `mode`, `fasttext`, `by`, `labels`, `threshold`, `lower`), "
         "found 1"),
    ],
)  # fmt: skip
def test_override_messages(path: Path, given: str, message: str) -> None:
    with pytest.raises(ConfigError) as error:
        load_recipe("recipe.yaml", [given])
    assert str(error.value) == message


def test_override_copies() -> None:
    data = {"a": [{"b": 1}]}
    assert override(data, ["a[0].c=2"])[0] == {"a": [{"b": 1, "c": 2}]}
    assert data == {"a": [{"b": 1}]}


def test_a_message_of_validation_has_its_line(path: Path) -> None:
    assert changed(path, "two: 3e-1", "tow: 3e-1") == (
        "recipe.yaml:13: $.stages[2].mix.budget.weights.tow: unknown source `tow`; did you mean `two`? "
        "(sources: `one`, `two`)\n"
        "recipe.yaml:13: $.stages[2].mix.budget.weights: expected a weight for every source, found none for `two`; "
        "0 leaves a source out"
    )


class Inner(Struct, frozen=True, forbid_unknown_fields=True):
    fast: bool = True
    id: int | None = None


class Outer(Struct, frozen=True, forbid_unknown_fields=True):
    name: str | None = None
    count: int = 1
    rate: float = 0.5
    inner: Inner = Inner()
    maybe: Inner | None = None
    names: list[str] = []
    kind: Literal["a", "b"] = "a"


@pytest.mark.parametrize(
    ("data", "value"),
    [
        ({"count": "5", "rate": "1e-3", "name": 7}, Outer(count=5, rate=1e-3, name="7")),
        ({"names": ["a", 1, 2.5], "inner": {"fast": "no", "id": "3"}},
         Outer(names=["a", "1", "2.5"], inner=Inner(False, 3))),
        ({"count": "6_000_000", "rate": "1_000.5", "inner": {"id": "-1_0"}},
         Outer(count=6_000_000, rate=1000.5, inner=Inner(id=-10))),
        ({"name": "null", "maybe": None}, Outer(name="null")),
        ({"name": "12"}, Outer(name="12")),
    ],
)  # fmt: skip
def test_lax_decoding_reads_text_as_what_is_wanted(data: dict[str, Any], value: Outer) -> None:
    assert decode(Outer, data, lax=True) == value
    if data != {"name": "12"} and data.get("name") != "null":
        with pytest.raises(ConfigError):
            decode(Outer, data)


def test_lax_decoding_has_limits() -> None:
    with pytest.raises(ConfigError) as error:
        decode(Outer, {"count": "many", "inner": {"fast": "maybe"}, "kind": "c", "name": True}, lax=True)
    assert str(error.value).splitlines() == [
        '$.count: expected `int`, found "many"',
        '$.inner.fast: expected `bool`, found "maybe"',
        '$.kind: expected one of `a`, `b`, found "c"',
        "$.name: expected `str | null`, found true",
    ]


def test_what_an_interpolation_made_is_read_as_what_is_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOLMA_TEST_N", "12")
    found = decode(Outer, {"count": "${oc.env:DOLMA_TEST_N}", "name": "${oc.env:DOLMA_TEST_N}", "rate": "${.count}"})
    assert found == Outer(count=12, name="12", rate=12.0)
    assert type(found.name) is str


def test_references_find_defaults() -> None:
    assert decode(Outer, {"name": "n${count}", "inner": {"id": "${count}"}}) == Outer(name="n1", inner=Inner(id=1))
    assert defaults(Recipe)["seed"] == 17


def test_merge() -> None:
    below = {"a": {"b": 1, "c": [1, 2]}, "d": None}
    assert merge(below, {"a": {"c": [3]}, "d": {"e": 1}}) == {"a": {"b": 1, "c": [3]}, "d": {"e": 1}}
    assert below == {"a": {"b": 1, "c": [1, 2]}, "d": None}
