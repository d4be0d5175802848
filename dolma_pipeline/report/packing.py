"""What packing into instances came to, in a line for both reports."""

from __future__ import annotations

from dolma_pipeline.engine.manifest import StageAccount
from dolma_pipeline.report.units import counted, share


def packing(stage: StageAccount) -> str:
    """`packed by best_fit: 1,200 instances, 0.2% padding, 31 documents in pieces`; nothing where nothing was packed."""
    packed = stage.details.get("packed")
    if not isinstance(packed, dict):
        return ""
    facts = [
        counted(packed["instances"], "instance"),
        f"{share(packed['padding'], packed['tokens']) or '0%'} padding",
    ]
    if packed["fragmented"]:
        facts.append(f"{counted(packed['fragmented'], 'document')} in pieces")
    if packed["dropped_tokens"]:
        documents = counted(packed["truncated"], "document")
        facts.append(f"{counted(packed['dropped_tokens'], 'token')} of {documents} left out")
    return f"packed by {packed['by']}: {', '.join(facts)}"
