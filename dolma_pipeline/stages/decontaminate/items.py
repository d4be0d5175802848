"""The items of evaluation sets, as tokens."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from msgspec import Struct

from dolma_pipeline import _native
from dolma_pipeline.errors import DataError
from dolma_pipeline.formats.columns import Columns
from dolma_pipeline.formats.documents import Documents, read_documents
from dolma_pipeline.stages.decontaminate.config import EvaluationFields

Tokens = npt.NDArray[np.uint64]
PARTS = ("question", "answer", "passage")


class Item(Struct, frozen=True, kw_only=True):
    """An item of an evaluation set."""

    evaluation: str
    name: str
    """`FILE:LINE`, without the directory of the file."""
    question: str
    answer: str
    passage: str
    tokens: tuple[Tokens, Tokens, Tokens]
    """The hashes of the words of question, answer and passage."""

    @property
    def words(self) -> int:
        return sum(len(part) for part in self.tokens)


def read_items(files: Mapping[str, Sequence[str]], fields: EvaluationFields) -> list[Item]:
    """Returns the items of all sets in the order of their files.

    Raises DataError at the first line that is no item: one without a string as its question.
    """
    items: list[Item] = []
    for evaluation, paths in files.items():
        for path in paths:
            columns = Columns(id=None, text=fields.question)
            stream = read_documents(path, columns=columns, keep_raw=True)
            for documents in stream:
                for bad in stream.take_bad():
                    raise DataError(_expected(path, bad.line, fields, bad.reason))
                items += _items(evaluation, path, documents, fields)
            for bad in stream.take_bad():
                raise DataError(_expected(path, bad.line, fields, bad.reason))
            if stream.damage is not None:
                raise DataError(f"{path}: {stream.damage}")
    return items


def _expected(path: str, line: int, fields: EvaluationFields, reason: str) -> str:
    return f"{path}:{line}: expected an evaluation item with a string in `{fields.question}`: {reason}"


def _items(evaluation: str, path: str, documents: Documents, fields: EvaluationFields) -> list[Item]:
    parts = [
        _filled(documents.text),
        _filled(documents.field(fields.answer)),
        _filled(documents.field(fields.passage)),
    ]
    tokens = [words_of(part) for part in parts]
    name = path.rpartition("/")[2]
    return [
        Item(
            evaluation=evaluation,
            name=f"{name}:{line}",
            question=question,
            answer=answer,
            passage=passage,
            tokens=(tokens[0][row], tokens[1][row], tokens[2][row]),
        )
        for row, (line, question, answer, passage) in enumerate(
            zip(documents.line.to_pylist(), *(part.to_pylist() for part in parts), strict=True)
        )
    ]


def _filled(column: pa.Array) -> pa.Array:
    return column.fill_null("")


def words_of(texts: pa.Array) -> list[Tokens]:
    """Returns the hashes of the words of each text."""
    flat, offsets = flat_words(texts)
    return [flat[begin:end] for begin, end in itertools.pairwise(offsets)]


def flat_words(texts: pa.Array) -> tuple[Tokens, npt.NDArray[np.int64]]:
    """Returns the hashes of the words of all texts, and where those of each text begin and end among them."""
    found = _native.minhash_tokens(texts, unit="words")
    offsets = found.offsets.to_numpy().astype(np.int64)
    values: Tokens = found.values.to_numpy()
    return values, offsets
