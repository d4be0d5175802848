"""The settings of a `classifier` stage."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, field

from dolma_pipeline.config.recipe_base import Base, Fraction, PositiveInt


class Labelled(Base, frozen=True):
    """Which documents have a label."""

    sources: Annotated[list[str], Meta(description="names of sources; none: all of them")] = []
    where: Annotated[str | None, Meta(description="an expression as in `drop`, true of its documents")] = None


class FastText(Base, frozen=True):
    """How fastText trains: a softmax over the mean of the vectors of words and n-grams."""

    dim: Annotated[PositiveInt, Meta(description="dimensions of the vectors")] = 100
    epoch: Annotated[PositiveInt, Meta(description="times that every document is seen")] = 5
    learning_rate: Annotated[float, Meta(gt=0)] = 0.5
    word_ngrams: Annotated[PositiveInt, Meta(description="longest n-gram of words")] = 2
    min_count: Annotated[PositiveInt, Meta(description="leave out rarer words")] = 3
    bucket: Annotated[int, Meta(ge=1, description="vectors that all n-grams share")] = 200_000
    min_n: Annotated[int, Meta(ge=0, description="shortest n-gram of characters; 0: none")] = 0
    max_n: Annotated[int, Meta(ge=0, description="longest n-gram of characters; 0: none")] = 0
    loss: Literal["softmax", "hs", "ova"] = "softmax"


class Quantize(Base, frozen=True):
    """Make the model some ten times smaller, a `.ftz`, and a little less exact."""

    cutoff: Annotated[int, Meta(ge=0, description="most words and n-grams that are kept; 0: all")] = 0
    retrain: Annotated[bool, Meta(description="train on what is kept, where there is a cutoff")] = False
    qnorm: Annotated[bool, Meta(description="quantise norms apart")] = True
    dsub: Annotated[PositiveInt, Meta(description="numbers of a vector that become one byte")] = 2


class Classifier(Base, frozen=True):
    """Train a fastText classifier on labelled documents, and judge it on some that are held out."""

    labels: Annotated[dict[str, Labelled], Meta(min_length=2, description="which documents; the first rule that holds")]
    name: Annotated[str, Meta(min_length=1, description="name of the model: its file")] = "classifier"
    target: Annotated[str | None, Meta(description="label whose score the thresholds are on; default: the first")] = (
        None
    )
    held_out: Annotated[
        Fraction, Meta(description="share of documents that are not trained on, by hash of id and text")
    ] = 0.1
    max_documents: Annotated[
        PositiveInt | None, Meta(description="most of a label, drawn by hash of id and text; of those held out as well")
    ] = None
    lower: Annotated[bool, Meta(description="lower-case texts, in training and in use")] = False
    strip: Annotated[bool, Meta(description="drop white space at the ends, in training and in use")] = True
    fasttext: FastText = FastText()
    quantize: Quantize | None = None
    removal_rates: Annotated[list[Fraction], Meta(description="shares to find thresholds for")] = field(
        default_factory=lambda: [0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]
    )
    destination: Annotated[
        str | None, Meta(description="file of the model, .bin or .ftz; default: in the work directory")
    ] = None
