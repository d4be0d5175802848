"""What a mix selects, edits and samples: the parts of a `mix` stage."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from msgspec import Meta, field

from dolma_pipeline.config.recipe_base import Base

OnError: TypeAlias = Literal["fail", "keep", "drop"]


class Select(Base, frozen=True):
    """Dolma's filters: a document stays if any `include` matches (or there is none) and no `exclude` does."""

    include: Annotated[list[str], Meta(description="expressions of which one must match")] = []
    exclude: Annotated[list[str], Meta(description="expressions of which none may match")] = []
    syntax: Annotated[Literal["jsonpath", "jq"], Meta(description="the language of the expressions")] = "jsonpath"
    on_error: Annotated[
        OnError,
        Meta(
            description="what to do when an expression fails on a document: end the run, keep the document, or drop it"
        ),
    ] = "fail"


class Edit(Base, frozen=True):
    """One change of the text, where min_score <= score < max_score.

    It has exactly one of `replace`, `cut` and `span`.
    """

    replace: Annotated[
        str | None, Meta(description="the attribute, as `tagger.attribute`, whose spans are replaced by `with`")
    ] = None
    with_: Annotated[str, Meta(description="the text that replaces a span of `replace`")] = field(
        default="", name="with"
    )
    cut: Annotated[str | None, Meta(description="the attribute, as `tagger.attribute`, whose spans are removed")] = None
    span: Annotated[str | None, Meta(description="an expression that selects the spans, in the form of Dolma")] = None
    replacement: Annotated[
        str,
        Meta(
            description="the text that replaces a span of `span`: `{}` is the original text, and `$` begins a jq "
            "program"
        ),
    ] = ""
    syntax: Annotated[Literal["jsonpath", "jq"], Meta(description="the language of `span`")] = "jsonpath"
    on_error: Annotated[
        OnError,
        Meta(
            description="what to do when `span` or `replacement` fails on a document: end the run, keep the document "
            "without this edit, or drop it"
        ),
    ] = "fail"
    min_score: Annotated[float | None, Meta(description="leave spans with a lower score as they are")] = None
    max_score: Annotated[float | None, Meta(description="leave spans with this score or a higher one as they are")] = (
        None
    )


class Budget(Base, frozen=True):
    """How much to keep, in all and of each source. Documents are sampled by a keyed hash of their id, file and line."""

    tokens: Annotated[
        Annotated[int, Meta(ge=1)] | None,
        Meta(description="how many tokens to keep, as bytes divided by `bytes_per_token`"),
    ] = None
    bytes: Annotated[
        Annotated[int, Meta(ge=1)] | None, Meta(description="how many bytes of text to keep, in UTF-8")
    ] = None
    weights: Annotated[
        dict[str, float],
        Meta(description="the share of each source by name; without it, sources keep the shares that they have"),
    ] = {}
    max_epochs: Annotated[float, Meta(gt=0, description="how often a document may be used at most")] = 1.0
    bytes_per_token: Annotated[
        Annotated[float, Meta(gt=0)] | None,
        Meta(
            description="bytes in a token; without it, measured on a sample of each source with the tokenizer that the "
            "`tokens` stage behind this mix is given, or 4 if that one is trained in the run"
        ),
    ] = None
