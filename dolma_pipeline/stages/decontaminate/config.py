"""What a recipe may say of `decontaminate`."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from dolma_pipeline.config.recipe_base import AttributeFormat, Base, Fraction, PositiveInt

NGRAM = {"overlap": 5, "ngrams": 13, "paragraphs": 0}
"""The default length of n-grams of each method, in words."""


class EvaluationFields(Base, frozen=True):
    """The fields of an evaluation item; a dotted name reaches into objects."""

    question: Annotated[str, Meta(min_length=1, description="the field of the question, or of the whole text")] = (
        "question"
    )
    answer: Annotated[str, Meta(min_length=1, description="the field of the answer, which items may lack")] = "answer"
    passage: Annotated[
        str, Meta(min_length=1, description="the field of the passage that a question is about, which items may lack")
    ] = "passage"


class Decontaminate(Base, frozen=True):
    """Mark documents that hold items of evaluation sets; nothing is dropped."""

    evaluations: Annotated[
        dict[str, str | list[str]],
        Meta(
            min_length=1,
            description="evaluation sets by name: files or globs of items, JSON lines or Parquet, whose `question` "
            "is a string",
        ),
    ]
    name: Annotated[
        str,
        Meta(min_length=1, description="the name of the stage, of its attribute files and of its attributes in rules"),
    ] = "decontaminate"
    method: Annotated[
        Literal["overlap", "ngrams", "paragraphs"],
        Meta(
            description="`overlap`: the words of an item stand in the document in the same order, rare words counting "
            "more; `ngrams`: item and document share n-grams; `paragraphs`: they share a paragraph of more than 12 "
            "words, as in Paloma"
        ),
    ] = "overlap"
    ngram: Annotated[
        PositiveInt | None,
        Meta(
            description="words of an n-gram; `overlap` looks for an item wherever one of its n-grams stands (default "
            "5), `ngrams` compares them (default 13)"
        ),
    ] = None
    threshold: Annotated[
        Fraction | None,
        Meta(
            description="the score from which a document is contaminated: of `overlap` the share of an item that is "
            "found (default 0.8), of `ngrams` the share of its n-grams (default: one n-gram)"
        ),
    ] = None
    fields: Annotated[EvaluationFields, Meta(description="the fields of an item that hold its parts")] = (
        EvaluationFields()
    )
    min_words: Annotated[
        int, Meta(ge=1, description="leave out items of fewer words, which are found everywhere; a run says how many")
    ] = 20
    alarm: Annotated[
        Fraction, Meta(description="warn when more than this share of a source's documents is contaminated")
    ] = 0.001
    format: Annotated[AttributeFormat, Meta(description="the format of the attribute files")] = "parquet"

    @property
    def words(self) -> int:
        """Words of an n-gram."""
        return self.ngram if self.ngram is not None else NGRAM[self.method]

    @property
    def least(self) -> float:
        """The score from which a document is contaminated."""
        if self.threshold is not None:
            return self.threshold
        return 0.8 if self.method == "overlap" else 0.0
