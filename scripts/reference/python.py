"""The page of the Python names: each public name of the package, with its signature and docstring."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import msgspec
from msgspec import Struct

import dolma_pipeline
from dolma_pipeline.config.recipe import Recipe
from scripts.reference.markdown import code, fenced, join, prose, table, title
from scripts.reference.words import structs_in

INTRODUCTION = """\
`import dolma_pipeline as dp` gives these names; [the guide](../python.md) shows how they work together. Other names are
internal and may change. Errors are listed [here](errors.md)."""
WIDTH = 100
"""Characters of a signature on one line; a longer one has a line for each parameter."""


def page() -> str:
    """The whole page."""
    public = {name: getattr(dolma_pipeline, name) for name in dolma_pipeline.__all__}
    parts = {name: thing for name, thing in public.items() if thing in recipe_structs()}
    functions = {name: thing for name, thing in public.items() if inspect.isfunction(thing)}
    classes = {name: thing for name, thing in public.items() if inspect.isclass(thing) and name not in parts}
    others = {name for name in public if name not in {*parts, *functions, *classes}}
    assert others == {"__version__"}, f"names without a section: {others}"
    blocks = [*title("Python"), INTRODUCTION, "## Functions"]
    for name, function in functions.items():
        blocks += [f"### {name}", fenced(signature(name, function)), prose(function)]
    blocks.append("## Classes")
    for name, form in classes.items():
        blocks += [f"### {name}", *_class(name, form)]
    blocks += ["## Parts of a recipe", "Each takes the keys of the recipe as keyword arguments, and is immutable."]
    blocks.append(
        table(("Class", "What it is"), [[f"[`{n}`](recipe.md#{n.lower()})", _first(t)] for n, t in parts.items()])
    )
    blocks += ["## Other names", table(("Name", "What it is"), [[code("__version__"), "The version of the package."]])]
    return join(blocks)


def recipe_structs() -> list[Any]:
    """The structs that a recipe consists of."""
    found: list[type[Struct]] = [Recipe]
    for form in found:
        found += [p for f in msgspec.structs.fields(form) for p in structs_in(f.type) if p not in found]
    return found


def _first(thing: object) -> str:
    return prose(thing).partition("\n")[0]


def _class(name: str, form: type) -> list[str]:
    """Its docstring, how it is made, and its public methods with a docstring; of a class of the engine, none."""
    blocks = [prose(form)]
    made = vars(form).get("__init__")
    if inspect.isfunction(made):
        blocks.insert(0, fenced(signature(name, made, method=True)))
    if form.__module__.startswith("dolma_pipeline.engine."):
        return blocks  # Its methods serve the engine.
    for method, found in vars(form).items():
        if method.startswith("_") and method != "__getitem__":
            continue
        if inspect.isfunction(found) and found.__doc__:
            blocks += [fenced(signature(f"{name}.{method}", found, method=True)), prose(found)]
    return blocks


def signature(name: str, function: Callable[..., Any], *, method: bool = False) -> str:
    """The signature with annotations as they are written in the source, the same in every version of Python."""
    found = inspect.signature(function)
    parameters = list(found.parameters.values())[1 if method else 0 :]
    shown: list[str] = []
    for position, parameter in enumerate(parameters):
        before = parameters[position - 1].kind if position else None
        if parameter.kind is parameter.KEYWORD_ONLY and before not in (
            parameter.KEYWORD_ONLY,
            parameter.VAR_POSITIONAL,
        ):
            shown.append("*")
        shown.append(_parameter(parameter))
    answer = "" if found.return_annotation in (inspect.Signature.empty, "None") else f" -> {found.return_annotation}"
    line = f"{name}({', '.join(shown)}){answer}"
    return line if len(line) <= WIDTH else f"{name}(\n" + "".join(f"    {p},\n" for p in shown) + f"){answer}"


def _parameter(parameter: inspect.Parameter) -> str:
    stars = (
        "*" if parameter.kind is parameter.VAR_POSITIONAL else "**" if parameter.kind is parameter.VAR_KEYWORD else ""
    )
    text = f"{stars}{parameter.name}"
    if parameter.annotation is not parameter.empty:
        text += f": {parameter.annotation}"
    if parameter.default is not parameter.empty:
        text += (
            f" = {parameter.default!r}" if parameter.annotation is not parameter.empty else f"={parameter.default!r}"
        )
    return text
