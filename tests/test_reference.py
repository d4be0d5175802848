"""The reference pages say what the code says, every key and option is described, and the examples are valid."""

from __future__ import annotations

import argparse
import re
from pathlib import Path

import msgspec
import pytest
from msgspec import Struct

import dolma_pipeline
from dolma_pipeline.cli.main import BROKEN_PIPE, COMMANDS, make_parser
from dolma_pipeline.cli.signals import CODES
from dolma_pipeline.config.load import description_of, load_recipe
from dolma_pipeline.config.recipe import Dedupe, Pack, Recipe, Source, Stage, TrainTokenizer
from dolma_pipeline.config.validation import validate
from dolma_pipeline.errors import EXIT_CODES, ConfigError, DolmaError
from dolma_pipeline.taggers.registry import built_in
from scripts.reference.markdown import prose, table
from scripts.reference.pages import FOLDER, MAKERS, pages
from scripts.reference.python import recipe_structs, signature
from scripts.reference.recipe import EXAMPLES, rows, stage_kinds

ROOT = Path(__file__).resolve().parent.parent
FRAGMENT = re.compile(r"\A(that|of|by|for|nor|those|instead|more|less|where|which is)\b", re.IGNORECASE)
"""The beginning of a description that says nothing without the name of its key."""


@pytest.mark.parametrize("name", MAKERS)
def test_a_page_is_what_the_code_gives(name: str) -> None:
    path = FOLDER / name
    written = path.read_text("utf-8").splitlines() if path.is_file() else []
    made = MAKERS[name]().splitlines()
    different = next(
        (i for i, (a, b) in enumerate(zip(written, made, strict=False)) if a != b), min(len(written), len(made))
    )
    old, new = (lines[different] if different < len(lines) else "(no more lines)" for lines in (written, made))
    assert written == made, (
        f"docs/reference/{name} is out of date: run `make reference`.\n"
        f"Line {different + 1} is\n  {old}\nand the code gives\n  {new}"
    )


def test_no_other_page_is_there() -> None:
    assert sorted(p.name for p in FOLDER.iterdir()) == sorted(MAKERS)


@pytest.mark.parametrize("form", recipe_structs(), ids=lambda f: f.__name__)
def test_every_key_is_described(form: type[Struct]) -> None:
    found = {i.encode_name: description_of(i.type) for i in msgspec.structs.fields(form) if form is not Stage}
    assert [key for key, text in found.items() if len(text.split()) < 3 or FRAGMENT.search(text)] == []
    assert re.match(r"[A-Z][^.:]+[.:]", prose(form)), "a sentence that says what it is"


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_is_described(name: str) -> None:
    actions = [a for a in make_parser(name)[1][name]._actions if a.help != argparse.SUPPRESS]
    texts = {a.option_strings[0] if a.option_strings else a.dest: a.help or "" for a in actions}
    assert [o for o, text in texts.items() if len(text.split("(default")[0].split()) < 3 or FRAGMENT.search(text)] == []


def test_every_tagger_and_public_name_is_described() -> None:
    assert [e.name for e in built_in().values() if len(e.doc) < 5] == []
    things = {name: getattr(dolma_pipeline, name) for name in dolma_pipeline.__all__ if name != "__version__"}
    assert [name for name, thing in things.items() if len(prose(thing).split()) < 4] == []


def test_every_kind_of_stage_has_an_example() -> None:
    assert sorted(path.stem for path in EXAMPLES.glob("*.yaml")) == sorted(stage_kinds())


@pytest.mark.parametrize("kind", stage_kinds())
def test_an_example_is_valid_and_has_its_stage(kind: str) -> None:
    recipe = load_recipe(str(EXAMPLES / f"{kind}.yaml"))
    validate(recipe)
    assert [s for s in recipe.stages if getattr(s, kind) is not msgspec.UNSET]


def test_every_exit_code_is_explained() -> None:
    raised = {DolmaError.exit_code, *(c.exit_code for c in DolmaError.__subclasses__())}
    assert set(EXIT_CODES) == {0, BROKEN_PIPE, *raised, *CODES.values()}
    assert EXIT_CODES[ConfigError.exit_code] == "usage or configuration error"


def test_types_and_defaults_in_words() -> None:
    found = {
        key: (takes, default)
        for form in (Recipe, Source, Dedupe, Pack, TrainTokenizer)
        for key, takes, default, _ in rows(form)
    }
    assert found["`sources`"] == ("mapping from names to [Source](#source)", "required")
    assert found["`documents`"] == ("[DocumentKey](#documentkey)", "")
    assert found["`max_bad_fraction`"] == ("number from 0 to 1", "`0.01`")
    assert found["`partitions`"] == ("whole number from 1 to 4096", "`8`")
    assert found["`rest`"] == ("`pad` or `drop`", '`"pad"`')
    assert found["`mask_first`"] == ("`true` or `false`", "`false`")
    assert found["`special_tokens`"][0] == "`olmo`, `dolma_v1_5` or list of texts"


def test_signatures_do_not_depend_on_the_version_of_python() -> None:
    def one(a: int, *, b: str | None = None, **more: float) -> list[int]:
        return []

    assert signature("one", one) == "one(a: int, *, b: str | None = None, **more: float) -> list[int]"
    assert table(("A",), [["a|b"]]) == "| A |\n| --- |\n| a\\|b |"


def test_links_between_pages_lead_somewhere() -> None:
    """Links of the reference pages, and links of the other pages to them."""
    made = pages()
    anchors = {
        name: {re.sub(r"[^\w\- ]", "", h.lower()).replace(" ", "-") for h in re.findall(r"^#+ (.+)$", text, re.M)}
        for name, text in made.items()
    }
    broken = []
    for name, text in made.items():
        for file, anchor in re.findall(r"\]\(([\w./]*)#?([\w-]*)\)", text):
            target = file or name
            if target in anchors:
                broken += [f"{name}: {target}#{anchor}"] if anchor and anchor not in anchors[target] else []
            elif not (FOLDER / target).is_file():
                broken.append(f"{name}: {target}")
    guides = [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]
    for path in guides:
        for file, anchor in re.findall(r"\]\((?:docs/)?reference/([\w.]*)#?([\w-]*)\)", path.read_text("utf-8")):
            broken += (
                [] if file in anchors and (not anchor or anchor in anchors[file]) else [f"{path.name}: {file}#{anchor}"]
            )
    assert broken == []
