"""A text as a line of fastText's training file, so that training sees the very tokens that a tagger will."""

from __future__ import annotations

import re

from msgspec import Struct

PREFIX = "__label__"
END = "</s>"
SPACES = " \t\n\v\f\r\0"
"""Where fastText splits; a Unicode space is a letter to it."""
_LABEL = re.compile(rf"(?:^|(?<=[{SPACES}])){PREFIX}[^{SPACES}]*")
_END = re.compile(rf"(?:^|(?<=[{SPACES}])){END}(?=$|[{SPACES}])")


class TextForm(Struct, frozen=True, kw_only=True):
    """What happens to a text first, by Python's methods of these names; a line break always becomes a space."""

    lower: bool = False
    strip: bool = True


def training_line(text: str, form: TextForm) -> str:
    """`text` on one line, without its label; empty where fastText would find no word in it.

    A prediction passes over words that look like labels and ends at a word `</s>`. In a training file the same words
    would add labels and cut the document in two, so here they are gone.
    """
    if form.lower:
        text = text.lower()
    text = text.replace("\n", " ")
    if form.strip:
        text = text.strip()
    if END in text and (found := _END.search(text)):
        text = text[: found.start()]
    if PREFIX in text:
        text = _LABEL.sub("", text)
    return text if text.strip(SPACES) else ""
