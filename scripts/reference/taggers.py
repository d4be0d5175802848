"""The page of taggers: what each measures, its attributes and its speed."""

from __future__ import annotations

import re

from dolma_pipeline.taggers.registry import Entry, built_in, speeds
from dolma_pipeline.taggers.second_opinions import UNAVAILABLE
from scripts.reference.markdown import code, join, sentence, table, title

INTRODUCTION = """\
Every tagger of the package by its name; [the guide](../taggers.md) groups them and explains what they are for.
`dolma list` prints the same list with taggers of your own.

An attribute is a number for the document or none (*float64*), or consists of *spans* (start, end and score of parts of
the text, in code points). [Taggers of your own](../taggers.md#your-own) also give *int64*, *string* and *bool*. A rule
reads an attribute as `TAGGER.ATTRIBUTE`. Attributes that are named by a model are
its labels, and those named by the document are what is found in it. The kind says how a tagger works: *native* (Rust),
*model* (a file or package that must be there), *list* (lists of URLs that must be there) or *python*. Speed is MB of
text per second on one core, as measured by `python -m bench.taggers`; machines differ, so use it
to compare taggers."""


def attributes_of(entry: Entry) -> list[tuple[str, str]]:
    """The attributes with their kinds, as far as they are known without a model, a list or documents."""
    if entry.kind == "list":
        return [(name, "float64") for name in entry.attributes]
    if entry.kind == "native":
        return [(name, kind) for name, kind in entry.load().attributes or ()]
    return []


def page() -> str:
    """The whole page."""
    entries = built_in()
    rows = [
        [f"[`{e.name}`](#{e.name.lower()})" if len(attributes_of(e)) > 4 else code(e.name), e.kind, sentence(e.doc),
         _attributes(e), _needs(e), _speed(e.name)]
        for e in entries.values()
    ]  # fmt: skip
    head = ("Tagger", "Kind", "What it measures", "Attributes", "Needs", "MB/s")
    blocks = [*title("Taggers"), INTRODUCTION, table(head, rows), "## Taggers with many attributes"]
    for entry in entries.values():
        found = attributes_of(entry)
        if len(found) > 4:
            blocks += [f"### {entry.name}", sentence(entry.doc)]
            blocks.append(table(("Attribute", "Kind"), [(code(name), kind) for name, kind in found]))
    blocks += ["## Taggers of Dolma that are not here"]
    missing = [[code(name), f"{why}.", code(instead)] for name, (why, instead) in sorted(UNAVAILABLE.items())]
    blocks.append(table(("Tagger", "Why", "Use instead"), missing))
    return join(blocks)


def _attributes(entry: Entry) -> str:
    found = attributes_of(entry)
    if len(found) > 4:
        return f"{len(found)}, see below"
    if not found:
        return "named by the model" if entry.kind == "model" else "named by the document"
    return ", ".join(f"{code(name)} ({kind})" for name, kind in found)


def _needs(entry: Entry) -> str:
    return re.sub(r"[^\s,]*[./][^\s,]*", lambda found: code(found[0]), entry.needs)


def _speed(name: str) -> str:
    found = speeds().get(name)
    return "" if found is None else f"{found:,.3g}" if found < 1000 else f"{found:,.0f}"
