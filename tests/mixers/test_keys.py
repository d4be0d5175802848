"""Names of attributes in recipes, and the keys in files that they mean."""

from __future__ import annotations

import pytest

from dolma_pipeline.config.recipe import Mix
from dolma_pipeline.errors import ConfigError
from dolma_pipeline.mixers.expression import compile, compile_all, resolve_all
from dolma_pipeline.mixers.keys import Earlier, readable, resolve
from dolma_pipeline.mixers.names import resolve_names

AVAILABLE = {
    "base": ["base__gopher_v2__word_count", "base__ft_v2__en", "base__jigsaw_v2____label__toxic"],
    "my-exp": ["my_exp__dclm_oh_eli5__score"],
    "near": ["duplicate", "duplicate_of"],
    "c4_v2": ["c4_v2__c4_v2__lines"],
}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("gopher_v2.word_count", ("base", "base__gopher_v2__word_count")),
        ("base.gopher_v2.word_count", ("base", "base__gopher_v2__word_count")),
        ("jigsaw_v2.__label__toxic", ("base", "base__jigsaw_v2____label__toxic")),
        ("dclm-oh-eli5.score", ("my-exp", "my_exp__dclm_oh_eli5__score")),
        ("my-exp.dclm_oh_eli5.score", ("my-exp", "my_exp__dclm_oh_eli5__score")),
        ("near.duplicate", ("near", "duplicate")),
        ("c4_v2.lines", ("c4_v2", "c4_v2__c4_v2__lines")),
    ],
)
def test_a_name_finds_its_key(name: str, expected: tuple[str, str]) -> None:
    assert resolve(name, AVAILABLE, "$") == expected


def test_a_key_written_by_another_experiment_is_found_in_the_directory_it_was_moved_to() -> None:
    moved = {"copy": ["base__gopher_v2__word_count", "base__ft_v2__en"]}
    assert resolve("gopher_v2.word_count", moved, "$") == ("copy", "base__gopher_v2__word_count")
    assert resolve("copy.gopher_v2.word_count", moved, "$") == ("copy", "base__gopher_v2__word_count")


def test_unknown_names_list_the_nearest() -> None:
    with pytest.raises(ConfigError) as caught:
        resolve("gopher_v2.wordcount", {"base": AVAILABLE["base"], "near": ["duplicate"]}, "$.drop.short")
    assert str(caught.value) == (
        "$.drop.short: unknown attribute `gopher_v2.wordcount`; did you mean `gopher_v2.word_count`? "
        "(known: `ft_v2.en`, `gopher_v2.word_count`, `jigsaw_v2.__label__toxic`, `near.duplicate`)"
    )


def test_of_many_known_names_only_the_nearest_are_listed() -> None:
    many = {"e": [f"e__t__a{i:03}" for i in range(100)]}
    with pytest.raises(ConfigError, match=r"did you mean `t\.a\d+7`\? .* and 76 more\)"):
        resolve("t.a0077", many, "$")


def test_no_attributes_at_all() -> None:
    with pytest.raises(ConfigError, match=r"unknown attribute `a\.b` \(known: none\)"):
        resolve("a.b", {}, "$")


def test_an_ambiguous_name_says_how_to_choose() -> None:
    two = {"old": ["old__ft__en"], "new": ["new__ft__en"]}
    with pytest.raises(ConfigError) as caught:
        resolve("ft.en", two, "$.x")
    assert str(caught.value) == ("$.x: attribute `ft.en` could be any of 2; write `old.ft.en` or `new.ft.en`")
    assert resolve("new.ft.en", two, "$.x") == ("new", "new__ft__en")


def test_what_is_readable_resolves_to_itself() -> None:
    for experiment, keys in AVAILABLE.items():
        for key in keys:
            assert resolve(readable(experiment, key), AVAILABLE, "$") == (experiment, key)


def test_rules_resolve_all_their_names() -> None:
    rules = compile_all({"a": "gopher_v2.word_count < 50", "b": "near.duplicate or ft_v2.en < 1"}, "$.drop")
    assert resolve_all(rules, AVAILABLE) == {
        "gopher_v2.word_count": ("base", "base__gopher_v2__word_count"),
        "near.duplicate": ("near", "duplicate"),
        "ft_v2.en": ("base", "base__ft_v2__en"),
    }


def test_a_rule_says_where_it_names_what_is_unknown() -> None:
    rule = compile("near.duplicate or near.duplicates", "$.drop.twice")
    with pytest.raises(ConfigError, match=r"^\$\.drop\.twice: column 19: unknown attribute `near\.duplicates`; did"):
        rule.resolve(AVAILABLE)


def test_an_attribute_that_its_tagger_tells_with_its_documents() -> None:
    available = {"my-exp": ["my_exp__mine_v1__*", "my_exp__other_v1__n"]}
    assert resolve("mine_v1.upper", available, "$") == ("my-exp", "my_exp__mine_v1__upper")
    assert resolve("my-exp.mine_v1.upper", available, "$") == ("my-exp", "my_exp__mine_v1__upper")
    assert resolve("other_v1.n", available, "$") == ("my-exp", "my_exp__other_v1__n")
    for wrong in ("other_v1.upper", "mine_v1", "mine_v1.a.b"):
        with pytest.raises(ConfigError, match=r"unknown attribute .*\(known: `mine_v1\.\*`, `other_v1\.n`\)"):
            resolve(wrong, available, "$")


def test_an_attribute_of_the_documents_before_a_mix_is_told_of_as_such() -> None:
    tagged = Earlier(stage="$.stages[1].mix", keys=AVAILABLE, files={})
    twice = [tagged, Earlier(stage="$.stages[3].mix", keys={}, files={})]
    with pytest.raises(ConfigError) as error:
        resolve_names(Mix(drop={"short": "gopher_v2.word_count < 5"}), {}, {}, "$.stages[4].mix", earlier=twice)
    assert str(error.value) == (
        "$.stages[4].mix.drop.short: column 1: unknown attribute `gopher_v2.word_count` (known: none); the documents "
        "had it before $.stages[1].mix, which has written them anew: give that stage the rule, or tag the documents "
        "again behind it"
    )
    with pytest.raises(ConfigError, match=r"unknown attribute `gopher_v2\.words` \(known: none\)$"):
        resolve_names(Mix(drop={"short": "gopher_v2.words < 5"}), {}, {}, "$", earlier=twice)
