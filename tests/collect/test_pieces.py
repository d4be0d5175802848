"""Docstrings and topics by `ast`, on sources of a few lines."""

from __future__ import annotations

import pytest

from dolma_pipeline.collect import pieces

LONG = "Waits for the kettle. " * 10
"""220 code points."""


def test_docstrings_in_order_with_qualified_names_and_kinds() -> None:
    source = f'''"""{LONG}"""
class Kettle:
    """Kettle. {LONG}

    Plain.
        Indented.
    """
    def boil(self):
        """Too short."""
        if True:
            async def inner():
                """Inner. {LONG}"""
    @property
    def heat(self):
        """Get. {LONG}"""
    @heat.setter
    def heat(self, value):
        """Set. {LONG}"""
'''
    assert list(pieces.docstrings(source)) == [
        ("", "module", LONG.strip() + "\n"),
        ("Kettle", "class", f"Kettle. {LONG}\n\nPlain.\n    Indented.\n"),
        ("Kettle.boil.inner", "function", f"Inner. {LONG.strip()}\n"),
        ("Kettle.heat", "function", f"Get. {LONG.strip()}\n"),
        ("Kettle.heat#2", "function", f"Set. {LONG.strip()}\n"),
    ]


@pytest.mark.parametrize(("length", "count"), [(199, 0), (200, 1)])
def test_shortest_docstring(length: int, count: int) -> None:
    assert len(list(pieces.docstrings(f'"""{"é" * length}"""\n'))) == count


def test_what_is_not_python_is_an_error() -> None:
    with pytest.raises(SyntaxError):
        list(pieces.docstrings('"""x"""\nprint "hello"\n'))
    with pytest.raises(ValueError, match=r"^too deeply nested"):
        list(pieces.topics("x = " + "-" * 100_000 + "1"))


def test_topics_are_sorted_and_not_run() -> None:
    source = "import nothing_of_that_name\ntopics = {'with': 'The statement.\\n', 'assert': 'Debug.\\n'}\n"
    assert list(pieces.topics(source)) == [("assert", "topic", "Debug.\n"), ("with", "topic", "The statement.\n")]
    with pytest.raises(ValueError, match="expected an assignment to `topics`, found none"):
        list(pieces.topics("subjects = {}\n"))
    with pytest.raises(ValueError, match="expected `topics` to be a dictionary, found list"):
        list(pieces.topics("topics = []\n"))
