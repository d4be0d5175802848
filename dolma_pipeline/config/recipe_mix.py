"""What a mix selects, edits and samples: the parts of a `mix` stage."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from msgspec import Meta, Struct, field


class Part(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """Immutable, and strict about its keys, as all of a recipe is."""


OnError: TypeAlias = Literal["fail", "keep", "drop"]


class Select(Part, frozen=True):
    """Dolma's filters: a document stays if any `include` matches (or there is none) and no `exclude` does."""

    include: list[str] = []
    exclude: list[str] = []
    syntax: Literal["jsonpath", "jq"] = "jsonpath"
    on_error: Annotated[
        OnError, Meta(description="if an expression fails on a document: end the run, keep the document, or drop it")
    ] = "fail"


class Edit(Part, frozen=True):
    """One change of the text, exactly one of `replace`, `cut` and `span`, where min_score <= score < max_score."""

    replace: Annotated[str | None, Meta(description="`tagger.attribute` whose spans become `with`")] = None
    with_: Annotated[str, Meta(description="what takes the place of the span")] = field(default="", name="with")
    cut: Annotated[str | None, Meta(description="`tagger.attribute` whose spans are removed")] = None
    span: Annotated[str | None, Meta(description="Dolma's form: expression that selects the spans")] = None
    replacement: Annotated[
        str,
        Meta(description="for `span`: `{}` is the original text; after `$` comes a jq program, as in `$.metadata.url`"),
    ] = ""
    syntax: Annotated[Literal["jsonpath", "jq"], Meta(description="for `span`")] = "jsonpath"
    on_error: Annotated[
        OnError,
        Meta(
            description="if `span` or `replacement` fails on a document: end the run, keep the document without this "
            "edit, or drop it"
        ),
    ] = "fail"
    min_score: float | None = None
    max_score: float | None = None


class Budget(Part, frozen=True):
    """How much to keep, in all, and of what: documents are sampled by a keyed hash of their id, file and line."""

    tokens: Annotated[Annotated[int, Meta(ge=1)] | None, Meta(description="bytes / bytes_per_token of each source")] = (
        None
    )
    bytes: Annotated[Annotated[int, Meta(ge=1)] | None, Meta(description="bytes of text, in UTF-8")] = None
    weights: Annotated[dict[str, float], Meta(description="share of each source; without it, as they come")] = {}
    max_epochs: Annotated[float, Meta(gt=0, description="most often a document may be repeated")] = 1.0
    bytes_per_token: Annotated[
        Annotated[float, Meta(gt=0)] | None,
        Meta(
            description="default: measured on a sample of each source with the tokenizer that the `tokens` stage after "
            "this mix is given, else 4"
        ),
    ] = None
