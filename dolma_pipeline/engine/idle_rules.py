"""Rules that did nothing: those on names that no document has are warned about, those that were never true are noted.

The counts are in the account of each mix, added up over its files (see `mixers.use`), so that a run that is up to date
says the same as the one that did the work.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from dolma_pipeline.config.recipe import Mix, Recipe, config_of
from dolma_pipeline.engine.registry import role
from dolma_pipeline.errors import listed
from dolma_pipeline.report.units import count, counted

if TYPE_CHECKING:
    from dolma_pipeline.engine.manifest import StageAccount

LISTED = 12
"""Most names in a message."""
DROP_IN = {"select": "filter", "edit": "span_replacement", "discard_fields": "output.discard_fields"}
"""How `dolma mix` calls the parts of a mix."""
AUTOMATIC = "drop.tagger_failed"
"""The rule that a mix adds by itself, where taggers may set documents aside: most often there are none."""
_SOURCE = re.compile(r"(?<![\w.`])source(?![\w.`])")
DOCUMENT, METADATA, ATTRIBUTES = "doc.", "metadata.", "attributes."


def warnings(recipe: Recipe, stages: Sequence[StageAccount]) -> list[str]:
    """A sentence for each name in a rule that none of the documents has."""
    return [line for mix, stage in _mixes(recipe, stages) for line in _Told(recipe, mix, stage).warnings()]


def notes(recipe: Recipe, stages: Sequence[StageAccount]) -> list[str]:
    """A sentence for each rule that was true of no document, though documents have what it reads."""
    return [line for mix, stage in _mixes(recipe, stages) for line in _Told(recipe, mix, stage).notes()]


def idle(use: dict[str, Any], documents: int) -> list[str]:
    """Places of rules and edits that did nothing, in the order of the account."""
    rules = use.get("rules", {}) if documents else {}
    # An expression of `select` has no hits of its own.
    whole = [p for p in rules if p == "select" or p.startswith("drop.") or (p.startswith("edit[") and p.endswith("]"))]
    return [place for place in whole if not rules[place].get("hits") and place != AUTOMATIC]


def _mixes(recipe: Recipe, stages: Sequence[StageAccount]) -> Iterator[tuple[int, StageAccount]]:
    for stage in stages:
        number, _, _ = stage.id.partition("-")
        if role(stage) == "filter" and number.isdigit() and "use" in stage.details:
            yield int(number) - 1, stage


class _Told:
    """What is to be said of one mix."""

    def __init__(self, recipe: Recipe, number: int, stage: StageAccount) -> None:
        mix = config_of(recipe.stages[number])
        self.mix = mix if isinstance(mix, Mix) else Mix()
        self.number = number
        self.use: dict[str, Any] = stage.details["use"]
        self.documents = sum(c.documents_in for c in stage.counts.values())

    def where(self, place: str) -> str:
        """The path in the recipe, or the key of the configuration that `dolma mix` was given."""
        if not self.mix.as_dolma:
            return f"$.stages[{self.number}].mix.{place}"
        for own, key in DROP_IN.items():
            if place.startswith(own):
                place = key + place.removeprefix(own)
        return f"stream `{self.mix.name}`: {place}"

    def warnings(self) -> list[str]:
        if not self.documents:
            return []
        lines = []
        for place, entry in self.use.get("rules", {}).items():
            for key, seen in entry.get("reads", {}).items():
                if seen:
                    continue
                kind, colon, name = key.rpartition(":")
                there = entry.get("there", {}).get(name, 0)
                told = self._other_kind(kind, name, there) if colon and there else self._missing(place, key, name)
                hits = entry.get("hits", 0)
                if place.startswith("drop.") and colon:
                    text = self.mix.drop.get(place.removeprefix("drop."), "")
                    told += f"; `{text}` was true of {counted(hits, 'document')}"
                lines.append(f"{self.where(place)}: {told}")
        for experiment, sources in self.use.get("lacking", {}).items():
            for source, files in sources.items():
                lines.append(
                    f"{self._stage()}: there are no attributes of `{experiment}` beside {counted(files, 'file')} of "
                    f"source `{source}`, so rules on them are unknown for its documents; name `{experiment}` in "
                    f"$.sources.{source}.attributes, or tag its files before"
                )
        for name, files in self.use.get("without", {}).items():
            if any(entry.get("reads", {}).get(name) for entry in self.use["rules"].values()):
                lines.append(
                    f"{self._stage()}: no document of {counted(len(files), 'file')} has the attribute "
                    f"`{name.removeprefix(ATTRIBUTES)}`, which a filter or span asks for, though other files have it; "
                    f"the first: {min(files)}"
                )
        return lines

    def notes(self) -> list[str]:
        quiet = self.use.get("rules", {})
        lines = []
        for place in idle(self.use, self.documents):
            if place.startswith("drop."):
                name = place.removeprefix("drop.")
                reads = quiet[place].get("reads", {})
                if any(not seen for seen in reads.values()):
                    # It has a warning.
                    continue
                text = self.mix.drop[name]
                sources = sorted(self.use.get("sources", {}))
                known = f"; their sources are {_some(sources)}" if sources else "; none of them has a `source`"
                known = known if _SOURCE.search(text) else ""
                reached = quiet[place].get("reached")
                of = self._all() if reached is None else f"the {counted(reached, 'document')} that reached it"
                lines.append(f"{self.where(place)}: `{text}` was true of none of {of}{known}")
            elif place == "select":
                lines.append(f"{self.where(place)}: left out none of {self._all()}")
            else:
                lines.append(f"{self.where(place)}: changed nothing in {self._all()}")
        return lines

    def _stage(self) -> str:
        return f"stream `{self.mix.name}`" if self.mix.as_dolma else f"$.stages[{self.number}].mix"

    def _all(self) -> str:
        return counted(self.documents, "document")

    def _other_kind(self, kind: str, name: str, there: int) -> str:
        want, found = ("a number", "text") if kind == "number" else ("a text", "number")
        other = (
            "a text is compared with a quoted text, by `==` or `!=`"
            if found == "text"
            else "a number is compared with a number, without quotes"
        )
        return (
            f"expected {want} in field `{name}`, found none in {self._all()}, of which {count(there)} have something "
            f"else there, so that the comparison is unknown; {other}"
        )

    def _missing(self, place: str, key: str, name: str) -> str:
        """Names are spelled as the rule spells them: as fields of `drop` rules, or as paths of jq or JSONPath."""
        begin = "" if place.startswith("drop.") or place == "discard_fields" else self._begin(place)
        have = [_spelled(n, begin) for n in sorted(self.use.get("names", {})) if begin or not n.startswith(ATTRIBUTES)]
        if place == "discard_fields":
            have = sorted({n.partition(".")[0] for n in self.use.get("names", {})})
        shown = f"{begin}{name}"
        near = _nearest(shown, have)
        what = "a field"
        known = self._known(have, near)
        if name.startswith(ATTRIBUTES):
            what, own = "an attribute", [n for n in have if n.startswith(f"{begin}{ATTRIBUTES}")]
            place = "stream" if self.mix.as_dolma else "source"
            known = (
                self._known(own, near)
                if own
                else f"; they have no attributes at all: name experiments in `attributes` of the {place}, or tag before"
            )
        return f"expected {what} that documents have, found `{shown}`, which none of {self._all()} has{near}{known}"

    @staticmethod
    def _known(names: list[str], near: str) -> str:
        if not names:
            return ""
        listing = f"documents have: {_some(names)}"
        return f" ({listing})" if near else f"; write one of those that {listing}"

    def _begin(self, place: str) -> str:
        if place.startswith("select"):
            syntax = self.mix.select.syntax if self.mix.select is not None else "jsonpath"
        else:
            syntax = self.mix.edit[int(place[len("edit[") : place.index("]")])].syntax
        return "$." if syntax == "jsonpath" else "."


def _nearest(name: str, have: list[str]) -> str:
    """`; did you mean ...?`, by the last part of each name: those before it are alike in most."""
    last = {n.rpartition(".")[2]: n for n in reversed(have)}
    near = difflib.get_close_matches(name.rpartition(".")[2], list(last), n=1, cutoff=0.6)
    return f"; did you mean `{last[near[0]]}`?" if near else ""


def _spelled(name: str, begin: str) -> str:
    """A name that documents have, as a rule would call it."""
    if begin:
        return f"{begin}{name}"
    return name if name.startswith(METADATA) or name in ("id", "source") else f"{DOCUMENT}{name}"


def _some(names: list[str]) -> str:
    more = len(names) - LISTED
    return listed(names[:LISTED]) + (f" and {more} more" if more > 0 else "")
