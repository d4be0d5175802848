"""A tagger of your own with a text, a whole number and a flag; licence_tagger.yaml drops documents by them.

Run it in a directory with documents in `data/web/documents`:

    dolma run licence_tagger.yaml
"""

from __future__ import annotations

import re

from dolma_pipeline import tagger

LICENCE = re.compile(r"creativecommons\.org/licenses/([a-z-]+)")


@tagger("licence_v1", attributes={"licence": "string", "links": "int64", "free": "bool"})
def licence(text: str) -> dict[str, object]:
    """The licence that a text links to first, how often it links to one, and whether it may be changed and sold."""
    found = LICENCE.findall(text)
    return {
        "licence": found[0] if found else None,
        "links": len(found),
        "free": found[0] in ("by", "by-sa") if found else None,
    }
