"""A table that a stage puts into the report of a run: data, so that reports need no module of the stage."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec
from msgspec import Struct

KEY = "table"
"""The detail of a stage that holds its table."""


class Table(Struct, frozen=True, kw_only=True):
    """Rows below a title. A column of numbers alone stands on the right; whole numbers are shown as `1,234`.

    The summary shows the first 20 rows, and the HTML report all of them.
    """

    title: str
    head: Sequence[str]
    rows: Sequence[Sequence[str | int | float]]

    def of_numbers(self) -> list[bool]:
        """Whether each column has numbers alone."""
        return [
            all(isinstance(row[i], int | float) and not isinstance(row[i], bool) for row in self.rows)
            for i in range(len(self.head))
        ]

    def details(self) -> dict[str, Any]:
        """The details of the task whose report shows the table: `Report(details=table.details())`."""
        return {KEY: msgspec.to_builtins(self)}


def table_of(details: Mapping[str, Any]) -> Iterator[Table]:
    """The table in the details of a stage, if there is one; its rows are as long as its head."""
    try:
        found = msgspec.convert(details.get(KEY), Table)
    except msgspec.ValidationError:
        return
    if found.rows and all(len(row) == len(found.head) for row in found.rows):
        yield found
