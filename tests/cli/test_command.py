"""What every command that makes a recipe has in common: its mistakes are told by the keys and options it was given."""

from __future__ import annotations

import msgspec
import pytest

from dolma_pipeline.cli.arguments import Given
from dolma_pipeline.cli.command import Config, own_keys
from dolma_pipeline.config.load import Label
from dolma_pipeline.config.yaml_file import parse
from dolma_pipeline.errors import ConfigError

KEYS = {"sources.**": "documents", "stages[0].mix": "streams[#]", "stages[0].mix.select": "streams[#].filter"}


def told(message: str, *options: str, number: int = 0) -> str:
    labels = [Label(tuple(option.split(".")), f"--{option}") for option in options]
    with pytest.raises(ConfigError) as error, own_keys(Given(Config(), None, labels), KEYS, number):
        raise ConfigError(message)
    return str(error.value)


@pytest.mark.parametrize(
    ("message", "options", "expected"),
    [
        ("$.stages[0].mix.select.include[2]: x", (), "$.streams[1].filter.include[2]: x"),
        ("$.stages[0].mix: x", (), "$.streams[1]: x"),
        ('$.sources["a b"].documents: x', ("documents",), "--documents: $.documents: x"),
        ("$.stages[1].mix: x", (), "$.stages[1].mix: x"),
        # The command itself is at fault: an option beside the one that is missing is not to blame.
        ("$.a: expected `b` or `c`, found neither", ("a.d",), "$.a: expected `b` or `c`, found neither"),
        ("$.a.d: expected `b`", ("a.d",), "--a.d: $.a.d: expected `b`"),
        ("$: expected one of `a` and `b`", ("a",), "$: expected one of `a` and `b`"),
        ("no path in it", ("a",), "no path in it"),
        ("$.x: a\n$.stages[0].mix.y: b", ("x",), "--x: $.x: a\n$.streams[1].y: b"),
    ],
)
def test_own_keys(message: str, options: tuple[str, ...], expected: str) -> None:
    assert told(message, *options, number=1) == expected


def test_keys_of_a_file_have_its_lines() -> None:
    file = parse("documents:\n  - a\nstreams:\n  - b: 1\n", "c.yaml")
    with pytest.raises(ConfigError) as error, own_keys(Given(msgspec.UNSET, file, []), KEYS):
        raise ConfigError("$.stages[0].mix.b: x")
    assert str(error.value) == "c.yaml:4: $.streams[0].b: x"
