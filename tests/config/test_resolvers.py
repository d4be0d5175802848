"""OmegaConf's interpolations without OmegaConf."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from dolma_pipeline.config.resolvers import RESOLVERS, Text, resolve
from dolma_pipeline.errors import ConfigError


def message(data: Any) -> str:
    with pytest.raises(ConfigError) as error:
        resolve(data)
    return str(error.value)


def test_references_keep_their_type() -> None:
    data = {
        "n": 3,
        "list": [1, {"x": True}],
        "a": "${n}",
        "b": "${list}",
        "c": "${list[1].x}",
        "d": "${list.0}",
        "e": "n=${n}, x=${list[1].x}",
        "f": "${a}${n}",
        "g": {"h": "${.i}", "i": "${..n}", "j": {"k": "${..i}"}},
        "nothing": None,
        "o": "${nothing}",
        "p": "<${nothing}>",
    }
    found = resolve(data)
    assert found["a"] == 3
    assert found["b"] == [1, {"x": True}]
    assert found["c"] is True
    assert found["d"] == 1
    assert found["e"] == "n=3, x=true"
    assert found["f"] == "33"
    assert found["g"] == {"h": 3, "i": 3, "j": {"k": 3}}
    assert found["o"] is None
    assert found["p"] == "<null>"
    assert data["a"] == "${n}"


def test_a_reference_through_an_interpolation() -> None:
    data = {"base": {"size": {"x": 5}}, "mine": "${base.size}", "x": "${mine.x}"}
    assert resolve(data)["x"] == 5


def test_nesting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOLMA_TEST_KEY", "b")
    data = {"b": 7, "key": "b", "x": "${${key}}", "y": "${${oc.env:DOLMA_TEST_KEY}}", "z": "${oc.env:NOT_SET_,${b}}"}
    found = resolve(data)
    assert (found["x"], found["y"], found["z"]) == (7, 7, 7)


def test_defaults_are_below_the_data() -> None:
    assert resolve({"a": "${seed}"}, {"seed": 17}) == {"a": 17}
    assert resolve({"a": "${seed}", "seed": 1}, {"seed": 17})["a"] == 1
    assert resolve({"a": "${b.c}", "b": {"d": 1}}, {"b": {"c": 2}})["a"] == 2


def test_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOLMA_TEST_DIR", "/data, one")
    monkeypatch.delenv("DOLMA_TEST_NONE", raising=False)
    found = resolve(
        {
            "a": "${oc.env:DOLMA_TEST_DIR}/x",
            "b": "${oc.env:DOLMA_TEST_NONE, some where }",
            "c": "${oc.env:DOLMA_TEST_NONE,null}",
            "d": "${oc.env:DOLMA_TEST_NONE,'a, }b'}",
            "e": "${oc.decode:${oc.env:DOLMA_TEST_NONE,12}}",
            "f": r"${oc.env:DOLMA_TEST_NONE,a\,b}",
        }
    )
    assert found == {"a": "/data, one/x", "b": "some where", "c": None, "d": "a, }b", "e": 12, "f": "a,b"}
    assert isinstance(found["b"], Text)
    assert message({"s": [{"t": "${oc.env:DOLMA_TEST_NONE}"}]}) == (
        "$.s[0].t: expected the environment variable `DOLMA_TEST_NONE`, found it unset; "
        "export it, or give a default: `${oc.env:DOLMA_TEST_NONE,default}`"
    )


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (r"\${n}", "${n}"),
        (r"a\${n}b${n}", "a${n}b3"),
        (r"\\${n}", "\\3"),
        (r"\\\${n}", r"\${n}"),
        ("$n {n} $", "$n {n} $"),
        (r"\n", r"\n"),
        ("$.attributes[?(@.a)]", "$.attributes[?(@.a)]"),
    ],
)
def test_escapes(text: str, value: str) -> None:
    assert resolve({"n": 3, "x": text})["x"] == value


def test_select() -> None:
    data = {"a": "${oc.select:b.c,5}", "b": {"d": 1}, "e": "${oc.select:b.d,5}", "f": "${oc.select:none}"}
    assert resolve(data) == {"a": "5", "b": {"d": 1}, "e": 1, "f": None}


def test_keys_and_values_of_a_mapping(capsys: pytest.CaptureFixture[str]) -> None:
    data = {"m": {"a": 1, "b": "${n}"}, "n": 2, "k": "${oc.dict.keys:m}", "v": "${oc.dict.values:m}"}
    assert resolve(data) | {"m": None} == {"m": None, "n": 2, "k": ["a", "b"], "v": [1, 2]}
    with pytest.raises(ConfigError, match=r"\$\.k: expected a mapping at `n`, found `2`"):
        resolve({"n": 2, "k": "${oc.dict.keys:n}"})
    assert resolve({"old": "${oc.deprecated:new}", "new": 3})["old"] == 3
    assert capsys.readouterr().err == "dolma: note: $.old is deprecated; set `new` instead\n"


def test_create(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOLMA_TEST_MAP", "{a: [1, 2]}")
    data = {"x": "${oc.create:${oc.env:DOLMA_TEST_MAP}}", "y": "${oc.create:${z}}", "z": {"b": 1}}
    assert resolve(data) == {"x": {"a": [1, 2]}, "y": {"b": 1}, "z": {"b": 1}}


def test_cycles() -> None:
    assert message({"a": "${b}", "b": {"c": "${a}"}}) == (
        "$.a: expected a value, found a reference to itself: $.a -> $.b -> $.b.c -> $.a"
    )
    assert message({"a": "x${a}"}) == "$.a: expected a value, found a reference to itself: $.a -> $.a"
    assert message({"a": ["${a.0}"]}).startswith("$.a.0: expected a value, found a reference to itself")


def test_long_chains_and_deep_nesting_end_in_an_error() -> None:
    data: dict[str, Any] = {f"k{i}": f"${{k{i + 1}}}" for i in range(5000)}
    assert "references in a row, found more" in message({**data, "k5000": 1})
    assert "within each other, found more" in message({"a": "${" * 3000 + "}" * 3000})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("${seeds}", "$.x: expected a value at `seeds`, found none; did you mean `seed`?"),
        ("${seed", "$.x: expected `}` for every `${`, found none in `${seed`; `\\${` is a literal `${`"),
        ("${oc.env:'A}", "$.x: expected `}` for every `${`, found none in `${oc.env:'A}`; `\\${` is a literal `${`"),
        ("${..seed}", "$.x: expected at most 1 dots before a relative reference, found `..seed`"),
        ("a${list}", "$.x: expected a plain value within a string, found a list"),
        ("${d.processes:two}", "$.x: expected a number of CPUs to leave free, found `two`, as in `${d.processes:2}`"),
        (
            "${d.globs:x}",
            "$.x: unknown resolver `d.globs`; did you mean `d.glob`? (known: `d.cache`, `d.glob`, `d.processes`, "
            "`oc.create`, `oc.decode`, `oc.deprecated`, `oc.dict.keys`, `oc.dict.values`, `oc.env`, `oc.select`)",
        ),
    ],
)
def test_errors(text: str, expected: str) -> None:
    assert message({"seed": 1, "list": [1], "x": text}) == expected


def test_processes() -> None:
    cpus = os.cpu_count() or 1
    found = resolve(
        {"a": "${d.processes:0}", "b": "${d.processes:1}", "c": "${d.processes:100000}", "d": "${d.processes:}"}
    )
    assert found == {"a": cpus, "b": max(1, cpus - 1), "c": 1, "d": cpus}


def test_glob(tmp_path: Path) -> None:
    for name in ("b.gz", "a.gz", "c.txt"):
        (tmp_path / name).write_text("")
    found = resolve({"dir": str(tmp_path), "x": "${d.glob:${dir}/*.gz}"})
    assert found["x"] == [str(tmp_path / "a.gz"), str(tmp_path / "b.gz")]
    text = message({"x": f"${{d.glob:{tmp_path}/*.zst}}"})
    assert text.startswith(f"$.x: no file matches `{tmp_path}/*.zst`")


def test_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOLMA_CACHE", str(tmp_path / "cache"))
    source = tmp_path / "list.txt.gz"
    source.write_bytes(b"\x1f\x8bnot really")
    assert resolve({"x": f"${{d.cache:{source}}}"})["x"] == str(source)
    url = f"file://{source}"
    first = Path(resolve({"x": f"${{d.cache:{url}}}"})["x"])
    assert first.parent == tmp_path / "cache"
    assert first.name.endswith("-list.txt.gz")
    assert first.read_bytes() == source.read_bytes()
    source.write_bytes(b"changed")
    assert Path(resolve({"x": f"${{d.cache:{url}}}"})["x"]).read_bytes() == b"\x1f\x8bnot really"
    assert [p.name for p in first.parent.iterdir()] == [first.name]


def test_a_failed_download_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOLMA_CACHE", str(tmp_path / "cache"))
    text = message({"x": f"${{d.cache:file://{tmp_path}/none.gz}}"})
    assert text.startswith(f"$.x: could not download file://{tmp_path}/none.gz: FileNotFoundError: ")
    assert list((tmp_path / "cache").iterdir()) == []
    assert message({"x": f"${{d.cache:{tmp_path}/none.gz}}"}) == (
        f"$.x: expected a URL or a local file to cache, found no `{tmp_path}/none.gz`"
    )


def test_every_resolver_is_in_the_documentation() -> None:
    from dolma_pipeline.config import resolvers

    assert [name for name in RESOLVERS if f"${{{name}:" not in (resolvers.__doc__ or "")] == []


def test_references_that_repeat_too_much_are_refused() -> None:
    lists: dict[str, object] = {"a0": ["x"] * 9}
    texts: dict[str, object] = {"a0": "x" * 9}
    for i in range(1, 9):
        lists[f"a{i}"] = [f"${{a{i - 1}}}"] * 9
        texts[f"a{i}"] = f"${{a{i - 1}}}" * 9
    with pytest.raises(ConfigError) as error:
        resolve(lists)
    assert str(error.value) == (
        "$: expected references that repeat at most 100,000 values, found 490,329,036; write out what is wanted"
    )
    with pytest.raises(ConfigError) as error:
        resolve(texts)
    assert str(error.value) == ("$.a6: expected interpolations that make at most 1,048,576 characters, found 4,782,969")
