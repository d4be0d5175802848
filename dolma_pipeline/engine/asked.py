"""What a budget of tokens asked for against what a tokenizer then counted, and what a run says at its end."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from dolma_pipeline.engine.registry import role
from dolma_pipeline.engine.task import Counts
from dolma_pipeline.report.units import counted

if TYPE_CHECKING:
    from dolma_pipeline.engine.manifest import StageAccount

TOLERANCE = 0.05
"""How far the tokens may be from those asked for before it is a warning."""


def compare_tokens(stages: Sequence[StageAccount]) -> list[str]:
    """Enters asked and obtained into each `tokens` stage that follows a budget of tokens; a warning if they differ."""
    warnings: list[str] = []
    asked: dict[str, Any] | None = None
    for stage in stages:
        if role(stage) == "filter":
            budget = stage.details.get("budget")
            asked = budget if isinstance(budget, dict) and budget.get("unit") == "tokens" else None
        elif role(stage) == "tokens" and asked is not None and stage.counts:
            stage.details["budget"] = _compared(asked, stage.counts)
            far = _differences(stage, asked)
            if far is not None:
                stage.details["budget"]["warning"] = far
                warnings.append(far)
            asked = None
    return warnings


def _compared(asked: dict[str, Any], counts: dict[str, Counts]) -> dict[str, Any]:
    total = sum(c.tokens for c in counts.values())
    sources = {
        name: {
            "asked": part["asked"],
            "obtained": (found := counts.get(name, Counts())).tokens,
            "share_asked": part["share_asked"],
            "share_obtained": round(found.tokens / total, 4) if total else 0.0,
        }
        for name, part in asked["sources"].items()
    }
    return {"unit": "tokens", "asked": asked["asked"], "obtained": total, "sources": sources}


def _differences(stage: StageAccount, asked: dict[str, Any]) -> str | None:
    budget = stage.details["budget"]
    known = str(asked.get("bytes_per_token", ""))
    far = [
        name
        for name, part in budget["sources"].items()
        if abs(part["obtained"] - part["asked"]) > max(1, TOLERANCE * part["asked"])
    ]
    if not far:
        return None
    found = []
    for name in far:
        tokens, size = stage.counts.get(name, Counts()).tokens, stage.counts.get(name, Counts()).bytes_in
        per = (
            f", {size / tokens:.2f} bytes a token and not {asked['sources'][name]['bytes_per_token']:.2f}"
            if tokens
            else ""
        )
        part = budget["sources"][name]
        found.append(f"source `{name}` has {part['obtained']:,} tokens for the {part['asked']:,} it was asked for{per}")
    size = sum(c.bytes_in for c in stage.counts.values())
    remedy = ""
    if not known.startswith("measured") and budget["obtained"]:
        remedy = f"; `bytes_per_token: {size / budget['obtained']:.2f}` in the budget comes nearer"
    known = {"given": "as given", "measured": "measured on a sample"}.get(known, known)
    return f"{stage.id}: {'; '.join(found)} (bytes per token: {known}){remedy}"


def notes(stages: Iterable[StageAccount]) -> list[str]:
    """Lines for the end of a run: budgets asked and obtained, what could not be judged, what Dolma does otherwise."""
    lines = []
    for stage in stages:
        budget = stage.details.get("budget")
        if isinstance(budget, dict) and "asked" in budget:
            lines.append(f"{stage.id}: {budget_line(budget)}")
            lines += [f"warning: {budget['warning']}"] if "warning" in budget else []
        total = Counts()
        for counts in stage.counts.values():
            total.add(counts)
        for what, number in sorted(total.unjudged.items()):
            lines.append(f"{stage.id}: {what} failed on {counted(number, 'document')}")
        for what, number in sorted(total.differs.items()):
            lines.append(
                f"{stage.id}: {counted(number, 'document')} would be treated otherwise by Dolma 1.2.1 ({what}; see "
                "docs/differences.md)"
            )
    return lines


def budget_line(budget: dict[str, Any]) -> str:
    """`1,000 tokens asked, 998 obtained (a 70.0 % of 70.0 %, b 30.0 % of 30.0 %)`."""
    sources = budget["sources"]
    shares = ", ".join(f"{n} {p['share_obtained']:.1%} for {p['share_asked']:.1%}" for n, p in sources.items())
    line = f"{budget['asked']:,} {budget['unit']} asked, {budget['obtained']:,} obtained"
    known = budget.get("bytes_per_token")
    if known is not None and str(known).startswith("assumed"):
        line += f", 4 bytes per token {known}"
    return f"{line} ({shares})" if len(sources) > 1 else line
