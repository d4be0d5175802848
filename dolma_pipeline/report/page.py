"""A page that needs nothing else: style and charts inside, no script, no network."""

from __future__ import annotations

from pathlib import Path

from dolma_pipeline.io.atomic import write_text
from dolma_pipeline.io.package import package_text
from dolma_pipeline.report.markup import Content, Markup, element
from dolma_pipeline.secrets import hide_in_page


def page(kind: str, what: str, title: str, facts: str, *content: Content) -> str:
    """The whole page: `kind` (`run report`) for the window, `what` it tells above the title, `facts` below it."""
    style = package_text("report", "style.css")
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("title", f"{title}: {kind}"),
        # The style sheet is ours and holds no `<`: escaping it would break its child selectors.
        element("style", Markup(style)),
    )
    header = element(
        "header",
        element("p", what, class_="kicker"),
        element("h1", title),
        element("p", facts, class_="soft"),
    )
    body = element("body", element("main", header, content))
    return f"<!DOCTYPE html>\n{element('html', head, body, lang='en')}\n"


def write_page(path: Path, text: str) -> None:
    """Writes a page, without the values of environment variables that the configuration used."""
    write_text(path, hide_in_page(text))
