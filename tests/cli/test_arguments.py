"""Options made from structs, and defaults under a file under options."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from msgspec import Meta, Struct, field

from dolma_pipeline.cli.arguments import add_options, load_config
from dolma_pipeline.cli.parser import Parser
from dolma_pipeline.errors import ConfigError


class Item(Struct, frozen=True, forbid_unknown_fields=True):
    name: str


class Deep(Struct, frozen=True, forbid_unknown_fields=True):
    size: Annotated[int, Meta(ge=1, description="how large, at most 100%")] = 3
    kind: Literal["a", "b"] = "a"


class Config(Struct, frozen=True, forbid_unknown_fields=True):
    files: Annotated[list[str], Meta(description="which files")] = field(default_factory=list)
    fast: Annotated[bool, Meta(description="be quick")] = True
    name: str | None = None
    rate: float = 0.5
    deep: Deep | None = None
    items: list[Item] = field(default_factory=list)


def load(*argv: str) -> Config:
    parser = Parser(prog="test")
    parser.add_argument("-c", "--config")
    add_options(parser, Config)
    return load_config(parser.parse_args(argv), Config)


def test_nothing_given_is_all_defaults() -> None:
    assert load() == Config()


@pytest.mark.parametrize(
    ("argv", "value"),
    [
        (["--files", "a", "b"], Config(files=["a", "b"])),
        (["--files"], Config()),
        (["--no-fast"], Config(fast=False)),
        (["--no-fast", "--fast"], Config()),
        (["--name", "12", "--rate", "1e-3"], Config(name="12", rate=1e-3)),
        (["--name"], Config()),
        (["--deep.size", "5"], Config(deep=Deep(size=5))),
        (["--deep.size=5", "--deep.kind=b"], Config(deep=Deep(size=5, kind="b"))),
        (["--items", "{name: x}", "{name: y}"], Config(items=[Item("x"), Item("y")])),
        (["--rate", "${deep.size}", "--deep.size", "2"], Config(rate=2.0, deep=Deep(size=2))),
        (["--name", "r${rate}"], Config(name="r0.5")),
    ],
)
def test_options(argv: list[str], value: Config) -> None:
    assert load(*argv) == value


def test_options_go_over_the_file(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text("files: [a, b]\nname: 7\ndeep: {size: '4', kind: b}\n")
    assert load("-c", str(path)) == Config(files=["a", "b"], name="7", deep=Deep(4, "b"))
    found = load("-c", str(path), "--files", "c", "--deep.size", "9")
    assert found == Config(files=["c"], name="7", deep=Deep(9, "b"))


@pytest.mark.parametrize(
    ("argv", "text", "message"),
    [
        (["--deep.size", "0"], "", '--deep.size: $.deep.size: expected `int` >= 1, found "0"'),
        (["--deep.kind", "c"], "", '--deep.kind: $.deep.kind: expected one of `a`, `b`, found "c"'),
        (["--items", "{nam: x}"], "", None),
        ([], "file: [a]\n", "c.yaml:1: $.file: unknown key; did you mean `files`? "
         "(allowed: `files`, `fast`, `name`, `rate`, `deep`, `items`)"),
        (["--deep.size", "2"], "name: x\ndeep: {sise: 3}\n", "c.yaml:2: $.deep.sise: unknown key; did you mean `size`? "
         "(allowed: `size`, `kind`)"),
        (["--rate", "fast"], "rate: 1\n", '--rate: $.rate: expected `float`, found "fast"'),
    ],
)  # fmt: skip
def test_mistakes(
    argv: list[str], text: str, message: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("c.yaml").write_text(text)
    with pytest.raises(ConfigError) as error:
        load("-c", "c.yaml", *argv)
    if message is None:
        assert str(error.value).splitlines() == [
            "--items: $.items[0].nam: unknown key; did you mean `name`? (allowed: `name`)",
            "--items: $.items[0]: expected the key `name`, found none",
        ]
    else:
        assert str(error.value) == message


def test_help_says_what_and_the_default(capsys: pytest.CaptureFixture[str]) -> None:
    parser = Parser(prog="test")
    add_options(parser, Config, {"rate": "no reason"})
    lines = {line.split()[0]: " ".join(line.split()) for line in parser.format_help().splitlines() if "--" in line}
    assert lines["--files"] == "--files [TEXT ...] which files"
    assert lines["--fast,"] == "--fast, --no-fast be quick (default: on)"
    assert lines["--rate"] == "--rate NUMBER has no effect: no reason"
    assert lines["--deep.size"] == "--deep.size INT how large, at most 100% (default: 3)"
    assert lines["--deep.kind"] == '--deep.kind {a,b} (default: "a")'


def test_defaults_are_not_shared() -> None:
    first: Any = load()
    first.files.append("x")
    assert load().files == []
