"""The module `dolma` as the tests of Dolma 1.2.1 import it, answered by dolma_pipeline; used by run_upstream.py alone.

`dolma.core.*` are the modules of `dolma_pipeline.compat.core`. What belongs to no public face of Dolma (classes of
built-in taggers, `main`, the tokenizer) is translated here.
"""

import importlib
import sys

CORE = ("data_types", "errors", "ft_tagger", "parallel", "paths", "registry", "runtime", "taggers", "utils")

for name in ("core", *(f"core.{each}" for each in CORE)):
    sys.modules[f"dolma.{name}"] = importlib.import_module(f"dolma_pipeline.compat.{name}")

from dolma_pipeline.compat import BaseTagger, add_tagger  # noqa: E402

__all__ = ["BaseTagger", "add_tagger"]
