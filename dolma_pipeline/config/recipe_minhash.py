"""What a recipe may say of near-duplicates: the part `minhash` of a `dedupe` stage."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from msgspec import Meta

from dolma_pipeline.config.recipe_base import Base, Fraction, PositiveInt


class KeepBy(Base, frozen=True):
    """Keep a document by a value that it has; exactly one of `newest` and `score`."""

    newest: Annotated[
        str | None,
        Meta(
            description="a field such as `metadata.date`; the document whose text there is last in the alphabet stays, "
            "which of dates such as 2026-11-30 is the newest"
        ),
    ] = None
    score: Annotated[
        str | None,
        Meta(
            description="an attribute such as `quality.score`, or an expression of numbers as in rules; the document "
            "with the largest value stays"
        ),
    ] = None


KeepRule: TypeAlias = Literal["priority", "longest"] | KeepBy


class Verification(Base, frozen=True):
    """When a document that was found is a duplicate: it is compared with the text of those that stay."""

    rule: Annotated[
        Literal["jaccard", "contained"],
        Meta(
            description="`jaccard`: two texts have `threshold` of all their n-grams in common; `contained`: a text "
            "that is not shorter has all n-grams of the one that goes"
        ),
    ] = "jaccard"
    ngrams: Annotated[
        PositiveInt, Meta(description="words, or characters by `unit`, in an n-gram that is compared")
    ] = 3
    threshold: Annotated[
        Fraction,
        Meta(description="the similarity from which two texts are duplicates; `contained` looks at its bands alone"),
    ] = 0.8


class MinHash(Base, frozen=True):
    """Compare documents by the shingles of their text, and mark those whose text is nearly that of one that stays.

    Bands and rows come from at most one of `preset`, `bands` with `rows`, and `threshold`; without any, `thorough`.
    """

    preset: Annotated[
        Literal["thorough", "fineweb", "dolma3"] | None,
        Meta(
            description="`thorough`: 20 bands of 5 rows, which leave more to the comparison of texts; `fineweb`: 14 of "
            "8; `dolma3`: 26 of 11, on words and not on the tokens of a tokenizer as there"
        ),
    ] = None
    bands: Annotated[
        PositiveInt | None,
        Meta(description="bands of a document, which datatrove and duplodocus call `num_buckets`"),
    ] = None
    rows: Annotated[
        PositiveInt | None,
        Meta(
            description="hashes in a band, all of which two documents must share: datatrove's `hashes_per_bucket`, "
            "duplodocus' `bucket_size`",
        ),
    ] = None
    threshold: Annotated[
        Fraction | None,
        Meta(description="the similarity to find nine of ten pairs at; it chooses bands and rows"),
    ] = None
    unit: Annotated[Literal["words", "chars"], Meta(description="what a shingle consists of: words, or characters")] = (
        "words"
    )
    ngram: Annotated[PositiveInt, Meta(description="words or characters in a shingle")] = 5
    seed: Annotated[int, Meta(ge=0, description="the seed of the permutations")] = 0
    verify: Annotated[Verification, Meta(description="which of the documents that were found are duplicates")] = (
        Verification()
    )
    keep: Annotated[
        list[KeepRule],
        Meta(
            description="which document of several stays: `priority` of the source, `longest` text, `newest` field, "
            "largest `score`; where the first rule does not tell, the next one does, and then a hash of the text; "
            "without any, `priority` and `longest`"
        ),
    ] = []
    large_cluster: Annotated[
        int,
        Meta(
            ge=2,
            description="number of linked documents from which only those are compared that a second, stricter choice "
            "of bands brings together",
        ),
    ] = 5000
    memory: Annotated[
        int,
        Meta(
            ge=0,
            description="bytes in which one task may join all links; more of them are joined in rounds over the "
            "partitions, with the same result",
        ),
    ] = 1 << 30
    force: Annotated[
        bool, Meta(description="take bands and rows that find less than 80 % of the pairs at `verify.threshold`")
    ] = False
