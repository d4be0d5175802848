"""The page of what the author of a stage imports: each name of `dolma_pipeline.engine.stage`."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Iterator

from dolma_pipeline.engine import stage
from scripts.reference.markdown import code, fenced, join, prose, sentence, table, title
from scripts.reference.python import signature

INTRODUCTION = """\
`from dolma_pipeline.engine import stage` gives these names; [the guide](../stages.md) shows how they work together.
Other names of the engine are internal and may change."""
SECTIONS = {
    "The kind": ("StageKind", "Config", "Checks", "RecipePath"),
    "The plan": (
        "MapReduce", "Call", "Builder", "Places", "Corpus", "Shard", "State", "Phase", "StageInfo", "Task", "make_task",
        "op_task",
    ),
    "What a task does": (
        "Op", "ShardInput", "ShardRead", "Reading", "Documents", "open_attributes", "Context", "Report", "Counts",
        "Table",
    ),
    "Files": ("write_json", "read_json", "publishing", "Published", "output", "Output"),
}  # fmt: skip
GIVEN = ("Builder", "Places", "Checks", "Context", "Documents", "Published")
"""Classes that a stage gets an object of and never makes itself."""
HIDDEN = {
    "StageKind": ("origin", "module", "config_type", "plan_function", "validate_function"),
    "Builder": (
        "add_later", "add_op", "claims", "count_with", "flush", "need", "of_user", "pieces", "plan_stage",
        "provisional", "sizes", "tokenizer", "training",
    ),
    "Places": ("failures",),
    "Context": ("of_reading",),
    "Corpus": ("computed", "failures", "read_in_pieces"),
    "StageInfo": ("accounts", "reading", "role"),
    "Task": ("driver", "fuse", "fused_run", "makes", "weight"),
    "Phase": ("lists", "parts", "reads"),
    "Counts": ("differs", "first_lacking", "lacking", "unjudged"),
}  # fmt: skip
"""What serves the engine, or built-in stages alone."""
OTHERS = {"RecipePath": 'A tuple of names and numbers: `("stages", 1, "hosts", "top")` is `$.stages[1].hosts.top`.'}
"""Names of types that are no classes."""


def page() -> str:
    """The whole page."""
    assert sorted(n for names in SECTIONS.values() for n in names) == sorted(stage.__all__), "a name without a section"
    blocks = [*title("What a stage imports"), INTRODUCTION]
    for section, names in SECTIONS.items():
        blocks.append(f"## {section}")
        for name in names:
            thing = getattr(stage, name)
            blocks.append(f"### {name}")
            if name in OTHERS:
                blocks.append(OTHERS[name])
            elif inspect.isclass(thing):
                blocks += _class(name, thing)
            else:
                blocks += [fenced(signature(name, thing)), prose(thing)]
    return join(blocks)


def _class(name: str, form: type) -> list[str]:
    made = vars(form).get("__init__")
    own = inspect.isfunction(made) and not getattr(form, "_is_protocol", False) and name not in GIVEN
    takes = made if own else None
    blocks = [fenced(signature(name, takes, method=True))] if takes is not None else []
    blocks.append(prose(form))
    if takes is not None and takes.__doc__:
        blocks.append(prose(takes))
    blocks.append(table(("Field", "Type", "Default", "What it is"), _fields(name, form)))
    hidden = HIDDEN.get(name, ())
    for method, found in vars(form).items():
        if method.startswith("_") or method in hidden:
            continue
        if isinstance(found, property) and found.fget is not None:
            blocks += [code(f"{name}.{method}: {inspect.signature(found.fget).return_annotation}"), prose(found)]
        elif inspect.isfunction(found) and found.__doc__:
            blocks += [fenced(signature(f"{name}.{method}", found, method=True)), prose(found)]
    return blocks


def _fields(name: str, form: type) -> list[list[str]]:
    """Name, type, default and description of each field that a stage may use."""
    return [[code(field), *rest] for field, *rest in _all_fields(form) if field not in HIDDEN.get(name, ())]


def _all_fields(form: type) -> Iterator[tuple[str, str, str, str]]:
    """Name, type, default and description of each field: those of the class, and those that `__init__` describes."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(form))).body[0]
    assert isinstance(tree, ast.ClassDef)
    made = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == "__init__"]
    for body, inside in ((tree.body, False), *((node.body, True) for node in made)):
        for node, behind in zip(body, [*body[1:], None], strict=True):
            about = _text(behind)
            target = node.targets[0] if isinstance(node, ast.Assign) else getattr(node, "target", None)
            name = (
                target.id if isinstance(target, ast.Name) else target.attr if isinstance(target, ast.Attribute) else ""
            )
            if not isinstance(node, ast.Assign | ast.AnnAssign) or not name or name.startswith("_"):
                continue
            kind = ast.unparse(node.annotation) if isinstance(node, ast.AnnAssign) else ""
            if inside and not about:
                continue
            default = code(ast.unparse(node.value)) if node.value is not None and not inside else ""
            yield name, code(kind) if kind else "", default, sentence(about)


def _text(node: ast.stmt | None) -> str:
    """The text of a string that stands behind a field."""
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
        return " ".join(node.value.value.split())
    return ""
