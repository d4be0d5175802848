"""Columns: where documents that somebody else made keep what Dolma calls `id`, `text` and so on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

Name = Annotated[str, Meta(min_length=1)]


class Columns(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """The columns (Parquet) or fields (JSON lines) that hold what Dolma calls `id`, `text` and so on.

    A dotted name reaches into objects: `metadata.body`. A field that stands where a mapped one goes is kept as
    `original_<name>`.
    """

    id: Annotated[
        str | UnsetType | None,
        Meta(
            description="the field of the id, which holds strings or integers; null makes ids from the texts, as if "
            "there were no `id`"
        ),
    ] = UNSET
    text: Annotated[str, Meta(min_length=1, description="the field of the text")] = "text"
    source: Annotated[Name | UnsetType, Meta(description="the field of the name of the source")] = UNSET
    url: Annotated[
        str | UnsetType, Meta(description="the field of the address, which becomes metadata.url; URL taggers read it")
    ] = UNSET
    added: Annotated[
        Name | UnsetType, Meta(description="the field of the time at which the document was collected")
    ] = UNSET
    created: Annotated[
        Name | UnsetType, Meta(description="the field of the time at which the document was written")
    ] = UNSET
    version: Annotated[Name | UnsetType, Meta(description="the field of the version of the collection")] = UNSET
    metadata: Annotated[str | UnsetType, Meta(description="the field of an object that becomes the metadata")] = UNSET
    as_dolma: Annotated[
        bool,
        Meta(
            description="accept an id of any kind or none, and the last of equal keys, as Dolma's `mix` and `dedupe` "
            "do; it excludes the other keys, and is for `tag`, `dedupe` and a `mix` behind them",
            # The commands that may read documents so do it anyway.
            extra={"option": False},
        ),
    ] = False

    def rules(self) -> list[tuple[str, str | None]]:
        """(name in a document, column) of all that are mapped; a column of None for an id made from the text."""
        given = [(f, getattr(self, f)) for f in self.__struct_fields__ if f != "as_dolma"]
        return [(field, column) for field, column in given if column is not UNSET]


AS_DOLMA = Columns(as_dolma=True)
MARK = "\0"
"""What an id begins with that is no string: its JSON follows. See ids.rs."""


def rules_of(columns: Columns | None) -> list[tuple[str, str | None]] | None:
    """The rules as the native reader takes them; None where documents have the standard names."""
    return columns.rules() if columns is not None and not columns.as_dolma else None


def takes_any_id(columns: Columns | None, path: str) -> bool:
    """Whether the ids of the documents in `path` may be any values: those of Parquet are strings always."""
    return columns is not None and columns.as_dolma and not path.endswith(".parquet")


def shown_id(identifier: str) -> str:
    """An id as a message or a tagger has it: a string as it is, of any other value the JSON."""
    return identifier.removeprefix(MARK)


def with_fields(columns: Columns | None, text_field: str, id_field: str | None) -> Columns | None:
    """The mapping under which `text_field` is read as the text and `id_field` as the id."""
    text_field = text_field.removeprefix("$.")
    if text_field != "text":
        columns = msgspec.structs.replace(columns or Columns(), text=text_field)
    if id_field != "id":
        columns = msgspec.structs.replace(columns or Columns(), id=id_field)
    return columns


def missing_column(name: str, found: Sequence[str], likely: Sequence[str] = ()) -> str:
    """Says that there is no column `name`, which there are, and how to name another; `likely` hold text."""
    listed = ", ".join(f"`{n}`" for n in found) or "none"
    if name == "id":
        hint = "; `columns: {id: NAME}` says where it is, `columns: {id: null}` makes ids from the texts"
    elif name == "text":
        hint = f"; `columns: {{text: {next(iter(likely), 'NAME')}}}` says where it is"
    else:
        hint = ""
    return f"expected a column `{name}`, found {listed}{hint}"
