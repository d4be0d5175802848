"""YAML without its surprises, and where each key stands."""

from __future__ import annotations

import importlib.util
import math
from pathlib import Path
from typing import Any

import pytest

from dolma_pipeline.config.yaml_file import json_path, parse, parse_value, read, repeated_values
from dolma_pipeline.errors import ConfigError
from tests import needs


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("20_000_000", 20_000_000),
        ("-7", -7),
        ("0x1F", 31),
        ("0o17", 15),
        ("1e-6", 1e-6),
        ("1E6", 1e6),
        (".5", 0.5),
        ("1.", 1.0),
        ("-2.5e+3", -2500.0),
        (".inf", math.inf),
        ("yes", True),
        ("off", False),
        ("~", None),
        # Not numbers, times or dates: strings.
        ("010", "010"),
        ("1:30", "1:30"),
        ("2024-01-01", "2024-01-01"),
        ("=", "="),
        ("1_2_3abc", "1_2_3abc"),
        ("e5", "e5"),
        (".", "."),
        ("'12'", "12"),
        ("!!str 12", "12"),
        ("", ""),
        ("[a, 1]", ["a", 1]),
    ],
)
def test_values(text: str, value: Any) -> None:
    found = parse_value(text)
    assert (found, type(found)) == (value, type(value))


def test_keys_are_strings() -> None:
    assert parse("no: 1\n5: 2\nnull: 3\n", "r.yaml").data == {"no": 1, "5": 2, "null": 3}


def test_merge_keys_and_aliases() -> None:
    text = "a: &a {p: 1, q: 2}\nb: &b {q: 3, r: 4}\nc: {<<: [*a, *b], p: 0}\nd: *a\n"
    data = parse(text, "r.yaml").data
    assert data["c"] == {"q": 2, "r": 4, "p": 0}
    assert data["d"] == {"p": 1, "q": 2}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\nb:\n  c: 1\n  d: 2\n  c: 3\n", "r.yaml:5: found the key `c` a second time (first in line 3); "
         "leave one"),
        ("a: [1,\n", "r.yaml:2:1: not YAML: while parsing a flow node, expected the node content, but found "
         "'<stream end>'"),
        ("a: !new x\n", "r.yaml:1: found the tag `!new`; tags have no meaning here"),
        ("a: &a [*a]\n", "r.yaml:1: found an alias that holds itself; leave it out"),
        ("? [1]\n: 2\n", "r.yaml:1: found a key that is a list or a mapping; keys are strings"),
        ("a: 1\n---\nb: 2\n", "r.yaml:2:1: not YAML: expected a single document in the stream, but found "
         "another document"),
        ("a: {<<: 3}\n", "r.yaml:1: found `<<` with something else than mappings to merge"),
        ("[" * 5000, "r.yaml: expected at most 100 levels of nesting, found more"),
        ("[" * 150 + "]" * 150, "r.yaml:1: found more than 100 levels of nesting"),
    ],
)  # fmt: skip
def test_errors(text: str, message: str) -> None:
    with pytest.raises(ConfigError) as error:
        parse(text, "r.yaml")
    assert str(error.value) == message


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"a": 1, "b": {"c": 1, "c": 2}}', "r.json: the key `c` stands twice in one object; leave one"),
        ('{"a": 1,\n', "r.json:2:1: not JSON: Expecting property name enclosed in double quotes"),
    ],
)
def test_json_errors(text: str, message: str) -> None:
    with pytest.raises(ConfigError) as error:
        parse(text, "r.json")
    assert str(error.value) == message


def test_json_may_be_indented_with_tabs() -> None:
    assert parse('{\n\t"a": "\\ud83d\\ude00"\n}', "r.json").data == {"a": "\N{GRINNING FACE}"}


