"""Stories as text for a terminal."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from dolma_pipeline.explanation.story import RuleAnswer, StageStory, Story
from dolma_pipeline.report.units import counted

SPANS = 3
"""Number of spans of an attribute that are shown."""
WIDTH = 100
"""Characters of a value that are shown."""


def render(story: Story) -> str:
    """Returns a story as lines: the document, each stage, the outcome."""
    lines = [f"{story.place}: document {story.id} of source {story.source}", f"  {_short(story.text)}"]
    for stage in story.stages:
        lines.append(stage.stage)
        lines += [f"  {line}" for line in _stage(stage)]
    lines.append(f"=> {story.outcome}")
    return "\n".join(lines)


def _stage(stage: StageStory) -> Iterator[str]:
    yield from _pairs({key: _value(value) for key, value in stage.attributes.items()})
    if stage.first is not None:
        yield f"first seen at {stage.first}"
    if stage.pair is not None:
        yield f"{stage.pair.words_in_common:.1%} of its words stand in {stage.pair.place} in the same order"
        for each in stage.pair.differences:
            yield f"  - {_short(each.here)}"
            yield f"  + {_short(each.there)}"
    if stage.note is not None:
        yield stage.note
    reached = True
    for rule in stage.rules:
        yield _rule(rule, reached)
        reached = reached and not rule.answer
    if stage.dropped_by is not None:
        yield f"dropped by the rule `{stage.dropped_by}`"
    elif stage.bytes_after is not None:
        yield from _kept(stage)
    for part in stage.tokens:
        yield f"{counted(part.end - part.start, 'token')}: {part.file} {part.start}..{part.end}"


def _kept(stage: StageStory) -> Iterator[str]:
    for edit, count in stage.edited.items():
        yield f"edited: {counted(count, 'span')} {edit}"
    if stage.bytes_before != stage.bytes_after:
        yield f"text: {stage.bytes_before} -> {counted(stage.bytes_after or 0, 'byte')}"
    if stage.copies == 0:
        yield "kept by the rules, but the budget had no room for it"
    elif stage.copies == 1:
        yield f"written to {stage.written[0]}"
    else:
        yield f"written {stage.copies} times, first to {stage.written[0]}"


def _rule(rule: RuleAnswer, reached: bool) -> str:
    values = ", ".join(f"{name} = {_value(value)}" for name, value in rule.values.items())
    sign = "x" if rule.answer else " "
    later = "" if reached else "   (not reached)"
    return f"[{sign}] {rule.name}: {_short(rule.expression)}   {values}{later}"


def _pairs(values: dict[str, str]) -> Iterator[str]:
    width = max(map(len, values), default=0)
    for key, value in values.items():
        yield f"{key:<{width}}  {value}"


def _value(value: Any) -> str:
    if isinstance(value, list):
        shown = ", ".join(f"{s['start']}..{s['end']} ({s['score']:g})" for s in value[:SPANS])
        more = f" and {len(value) - SPANS} more" if len(value) > SPANS else ""
        return f"{counted(len(value), 'span')}: {shown}{more}"
    if value is None:
        return "none"
    return f"{value:g}" if isinstance(value, float) else _short(str(value))


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= WIDTH else f"{line[: WIDTH - 1]}…"
