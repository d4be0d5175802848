"""Runs taggers of Dolma 1.2.1: {"taggers": [...], "texts": [...]} in, {tagger: [attributes of each text]} out, as JSON.

For the interpreter that $DOLMA_PYTHON names; this project's own cannot import Dolma.
"""

import json
import sys

from dolma.core.data_types import InputSpec
from dolma.core.registry import TaggerRegistry

asked = json.load(sys.stdin)
found = {}
for name in asked["taggers"]:
    tagger = TaggerRegistry.get(name)()
    found[name] = [tagger.tag(InputSpec(id=str(i), text=text)) for i, text in enumerate(asked["texts"])]
json.dump(found, sys.stdout)