def test_lines_of_paths() -> None:
    file = parse("a: 1\nb:\n  - c: 2\n\n  - d: 3\n    e: {f: 4}\n", "r.yaml")
    paths = ((), ("a",), ("b", 0, "c"), ("b", 1), ("b", 1, "e", "f"), ("b", 1, "none", "x"))
    assert [file.where(p) for p in paths] == [
        "r.yaml", "r.yaml:1", "r.yaml:3", "r.yaml:5", "r.yaml:6", "r.yaml:5",
    ]  # fmt: skip
    assert file.holds(("b", 1, "e"))
    assert not file.holds(("b", 2))
    assert not file.holds(("a", "x"))


def test_json_path() -> None:
    assert json_path(("stages", 1, "drop", "too short")) == '$.stages[1].drop["too short"]'


def test_read_names_what_is_there(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("a: 1\n")
    (tmp_path / "notes.txt").write_text("")
    assert read(str(tmp_path / "mine.yaml")).data == {"a": 1}
    missing = tmp_path / "main.yaml"
    with pytest.raises(ConfigError) as error:
        read(str(missing))
    assert str(error.value) == f"{missing}: expected a YAML or JSON file, found none; in {tmp_path} there are mine.yaml"
    (tmp_path / "latin.yaml").write_bytes(b"a: \xe9\n")
    with pytest.raises(ConfigError, match=r"latin.yaml: expected UTF-8 text, found other bytes at offset 3$"):
        read(str(tmp_path / "latin.yaml"))
    with pytest.raises(ConfigError, match=r"could not be read: Is a directory$"):
        read(str(tmp_path))


def _bomb(first: str, line: str) -> str:
    """Nine lines, each of which repeats the one before nine times."""
    return f"a0: {first}\n" + "".join(line.format(i=i, j=i - 1) for i in range(1, 9))


def test_aliases_that_repeat_too_much_are_refused() -> None:
    nine = ", ".join(["*a{j}"] * 9)
    lists = _bomb("&a0 [x, x, x, x, x, x, x, x, x]", "a{i}: &a{i} [" + nine + "]\n")
    mappings = _bomb("&a0 {x: 1}", "a{i}: &a{i} {{" + ", ".join(f"k{k}: *a{{j}}" for k in range(9)) + "}}\n")
    merges = "a: &a {" + ", ".join(f"k{i}: 1" for i in range(1000)) + "}\nb: {<<: [" + ", ".join(["*a"] * 101) + "]}"
    with pytest.raises(ConfigError) as error:
        parse(lists, "r.yaml")
    assert str(error.value) == (
        "r.yaml: expected aliases that repeat at most 100,000 values, found 490,329,036; write out what is wanted"
    )
    with pytest.raises(ConfigError, match=r"^r\.yaml: expected aliases that repeat at most 100,000 values, found "):
        parse(mappings, "r.yaml")
    with pytest.raises(ConfigError, match=r"^r\.yaml:2: found `<<` that merges more than 100,000 keys; "):
        parse(merges, "r.yaml")


def test_aliases_that_repeat_a_little_are_not() -> None:
    assert repeated_values([]) == repeated_values(1) == 0
    assert repeated_values([1, [2, 3]]) == 0
    shared = [2, 3]
    assert repeated_values([1, shared, {"a": shared}, shared]) == 6
    many = parse("a: &a [1, 2, 3]\nb: [" + ", ".join(["*a"] * 1000) + "]", "r.yaml").data
    assert many["b"] == [[1, 2, 3]] * 1000


@pytest.mark.parametrize("text", ["[" * 100_000, "- " * 100_000, "{a: " * 50_000, "a: " + "[" * 101 + "]" * 101])
def test_deep_nesting_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match=r"^r\.yaml(:1)?: (expected at most|found more than) 100 levels of nesting"):
        parse(text, "r.yaml")


def test_a_place_whose_packages_are_missing() -> None:
    if importlib.util.find_spec("azure") is not None:
        needs.skip("what reads azure:// is installed here", "make test VENV=NEW")
    with pytest.raises(ConfigError) as error:
        read("azure://container/recipe.yaml")
    assert str(error.value) == (
        "azure://container/recipe.yaml: could not be read: the packages for `azure://` are not installed; "
        "`pip install 'smart-open[azure]'` brings them, or copy the file here"
    )
