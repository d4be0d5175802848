"""Finding taggers: names, modules, packages, and what is said when there is none."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from dolma_pipeline.errors import ConfigError
from dolma_pipeline.taggers.registry import attribute_key, built_in, describe, load_taggers
from tests.taggers.toys import documents

MODULE = '''
from dolma_pipeline.taggers import tagger

@tagger("{name}")
def vowels(text: str) -> float:
    """Vowels per character."""
    return sum(c in "aeiou" for c in text) / max(len(text), 1)
'''


def write_module(directory: Path, name: str) -> Path:
    path = directory / "mine.py"
    path.write_text(MODULE.format(name=name))
    return path


def test_an_unknown_name_gives_the_nearest_one_and_all() -> None:
    with pytest.raises(ConfigError) as caught:
        load_taggers(["c4_v2", "gopher_v22"], where="$.stages[1].tag")
    message = str(caught.value)
    assert message.startswith(
        "$.stages[1].tag.taggers[1]: unknown tagger `gopher_v22`; did you mean `gopher_v2`? "
        "(known: `allowlist_wikidata_cleaned_v1`, "
    )
    assert "`ft_lang_id_en_doc_v2`" in message


def test_taggers_come_in_the_order_asked_for() -> None:
    taggers = load_taggers(["whitespace_tokenizer_with_paragraphs_v1", "doc_count_v1"])
    expected = [
        ("whitespace_tokenizer_with_paragraphs_v1", "paragraph"),
        ("whitespace_tokenizer_with_paragraphs_v1", "document"),
        ("doc_count_v1", "docs"),
    ]
    assert taggers.attribute_names() == expected
    assert list(taggers.tag(documents(["a b"]))) == expected
    assert (taggers.needs_raw, taggers.undeclared, taggers.files()) == (False, (), ())


def test_a_module_is_found_by_the_path_of_its_file(tmp_path: Path) -> None:
    path = write_module(tmp_path, "registry_path_v1")
    taggers = load_taggers(["registry_path_v1"], [str(path)])
    assert taggers.tag(documents(["aab"]))["registry_path_v1", "score"].to_pylist() == [0.66667]
    assert taggers.files() == (str(path.resolve()),)
    assert load_taggers(["registry_path_v1"], [str(path)]).attribute_names() == [("registry_path_v1", "score")]


def test_a_module_is_found_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_module(tmp_path, "registry_name_v1").rename(tmp_path / "a_module_of_taggers.py")
    monkeypatch.syspath_prepend(tmp_path)
    assert load_taggers(["registry_name_v1"], ["a_module_of_taggers"]).taggers[0].name == "registry_name_v1"


def test_an_installed_package_adds_taggers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_module(tmp_path, "registry_package_v1").rename(tmp_path / "a_package_of_taggers.py")
    info = tmp_path / "a_package_of_taggers-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: a-package-of-taggers\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[dolma_pipeline.taggers]\nmine = a_package_of_taggers\n")
    monkeypatch.syspath_prepend(tmp_path)
    taggers = load_taggers(["registry_package_v1"])
    assert taggers.attribute_names() == [("registry_package_v1", "score")]
    assert taggers.files() == (str(tmp_path / "a_package_of_taggers.py"),)
    assert "registry_package_v1" in [entry.name for entry in describe()]


def test_a_package_is_found_by_the_path_of_its_directory(tmp_path: Path) -> None:
    package = tmp_path / "a_directory_of_taggers"
    package.mkdir()
    write_module(package, "registry_directory_v1")
    (package / "__init__.py").write_text("from a_directory_of_taggers import mine\nfrom . import mine as same\n")
    for module in (str(package), f"{package}/"):
        taggers = load_taggers(["registry_directory_v1"], [module])
        assert taggers.tag(documents(["aab"]))["registry_directory_v1", "score"].to_pylist() == [0.66667]
        # A change of any module of the package is a change of its taggers.
        assert taggers.files() == (str(package / "__init__.py"), str(package / "mine.py"))
    assert str(tmp_path) not in sys.path


def test_a_directory_that_is_no_package(tmp_path: Path) -> None:
    (tmp_path / "json").mkdir()
    with pytest.raises(ConfigError) as caught:
        load_taggers([], [f"{tmp_path}/json"], where="$.stages[0].tag")
    assert str(caught.value) == (
        f"$.stages[0].tag.tagger_modules[0]: expected a Python package, found the directory `{tmp_path}/json` without "
        "a file `__init__.py`"
    )
    (tmp_path / "json" / "__init__.py").touch()
    with pytest.raises(ConfigError, match=r"found another module `json`, of .*/json/__init__\.py; rename"):
        load_taggers([], [f"{tmp_path}/json"])


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        (None, "expected a module name, a .py file or the directory of a package, found no file `{path}`"),
        ("import no_such", "importing `{path}` failed: ModuleNotFoundError: No module named 'no_such'"),
        ("1 +", "importing `{path}` failed: SyntaxError: invalid syntax (bad.py, line 1)"),
        (
            "raise FileNotFoundError(2, 'No such file', '/there')",
            "importing `{path}` failed: FileNotFoundError: [Errno 2] No such file: '/there'",
        ),
        (
            MODULE.format(name="gopher_v2"),
            "tagger `gopher_v2` of {module}.vowels: the name is that of a built-in tagger",
        ),
    ],
)
def test_a_module_that_cannot_be_imported(tmp_path: Path, source: str | None, reason: str) -> None:
    path = tmp_path / "bad.py"
    if source is not None:
        path.write_text(source)
    with pytest.raises(ConfigError) as caught:
        load_taggers(["c4_v2"], ["json", str(path)], where="$.stages[0].tag")
    found = str(caught.value)
    module = found.partition(" of ")[2].partition(".vowels")[0]
    assert found == "$.stages[0].tag.tagger_modules[1]: " + reason.format(path=path, module=module)
    left = [name for name, module in sys.modules.items() if getattr(module, "__file__", None) == str(path)]
    assert left == []


def test_two_taggers_of_one_name(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    first, second = (write_module(tmp_path / d, "registry_twice_v1") for d in "ab")
    load_taggers([], [str(first)])
    with pytest.raises(ConfigError, match=r"tagger `registry_twice_v1` is defined twice: by .*vowels and by .*vowels$"):
        load_taggers([], [str(second)])


def test_a_missing_model_names_the_tagger_that_wants_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOLMA_MODELS", str(tmp_path))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"^\$\.stages\[0\]\.tag\.taggers\[0\]: no fastText language identification"):
        load_taggers(["ft_lang_id_en_doc_v2"], where="$.stages[0].tag")


def test_describe_lists_every_tagger_with_a_line(tmp_path: Path) -> None:
    entries = {e.name: e for e in describe([str(write_module(tmp_path, "registry_described_v1"))])}
    assert list(entries) == sorted(entries)
    assert set(built_in()) < set(entries)
    mine = entries["registry_described_v1"]
    assert (mine.kind, mine.attributes, mine.needs, mine.doc) == ("python", ("score",), "", "Vowels per character.")
    assert (entries["gopher_v2"].kind, len(entries["gopher_v2"].attributes)) == ("native", 19)
    model = entries["ft_lang_id_en_doc_v2"]
    assert (model.kind, model.needs) == ("model", "lid.176.bin or lid.176.ftz")
    assert all(e.doc for e in entries.values() if e.kind != "python")


@pytest.mark.parametrize(
    ("parts", "key"),
    [
        (("base", "gopher_v2", "word_count"), "base__gopher_v2__word_count"),
        (("my exp", "dclm-oh-eli5", "__label__hq"), "my_exp__dclm_oh_eli5____label__hq"),
        (("é.1", "t", "a/b"), "__1__t__a_b"),
    ],
)
def test_keys_are_those_of_dolma(parts: tuple[str, str, str], key: str) -> None:
    assert attribute_key(*parts) == key
