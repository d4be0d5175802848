"""Raw text to training tokens to a trained, judged language model.

Recipes are YAML files for the command line (`dolma run recipe.yaml`), or Python values:

    import dolma_pipeline as dp

    made = dp.recipe(
        "small",
        {"web": dp.Source(documents="web/documents/*.jsonl.gz")},
        [
            dp.Tag(experiment="base", taggers=["gopher_v2", "char_length_v1"]),
            dp.Dedupe(name="exact", documents=dp.DocumentKey(key="text", attribute="duplicate")),
            dp.Mix(name="kept", drop={"short": "base.char_length_v1.length < 100", "duplicate": "exact.duplicate"}),
        ],
        work_dir="runs/small",
    )
    print(dp.plan(made))                  # the phases, and what is up to date
    done = dp.run(made, processes=2)      # resumes where an interrupted run stopped
    print(done.dropped().to_pandas())     # documents that each rule dropped

    recipe, load_recipe                   a recipe from its parts, or from a file
    plan, run, open_run, verify, clean    what a run would do; do it; its results; check them; free room
    explain, sample_rule                  why a document stayed or went; documents that a rule dropped
    Run.counts, dropped, quarantined      the account of every document, as Arrow tables
    tag                                   what taggers say of texts in memory
    read_documents, read_attributes       batches of a run's files, or of any
    TokenDataset                          token files as a dataset for PyTorch
    tagger, batch_tagger, BaseTagger      taggers of your own

Names are imported on first use, so that the command line starts without pyarrow.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dolma_pipeline.api import (
        Bloom,
        Budget,
        Classifier,
        Cleaned,
        Columns,
        Convert,
        CustomTagger,
        Decontaminate,
        Dedupe,
        DocumentKey,
        DolmaError,
        Edit,
        EvaluationFields,
        Fertility,
        KeepBy,
        MinHash,
        Mix,
        Pack,
        Paragraphs,
        Plan,
        Recipe,
        Reshard,
        Run,
        Sampled,
        Source,
        Stage,
        Stat,
        Story,
        Tag,
        TokenDataset,
        Tokenizer,
        Tokens,
        Train,
        Verification,
        clean,
        explain,
        load_recipe,
        open_run,
        plan,
        read_attributes,
        read_documents,
        recipe,
        run,
        sample_rule,
        tag,
        verify,
    )
    from dolma_pipeline.taggers import (
        BaseTagger,
        BaseTaggerWithMetadata,
        DocResult,
        Document,
        Span,
        add_tagger,
        batch_tagger,
        tagger,
    )

__version__ = "0.1.0"
_TAGGERS = (
    "BaseTagger",
    "BaseTaggerWithMetadata",
    "DocResult",
    "Document",
    "Span",
    "add_tagger",
    "batch_tagger",
    "tagger",
)
__all__ = [
    "BaseTagger",
    "BaseTaggerWithMetadata",
    "Bloom",
    "Budget",
    "Classifier",
    "Cleaned",
    "Columns",
    "Convert",
    "CustomTagger",
    "Decontaminate",
    "Dedupe",
    "DocResult",
    "Document",
    "DocumentKey",
    "DolmaError",
    "Edit",
    "EvaluationFields",
    "Fertility",
    "KeepBy",
    "MinHash",
    "Mix",
    "Pack",
    "Paragraphs",
    "Plan",
    "Recipe",
    "Reshard",
    "Run",
    "Sampled",
    "Source",
    "Span",
    "Stage",
    "Stat",
    "Story",
    "Tag",
    "TokenDataset",
    "Tokenizer",
    "Tokens",
    "Train",
    "Verification",
    "__version__",
    "add_tagger",
    "batch_tagger",
    "clean",
    "explain",
    "load_recipe",
    "open_run",
    "plan",
    "read_attributes",
    "read_documents",
    "recipe",
    "run",
    "sample_rule",
    "tag",
    "tagger",
    "verify",
]


def __getattr__(name: str) -> Any:
    """Returns a public name, imported on its first use."""
    if name not in __all__:
        raise AttributeError(f"module `dolma_pipeline` has no attribute `{name}`")
    home = "dolma_pipeline.taggers" if name in _TAGGERS else "dolma_pipeline.api"
    return getattr(importlib.import_module(home), name)


def __dir__() -> list[str]:
    """Returns the public names, those that are not imported yet too."""
    return sorted(__all__)
