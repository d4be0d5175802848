"""Slow twins of the taggers of source code, in plain Python."""

from __future__ import annotations

import ast
import html.parser
import io
import re
import tokenize
import unicodedata
from collections.abc import Callable

from tests.taggers.twins import Scores, paragraphs, token_pieces


def copyright_comments(text: str) -> Scores:
    if not text:
        return {"copyright_notice": [], "comment_block": [], "doc": -1.0}
    notice, block = [], []
    comment = re.search(r"/\*.*?\*/", text, re.DOTALL)
    if comment is not None:
        if "copyright" in comment[0].lower():
            notice.append((*comment.span(), 1.0))
    else:
        start = re.match(r"(?:(?://|#|--)[^\n]*(?:\n|\Z)|\n)*", text)
        if start is not None and start[0]:
            block.append((0, start.end(), 1.0))
    return {
        "copyright_notice": notice,
        "comment_block": block,
        "doc": sum(end - start for start, end, _ in notice + block) / len(text),
    }


def redpajama(text: str, is_word: Callable[[str], bool]) -> Scores:
    lines = [len(line) for line in text.splitlines()]
    return {
        "max_line_length_doc": max(lines, default=0),
        "avg_line_length_doc": sum(lines) / max(len(lines), 1),
        "alnum_prop_doc": sum(map(str.isalnum, text)) / max(len(text), 1),
        "alpha_token_prop_doc": sum(map(str.isalpha, text)) / token_pieces(text, is_word),
    }


def all_punctuation(text: str) -> Scores:
    def fits(c: str) -> bool:
        blank = c.isspace() and not "\x1c" <= c <= "\x1f"
        return (
            blank
            or unicodedata.category(c)[0] in "PS"
            or "\u2600" <= c <= "\u27bf"
            or "\U0001f300" <= c <= "\U0001f64f"
        )

    found = [
        (start, end, 1.0) for start, end, p in paragraphs(text) if not re.search("[a-zA-Z0-9]", p) and all(map(fits, p))
    ]
    return {"all_punct": found or [(0, len(text), 0.0)]}


def python_prose(source: str) -> str:
    """Docstrings and comments of a source that this Python parses."""
    nodes = [n for n in ast.walk(ast.parse(source)) if isinstance(n, (ast.ClassDef, ast.FunctionDef, ast.Module))]
    order = {ast.ClassDef: 0, ast.FunctionDef: 1, ast.Module: 2}
    nodes.sort(key=lambda n: (order[type(n)], getattr(n, "name", "")))
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    comments = "".join(t.string.replace("#", "") for t in tokens if t.type == tokenize.COMMENT)
    return "\n".join([*(d for n in nodes if (d := ast.get_docstring(n))), comments]).strip()


class _Text(html.parser.HTMLParser):
    """White space alone between two tags is one character, but in `<pre>`."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.hidden = self.keeping = 0
        self.text = self.node = ""

    def flush(self) -> None:
        blank = not self.node.strip(" \t\n\r\f") and not self.keeping
        self.text += self.node[:1] if blank else self.node
        self.node = ""

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.flush()
        self.hidden += tag in ("script", "style", "template")
        self.keeping += tag in ("pre", "textarea")

    def handle_endtag(self, tag: str) -> None:
        self.flush()
        self.hidden -= self.hidden > 0 and tag in ("script", "style", "template")
        self.keeping -= self.keeping > 0 and tag in ("pre", "textarea")

    def handle_comment(self, data: str) -> None:
        self.flush()

    def handle_decl(self, decl: str) -> None:
        self.flush()

    def handle_data(self, data: str) -> None:
        self.node += "" if self.hidden else data


def visible(page: str) -> str:
    """What a well-formed page shows."""
    parser = _Text()
    parser.feed(page)
    parser.close()
    parser.flush()
    return parser.text
