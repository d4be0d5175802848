"""The recipe: sources, then stages, decoded in one strict call into frozen structs.

Field descriptions are what `--help` prints. An unknown key is an error that names its `$.path` (see load.py). The kinds
of stages are those of `engine.registry`, and those that a recipe brings with it by `stage_modules`.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType, defstruct

from dolma_pipeline.config.recipe_base import AttributeFormat as AttributeFormat
from dolma_pipeline.config.recipe_base import Base as Base
from dolma_pipeline.config.recipe_base import DocumentFormat as DocumentFormat
from dolma_pipeline.config.recipe_base import Fraction as Fraction
from dolma_pipeline.config.recipe_base import PositiveInt as PositiveInt
from dolma_pipeline.config.recipe_classifier import Classifier as Classifier
from dolma_pipeline.config.recipe_classifier import FastText as FastText
from dolma_pipeline.config.recipe_classifier import Labelled as Labelled
from dolma_pipeline.config.recipe_classifier import Quantize as Quantize
from dolma_pipeline.config.recipe_documents import Bloom as Bloom
from dolma_pipeline.config.recipe_documents import CustomTagger as CustomTagger
from dolma_pipeline.config.recipe_documents import Dedupe as Dedupe
from dolma_pipeline.config.recipe_documents import DocumentKey as DocumentKey
from dolma_pipeline.config.recipe_documents import KeyPart as KeyPart
from dolma_pipeline.config.recipe_documents import Mix as Mix
from dolma_pipeline.config.recipe_documents import Ngrams as Ngrams
from dolma_pipeline.config.recipe_documents import Paragraphs as Paragraphs
from dolma_pipeline.config.recipe_documents import Stat as Stat
from dolma_pipeline.config.recipe_documents import Sweep as Sweep
from dolma_pipeline.config.recipe_documents import Tag as Tag
from dolma_pipeline.config.recipe_minhash import KeepBy as KeepBy
from dolma_pipeline.config.recipe_minhash import MinHash as MinHash
from dolma_pipeline.config.recipe_minhash import Verification as Verification
from dolma_pipeline.config.recipe_mix import Budget as Budget
from dolma_pipeline.config.recipe_mix import Edit as Edit
from dolma_pipeline.config.recipe_mix import OnError as OnError
from dolma_pipeline.config.recipe_mix import Select as Select
from dolma_pipeline.config.recipe_tokenizer import Fertility as Fertility
from dolma_pipeline.config.recipe_tokenizer import Tokenizer as Tokenizer
from dolma_pipeline.config.recipe_tokenizer import TrainTokenizer as TrainTokenizer
from dolma_pipeline.config.recipe_tokens import MOST_COPIES as MOST_COPIES
from dolma_pipeline.config.recipe_tokens import Convert as Convert
from dolma_pipeline.config.recipe_tokens import Pack as Pack
from dolma_pipeline.config.recipe_tokens import Reshard as Reshard
from dolma_pipeline.config.recipe_tokens import Tokens as Tokens
from dolma_pipeline.config.recipe_tokens import Train as Train
from dolma_pipeline.engine.registry import BUILT_IN
from dolma_pipeline.formats.columns import Columns


class Source(Base, frozen=True):
    """Where documents come from; a source has exactly one of `documents`, `collect` and `tokens`."""

    documents: Annotated[
        str | list[str] | None, Meta(description="a glob of document files (JSON lines or Parquet), or a list of globs")
    ] = None
    columns: Annotated[
        Columns | None,
        Meta(description="the names of the fields that hold `id`, `text` and so on, if documents call them otherwise"),
    ] = None
    collect: Annotated[
        str | None, Meta(description="a built-in collection of text that any Python installation has")
    ] = None
    tokens: Annotated[
        str | None,
        Meta(
            description="a directory of token files (ours, Dolma's, Megatron's or datatrove's), for `reshard` and "
            "`convert`"
        ),
    ] = None
    attributes: Annotated[
        list[str],
        Meta(description="names of attribute files that exist already, beside the documents or in `attributes_dir`"),
    ] = []
    attributes_dir: Annotated[
        str | None,
        Meta(
            description="a directory of attribute files that recipes share: `tag` and `dedupe` write to "
            "`EXPERIMENT/` in it, "
            "and `attributes` are read from there"
        ),
    ] = None
    destination: Annotated[
        str | None,
        Meta(description="the directory to which a `tag` stage writes its attribute files, instead of the default"),
    ] = None
    document_dir: Annotated[str, Meta(description="the part of each path that `attributes/<experiment>` replaces")] = (
        "documents"
    )
    priority: Annotated[int, Meta(description="the duplicate in the source with the higher number stays")] = 0
    order: Annotated[
        Literal["name", "given"],
        Meta(
            description="the order of the files: by name, or pattern by pattern as `documents` lists them (as Dolma "
            "does)"
        ),
    ] = "name"


class AnyStage(Base, frozen=True):
    """One stage; it has exactly one key, which is its kind."""


if TYPE_CHECKING:

    class Stage(AnyStage, frozen=True):
        """A stage of a built-in kind."""

        def __init__(self, **config: Struct) -> None: ...

        def __getattr__(self, kind: str) -> Any: ...

else:
    Stage = defstruct(
        "Stage",
        [(kind.kind, kind.config_type | UnsetType, UNSET) for kind in BUILT_IN],
        bases=(AnyStage,),
        module=__name__,
        frozen=True,
    )
    Stage.__doc__ = AnyStage.__doc__


def configs(stage: AnyStage) -> dict[str, Struct]:
    """The settings in a stage by its kind: one, in a recipe that is valid."""
    found = {kind: getattr(stage, kind) for kind in stage.__struct_fields__}
    return {kind: config for kind, config in found.items() if config is not UNSET}


def config_of(stage: AnyStage) -> Struct | None:
    """The settings of a stage; None for one without any."""
    return next(iter(configs(stage).values()), None)


class Recipe(Base, frozen=True):
    """A recipe: which documents, and which stages they go through."""

    name: Annotated[str, Meta(min_length=1, description="the name of the recipe, to which its work directory belongs")]
    work_dir: Annotated[str, Meta(min_length=1, description="the directory that everything is written to")]
    sources: Annotated[dict[str, Source], Meta(min_length=1, description="the sources of documents by name")]
    stages: Annotated[list[Stage], Meta(min_length=1, description="the stages in the order in which they run")]
    stage_modules: Annotated[
        list[str], Meta(description="modules, .py files or package directories that add kinds of stages")
    ] = []
    scratch_dir: Annotated[
        Annotated[str, Meta(min_length=1)] | None,
        Meta(
            description="the directory for files between two phases, which are removed when their stage is done; by "
            "default they are in the work directory"
        ),
    ] = None
    seed: Annotated[int, Meta(description="the seed of every random choice")] = 17
    layout: Annotated[
        Literal["work_dir", "beside"],
        Meta(description="the place of attribute files: the work directory, or beside the documents as with Dolma"),
    ] = "work_dir"
    max_bad_fraction: Annotated[
        Fraction,
        Meta(description="the largest share of documents or files that may be unreadable; above it the run exits 3"),
    ] = 0.01
    piece_bytes: Annotated[
        PositiveInt,
        Meta(
            description="the most stored bytes in a piece of a large file of documents: one of eight pieces or more "
            "is divided, so that several processes share it"
        ),
    ] = 32 << 20


@functools.lru_cache(maxsize=16)
def recipe_form(kinds: tuple[tuple[str, type[Struct]], ...] = ()) -> type[Recipe]:
    """The type of a recipe whose stages may be of these `kinds`, with their settings, beside the built-in ones."""
    if not kinds:
        return Recipe
    fields: list[Any] = [(kind, config | UnsetType, UNSET) for kind, config in kinds]
    stage = defstruct("Stage", fields, bases=(Stage,), module=__name__, frozen=True)
    stages = ("stages", Annotated[list[stage], Meta(min_length=1)])  # type: ignore[valid-type]
    form = defstruct("Recipe", [stages], bases=(Recipe,), module=__name__, frozen=True, kw_only=True)
    assert issubclass(form, Recipe)
    return form
