"""Runs taggers of Dolma 1.2.1: {"taggers": [...], "texts": [...]} in, {tagger: [attributes of each text]} out, as JSON.

`metadata`: an object for each text, for taggers that read it. `lists`: tagger -> list file to use instead of its own.
`models`: tagger -> model file. Where a tagger raises, null.

For the interpreter that $DOLMA_PYTHON names; this project's own cannot import Dolma.
"""

import json
import sys

from dolma.core import ft_tagger
from dolma.core.data_types import InputSpec, InputSpecWithMetadata
from dolma.core.registry import TaggerRegistry
from dolma.taggers import url

asked = json.load(sys.stdin)
texts = asked["texts"]
metadata = asked.get("metadata") or [{}] * len(texts)
url.cached_path = ft_tagger.cached_path = lambda path: path
found = {}
for name in asked["taggers"]:
    kind = TaggerRegistry.get(name)
    if name in asked.get("lists", {}):
        kind.BLOCKLIST_PATHS = [asked["lists"][name]]
    if name in asked.get("models", {}):
        kind.MODEL_PATH = asked["models"][name]
    tagger = kind()
    specs = InputSpecWithMetadata if asked.get("metadata") else InputSpec
    rows = []
    for i, text in enumerate(texts):
        more = {"metadata": metadata[i]} if specs is InputSpecWithMetadata else {}
        try:
            rows.append(tagger.tag(specs(id=str(i), text=text, **more)))
        except (ValueError, ZeroDivisionError):
            rows.append(None)
    found[name] = rows
json.dump(found, sys.stdout)
