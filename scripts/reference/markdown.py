"""Pieces of Markdown pages."""

from __future__ import annotations

import inspect
import re
from collections.abc import Sequence

NOTE = "<!-- This page is made from the code. Change the description there, then run `make reference`. -->"


def title(text: str) -> list[str]:
    """The first blocks of a page."""
    return [f"# {text}", NOTE]


def join(blocks: Sequence[str]) -> str:
    """A page from its blocks, with an empty line between two."""
    return "\n\n".join(block.strip("\n") for block in blocks if block) + "\n"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table, or nothing without rows; a bar in a cell is escaped."""
    if not rows:
        return ""
    lines = [head, ["---"] * len(head), *([cell.replace("|", "\\|") for cell in row] for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def fenced(text: str, language: str = "text") -> str:
    """A block of code."""
    return f"```{language}\n{text.strip()}\n```"


def code(text: str) -> str:
    """Text in backquotes."""
    return f"`{text}`"


def prose(thing: object) -> str:
    """The docstring of `thing`, each of its paragraphs on a line."""
    text = inspect.cleandoc(getattr(thing, "__doc__", None) or "")
    return "\n\n".join(re.sub(r"\s*\n\s*", " ", paragraph) for paragraph in re.split(r"\n\s*\n", text))


def sentence(text: str) -> str:
    """A description as a sentence of its own: with a full stop, and a capital unless a file name comes first."""
    if not text:
        return ""
    first = text.split()[0]
    start = text[0] if "." in first or "/" in first else text[0].upper()
    return start + text[1:] + ("" if text.endswith((".", "?", ":")) else ".")


def listed(names: Sequence[str], last: str = "or") -> str:
    """`a, b or c`."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} {last} {names[-1]}"
