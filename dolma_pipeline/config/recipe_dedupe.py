"""What a recipe may say of duplicates: the stage `dedupe`."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from dolma_pipeline.config.recipe_base import AttributeFormat, Base, Fraction, PositiveInt


class DocumentKey(Base, frozen=True):
    """Compare whole documents: they are duplicates if their keys are equal."""

    key: Annotated[
        str, Meta(description="the field that is compared, such as `text` or `metadata.url`; it holds strings")
    ] = "text"
    attribute: Annotated[str, Meta(description="the name of the attribute that marks duplicates")] = "duplicate"


class Ngrams(Base, frozen=True):
    """Compare paragraphs by their n-grams of words rather than as wholes."""

    length: Annotated[PositiveInt, Meta(description="words in an n-gram")] = 13
    stride: Annotated[
        int, Meta(ge=0, description="words from the start of one n-gram to the next; 0 and 1 both take every n-gram")
    ] = 0
    overlap_threshold: Annotated[
        Fraction, Meta(description="the share of n-grams that must have been seen for a paragraph to be a duplicate")
    ] = 1.0
    skip_short_paragraphs: Annotated[
        bool, Meta(description="leave out paragraphs of fewer than two n-grams, instead of comparing them as a whole")
    ] = False


class Paragraphs(Base, frozen=True):
    """Compare paragraphs: one is a duplicate if its text was seen before, anywhere in the corpus."""

    separator: Annotated[str, Meta(min_length=1, description="the string between paragraphs")] = "\n"
    ngrams: Annotated[
        Ngrams | None, Meta(description="compare paragraphs by n-grams of words; without it, by their whole text")
    ] = None
    attribute: Annotated[str, Meta(description="the name of the attribute that marks duplicates")] = "duplicate"


class Bloom(Base, frozen=True):
    """A Bloom filter takes constant memory and has a chosen share of false positives."""

    false_positive_rate: Annotated[
        float,
        Meta(gt=0.0, lt=1.0, description="the share of new keys that are taken for duplicates when all keys are in"),
    ] = 1e-6
    size_in_bytes: Annotated[
        int,
        Meta(
            ge=0, description="the size of the filter, all partitions together; 0 computes it from the number of keys"
        ),
    ] = 0
    estimated_keys: Annotated[
        int, Meta(ge=0, description="the number of keys to expect; 0 counts those of the corpus")
    ] = 0
    file: Annotated[
        str | None, Meta(description="the file that the filter is loaded from, if it exists, and saved to")
    ] = None
    read_only: Annotated[bool, Meta(description="mark what the filter in `file` holds, and add nothing to it")] = False


class KeyPart(Base, frozen=True):
    """Which part of the keys is compared, in one of several jobs that share the work; each marks what it finds."""

    index: Annotated[int, Meta(ge=0, description="which part this run compares, from 0")]
    of: Annotated[int, Meta(ge=1, le=4096, description="how many parts there are")]


class Dedupe(Base, frozen=True):
    """Mark documents or paragraphs that were seen before, in input order.

    A stage has exactly one of `documents` and `paragraphs`.
    """

    name: Annotated[
        str,
        Meta(min_length=1, description="the name of the stage, of its attribute files and of its attributes in rules"),
    ]
    documents: Annotated[DocumentKey | None, Meta(description="compare documents by one of their fields")] = None
    paragraphs: Annotated[Paragraphs | None, Meta(description="compare paragraphs by their text")] = None
    bloom: Annotated[
        Bloom | None, Meta(description="use a Bloom filter, which is approximate; without it the comparison is exact")
    ] = None
    partitions: Annotated[
        int,
        Meta(
            ge=1,
            le=4096,
            description="into how many parts keys are divided, which is the parallel work; a Bloom filter depends on "
            "it",
        ),
    ] = 8
    part: Annotated[
        KeyPart | None,
        Meta(description="compare only the keys of one part, in one of several jobs that share the work"),
    ] = None
    skip_empty: Annotated[
        bool, Meta(description="leave out documents or paragraphs without text other than white space")
    ] = True
    min_length: Annotated[int, Meta(ge=0, description="leave out documents or paragraphs of fewer code points")] = 0
    min_words: Annotated[
        int, Meta(ge=0, description="leave out documents or paragraphs of fewer words, as white space divides them")
    ] = 0
    format: Annotated[AttributeFormat, Meta(description="the format of the attribute files")] = "parquet"
