"""HTML and SVG that cannot be broken by what is put into them: text is escaped unless it was made here."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from typing import TypeAlias

VOID = frozenset({"meta", "rect", "line", "circle", "path", "polyline"})
UNSEEN = {c: "\ufffd" for c in (*range(0x20), *range(0x7F, 0xA0), 0xFFFE, 0xFFFF) if chr(c) not in "\t\n\r"}
"""Control characters: not allowed in HTML, escaped or not."""


class Markup(str):
    """A string that is markup already."""

    __slots__ = ()


Content: TypeAlias = "str | Iterable[Content]"
"""Strings, Markup among them, and sequences of them to any depth."""


def text(content: Content) -> Markup:
    """`content` as markup: plain strings escaped, Markup as it is, the parts of an iterable one after the other."""
    if isinstance(content, Markup):
        return content
    if isinstance(content, str):
        # A lone surrogate, which JSON can spell, could not be written as UTF-8.
        whole = content.encode("utf-8", "replace").decode()
        return Markup(escape(whole.translate(UNSEEN)))
    return Markup("".join(text(part) for part in content))


def element(name: str, /, *content: Content, **attributes: str | float | None) -> Markup:
    """`<name attributes>content</name>`; an attribute of None is left out, `class_` is `class`, `view_box` `viewBox`.

    Numbers are written with at most three decimals.
    """
    written = "".join(f' {_name(key)}="{_value(value)}"' for key, value in attributes.items() if value is not None)
    if name in VOID and not content:
        return Markup(f"<{name}{written}/>")
    return Markup(f"<{name}{written}>{text(content)}</{name}>")


def _name(key: str) -> str:
    return "viewBox" if key == "view_box" else key.rstrip("_").replace("_", "-")


def _value(value: str | float) -> str:
    if isinstance(value, str):
        return text(value)
    return f"{value:.3f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)
