"""The page of recipe keys: a section for each kind of stage, with an example."""

from __future__ import annotations

from pathlib import Path

import msgspec
from msgspec import Struct

from dolma_pipeline.config.load import description_of, struct_of
from dolma_pipeline.config.recipe import Recipe, Stage
from scripts.reference.markdown import code, fenced, join, prose, sentence, table, title
from scripts.reference.words import default_of, in_words, structs_in

EXAMPLES = Path(__file__).parent / "examples"
HEAD = ("Key", "What it takes", "Default", "What it is")
INTRODUCTION = """\
A recipe is a YAML or JSON file. This page lists every key that it may have; [the guide](../recipes.md) explains what
stages do and how they work together. A key without a default may be left out, unless it is required. The name of a
group of keys, such as `Source`, is also the name of its Python class, where `with` and `from` are called `with_` and
`from_`; see [Python](python.md)."""


def stage_kinds() -> dict[str, type[Struct]]:
    """The settings of each kind of stage, in the order of the recipe's `Stage`."""
    found = {info.encode_name: struct_of(info.type) for info in msgspec.structs.fields(Stage)}
    return {name: form for name, form in found.items() if form is not None}


def rows(form: type[Struct]) -> list[list[str]]:
    """A row for each key of a struct."""
    return [
        [code(info.encode_name), in_words(info.type), default_of(info), sentence(description_of(info.type))]
        for info in msgspec.structs.fields(form)
    ]


def example(kind: str) -> str:
    """A small recipe with a stage of this kind."""
    return (EXAMPLES / f"{kind}.yaml").read_text("utf-8")


def page() -> str:
    """The whole page."""
    stages = stage_kinds()
    shown: set[type[Struct]] = {Recipe, Stage, *stages.values()}
    blocks = [*title("Recipe keys"), INTRODUCTION, "## Recipe", prose(Recipe), table(HEAD, rows(Recipe))]
    blocks += _parts(Recipe, shown, "###")
    blocks += ["## Stage", prose(Stage)]
    does = [[f"[`{kind}`](#{kind})", prose(form).partition("\n")[0]] for kind, form in stages.items()]
    blocks.append(table(("Key", "What the stage does"), does))
    blocks.append(
        "A recipe may have [stages of your own](../stages.md) too; `dolma list --stages` lists all kinds that there "
        "are, those of installed packages included."
    )
    for kind, form in stages.items():
        blocks += [f"## {kind}", prose(form), fenced(example(kind), "yaml"), table(HEAD, rows(form))]
        blocks += _parts(form, shown, "###")
    return join(blocks)


def _parts(form: type[Struct], shown: set[type[Struct]], level: str) -> list[str]:
    """A section for each struct in the keys of `form`, and in theirs, that has none yet."""
    blocks = []
    for info in msgspec.structs.fields(form):
        for part in structs_in(info.type):
            if part not in shown:
                shown.add(part)
                blocks += [f"{level} {part.__name__}", prose(part), table(HEAD, rows(part))]
                blocks += _parts(part, shown, level)
    return blocks
