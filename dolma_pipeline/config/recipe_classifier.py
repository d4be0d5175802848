"""What a recipe may say of the classifiers that it trains: the stage `classifier`."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, field

from dolma_pipeline.config.recipe_base import Base, Fraction, PositiveInt


class Labelled(Base, frozen=True):
    """Which documents have a label."""

    sources: Annotated[
        list[str], Meta(description="the names of the sources whose documents have the label; none means all")
    ] = []
    where: Annotated[str | None, Meta(description="an expression as in `drop` that must be true of the documents")] = (
        None
    )


class FastText(Base, frozen=True):
    """How fastText trains: a softmax over the mean of the vectors of words and n-grams."""

    dim: Annotated[PositiveInt, Meta(description="the number of dimensions of the vectors")] = 100
    epoch: Annotated[PositiveInt, Meta(description="how often every document is seen")] = 5
    learning_rate: Annotated[float, Meta(gt=0, description="the learning rate at the start, which falls to 0")] = 0.5
    word_ngrams: Annotated[PositiveInt, Meta(description="the length of the longest n-gram of words")] = 2
    min_count: Annotated[PositiveInt, Meta(description="leave out words that occur less often")] = 3
    bucket: Annotated[int, Meta(ge=1, description="the number of vectors that all n-grams share")] = 200_000
    min_n: Annotated[int, Meta(ge=0, description="the length of the shortest n-gram of characters; 0 uses none")] = 0
    max_n: Annotated[int, Meta(ge=0, description="the length of the longest n-gram of characters; 0 uses none")] = 0
    loss: Annotated[
        Literal["softmax", "hs", "ova"],
        Meta(description="the loss: softmax, hierarchical softmax, or one label against all"),
    ] = "softmax"


class Quantize(Base, frozen=True):
    """Make the model about ten times smaller (a `.ftz` file) and a little less exact."""

    cutoff: Annotated[
        int, Meta(ge=0, description="the largest number of words and n-grams that are kept; 0 keeps all")
    ] = 0
    retrain: Annotated[bool, Meta(description="train again on what a `cutoff` keeps")] = False
    qnorm: Annotated[bool, Meta(description="quantise the norms of vectors apart from their directions")] = True
    dsub: Annotated[PositiveInt, Meta(description="how many numbers of a vector become one byte")] = 2


class Classifier(Base, frozen=True):
    """Train a fastText classifier on labelled documents, and judge it on some that are held out."""

    labels: Annotated[
        dict[str, Labelled],
        Meta(min_length=2, description="which documents have which label; the first label that fits counts"),
    ]
    name: Annotated[str, Meta(min_length=1, description="the name of the model, and of its file")] = "classifier"
    target: Annotated[
        str | None, Meta(description="the label whose score the thresholds are for; without it, the first")
    ] = None
    held_out: Annotated[
        Fraction,
        Meta(description="the share of documents that is judged on instead of trained on, by a hash of id and text"),
    ] = 0.1
    max_documents: Annotated[
        PositiveInt | None,
        Meta(
            description="the largest number of documents of a label, drawn by a hash of id and text; held-out ones "
            "are limited too"
        ),
    ] = None
    lower: Annotated[bool, Meta(description="lower-case texts, in training and in use")] = False
    strip: Annotated[bool, Meta(description="remove white space at the ends of texts, in training and in use")] = True
    fasttext: Annotated[FastText, Meta(description="how fastText trains")] = FastText()
    quantize: Annotated[Quantize | None, Meta(description="make the model smaller")] = None
    removal_rates: Annotated[
        list[Fraction], Meta(description="the shares of documents to remove for which thresholds are found")
    ] = field(default_factory=lambda: [0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9])
    destination: Annotated[
        str | None, Meta(description="the file of the model, .bin or .ftz, instead of one in the work directory")
    ] = None
