"""Fields of documents in rules: `doc.language_score`, `metadata.lang`, each read as what its place in a rule wants."""

from __future__ import annotations

from collections.abc import Collection

import pyarrow as pa
import pyarrow.compute as pc

from dolma_pipeline import _native
from dolma_pipeline.errors import DataError
from dolma_pipeline.formats.documents import Documents
from dolma_pipeline.mixers.nodes import EXACT
from dolma_pipeline.mixers.syntax import DOCUMENT

NUMBER, TEXT, TRUTH = "number", "text", "truth"
DIGITS = "digits"
"""How the name of a column begins that has numbers as they are written."""
_EMPTY = ("false", '""', "[]", "{}")


def needs_lines(keys: Collection[str]) -> bool:
    """Whether documents must be read with their lines to find these."""
    return any(":" in key for key in keys)


def field_columns(documents: Documents, keys: Collection[str]) -> dict[str, pa.Array]:
    """A column for each of `keys` that is a field, as in `number:doc.score`; null where a value is of another kind.

    `truth`: whether the value is other than false, 0 and empty; null where there is none. Beside a `number` so large
    that a double rounds it there is a column `digits`, with the values as they are written.
    """
    found: dict[str, pa.Array] = {}
    for key in keys:
        kind, colon, name = key.partition(":")
        if not colon:
            continue
        path = name.removeprefix(DOCUMENT)
        if kind == TEXT:
            found[key] = documents.field(path)
            continue
        if documents.raw is None:
            raise DataError(f"field `{name}`: expected documents read with keep_raw=True")
        values = _native.json_field(documents.raw, path)
        found[key] = _numbers(values) if kind == NUMBER else _truth(values)
        if kind == NUMBER and pc.any(pc.greater_equal(pc.abs(found[key]), EXACT)).as_py():
            found[f"{DIGITS}:{name}"] = values
    return found


def digits_of(keys: Collection[str]) -> list[str]:
    """Returns the columns of digits that `field_columns` may give beside those of `keys`."""
    return [f"{DIGITS}:{key.removeprefix(f'{NUMBER}:')}" for key in keys if key.startswith(f"{NUMBER}:")]


def present(documents: Documents, name: str) -> int:
    """How many documents have a value, other than null, in the field that a rule calls `name`."""
    if documents.raw is None:
        raise DataError(f"field `{name}`: expected documents read with keep_raw=True")
    return len(documents) - int(_native.json_field(documents.raw, name.removeprefix(DOCUMENT)).null_count)


def _numbers(values: pa.LargeStringArray) -> pa.DoubleArray:
    number = pc.fill_null(pc.match_substring_regex(values, r"^-?[0-9]"), False)
    return pc.if_else(number, values, pa.scalar(None, pa.large_string())).cast(pa.float64())


def _truth(values: pa.LargeStringArray) -> pa.BooleanArray:
    empty = pc.is_in(values, value_set=pa.array(_EMPTY, pa.large_string()))
    zero = pc.fill_null(pc.equal(_numbers(values), 0.0), False)
    return pc.if_else(values.is_valid(), pc.invert(pc.or_(empty, zero)), pa.scalar(None, pa.bool_()))
