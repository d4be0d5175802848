"""The Python names of Dolma 1.2.1 that taggers, converters and scripts import, on top of this package.

Change `dolma` to `dolma_pipeline.compat` in the imports, and the file runs here:

    from dolma.core.registry import TaggerRegistry                 # before
    from dolma_pipeline.compat.core.registry import TaggerRegistry  # after

All names can also be imported from `dolma_pipeline.compat` itself. docs/compat.md lists them.
"""

from dolma_pipeline.compat.core.data_types import (
    DocResult,
    Document,
    DocumentWithMetadata,
    DocumentWithMetadataAndAttributes,
    InputSpec,
    InputSpecWithMetadata,
    InputSpecWithMetadataAndAttributes,
    OutputSpec,
    Span,
    TextSlice,
)
from dolma_pipeline.compat.core.errors import (
    DolmaConfigError,
    DolmaError,
    DolmaFatalError,
    DolmaRetryableFailure,
    DolmaShardError,
)
from dolma_pipeline.compat.core.ft_tagger import BaseFastTextTagger, Prediction
from dolma_pipeline.compat.core.parallel import BaseParallelProcessor, QueueType
from dolma_pipeline.compat.core.paths import (
    add_suffix,
    cached_path,
    glob_path,
    is_glob,
    join_path,
    make_relative,
    mkdir_p,
    parent,
    split_glob,
    split_path,
    sub_prefix,
    sub_suffix,
)
from dolma_pipeline.compat.core.registry import BaseRegistry, TaggerRegistry, add_tagger
from dolma_pipeline.compat.core.runtime import create_and_run_tagger
from dolma_pipeline.compat.core.taggers import BaseTagger, BaseTaggerWithMetadata
from dolma_pipeline.compat.core.utils import (
    import_modules,
    make_variable_name,
    split_paragraphs,
    split_sentences,
    split_words,
)

__all__ = [
    "BaseFastTextTagger",
    "BaseParallelProcessor",
    "BaseRegistry",
    "BaseTagger",
    "BaseTaggerWithMetadata",
    "DocResult",
    "Document",
    "DocumentWithMetadata",
    "DocumentWithMetadataAndAttributes",
    "DolmaConfigError",
    "DolmaError",
    "DolmaFatalError",
    "DolmaRetryableFailure",
    "DolmaShardError",
    "InputSpec",
    "InputSpecWithMetadata",
    "InputSpecWithMetadataAndAttributes",
    "OutputSpec",
    "Prediction",
    "QueueType",
    "Span",
    "TaggerRegistry",
    "TextSlice",
    "add_suffix",
    "add_tagger",
    "cached_path",
    "create_and_run_tagger",
    "glob_path",
    "import_modules",
    "is_glob",
    "join_path",
    "make_relative",
    "make_variable_name",
    "mkdir_p",
    "parent",
    "split_glob",
    "split_paragraphs",
    "split_path",
    "split_sentences",
    "split_words",
    "sub_prefix",
    "sub_suffix",
]
