"""Markup that text cannot break."""

from __future__ import annotations

from dolma_pipeline.report.markup import Markup, element, text


def test_text_is_escaped_and_markup_is_not() -> None:
    assert element("p", "a < b & ", element("b", '"c"')) == "<p>a &lt; b &amp; <b>&quot;c&quot;</b></p>"
    assert text(["<", Markup("<i>"), ["&"]]) == "&lt;<i>&amp;"


def test_what_html_cannot_hold_is_replaced() -> None:
    assert text("a\x00b\x1bc\n\ud800") == "a\ufffdb\ufffdc\n?"


def test_attributes() -> None:
    assert (
        element("rect", x=1.5, y=2, width="50%", class_="a", rx=None) == '<rect x="1.5" y="2" width="50%" class="a"/>'
    )
    assert (
        element("svg", view_box="0 0 1 1", aria_label='"<') == '<svg viewBox="0 0 1 1" aria-label="&quot;&lt;"></svg>'
    )
    assert element("meta", name="viewport") == '<meta name="viewport"/>'
