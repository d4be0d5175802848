"""Cutting an item into documents: whole, by docstring, by topic."""

from __future__ import annotations

import ast
import inspect
import warnings
from collections.abc import Iterator

from dolma_pipeline.collect.items import Piece

SHORTEST_DOCSTRING = 200
"""Code points; most docstrings are one line, which is a label rather than a document."""


def module(text: str) -> Iterator[Piece]:
    """A source file as it stands."""
    yield Piece("", "module", text)


def description(text: str) -> Iterator[Piece]:
    """A description as it stands."""
    yield Piece("", "description", text)


def license_text(text: str) -> Iterator[Piece]:
    """A licence as it stands."""
    yield Piece("", "license", text)


def parse(text: str) -> ast.Module:
    """The tree of a source text, which is not run; SyntaxError or ValueError where it is none."""
    with warnings.catch_warnings():
        # Invalid escapes in other people's string literals are no concern of ours.
        warnings.simplefilter("ignore")
        try:
            return ast.parse(text)
        except (RecursionError, MemoryError) as error:
            raise ValueError(f"too deeply nested ({type(error).__name__})") from None


def docstrings(text: str) -> Iterator[Piece]:
    """The docstrings of a module, its classes and functions, from 200 code points up, in order of their place.

    Named by their qualified name; a name defined again (an overload, a setter) has the number of its definition.
    """
    if '"""' not in text and "'''" not in text:
        # A string this long is hardly ever written otherwise, and building the tree is most of the cost.
        return
    seen: dict[str, int] = {}
    stack: list[tuple[str, ast.AST]] = [("", parse(text))]
    while stack:
        prefix, node = stack.pop()
        name = prefix
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            if not isinstance(node, ast.Module):
                name = f"{prefix}.{node.name}" if prefix else node.name
            found = inspect.cleandoc(ast.get_docstring(node, clean=False) or "").strip()
            if len(found) >= SHORTEST_DOCSTRING:
                seen[name] = seen.get(name, 0) + 1
                kind = {ast.Module: "module", ast.ClassDef: "class"}.get(type(node), "function")
                yield Piece(name if seen[name] == 1 else f"{name}#{seen[name]}", kind, found + "\n")
        stack.extend((name, child) for child in reversed(list(statements(node))))


def statements(node: ast.AST) -> Iterator[ast.AST]:
    """What may hold definitions below `node`, in order; expressions, the bulk of a tree, are not visited."""
    for field in ("body", "handlers", "orelse", "finalbody", "cases"):
        inner = getattr(node, field, None)
        if isinstance(inner, list):
            yield from inner


def topics(text: str) -> Iterator[Piece]:
    """The entries of the dictionary `topics` of a source text, in order of their names."""
    for statement in parse(text).body:
        if isinstance(statement, ast.Assign) and any(
            isinstance(target, ast.Name) and target.id == "topics" for target in statement.targets
        ):
            entries = ast.literal_eval(statement.value)
            if not isinstance(entries, dict):
                raise ValueError(f"expected `topics` to be a dictionary, found {type(entries).__name__}")
            for name, entry in sorted(entries.items()):
                yield Piece(str(name), "topic", str(entry))
            return
    raise ValueError("expected an assignment to `topics`, found none")
