"""What rules found in the documents: how many they are true of, and how many have the names that they read.

A rule on a name that no document has does nothing, and nothing in its result says so. These counts add up over shards,
so that a run can tell it at its end; see `dolma_pipeline.engine.idle_rules`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any, NamedTuple

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from dolma_pipeline.formats.documents import Documents
from dolma_pipeline.mixers.expression import Rule
from dolma_pipeline.mixers.fields import present

HITS, READS, THERE, REACHED = "hits", "reads", "there", "reached"
SAMPLE = 100
"""Documents of a file that are asked for their names, where a rule names one that they lack."""
MOST_NAMES = 60
"""Most names of a file that are kept."""
MOST_SOURCES = 30
DEEPEST = 3
"""Levels of objects whose names are told."""
ATTRIBUTES = "attributes."


class Beside(NamedTuple):
    """What stands beside a batch of documents."""

    rows: list[pa.LargeBinaryArray]
    """JSON objects of attributes."""
    keys: list[str]
    """Attributes that are columns."""


class Use:
    """Counts of a task; places of rules are paths below its mix, such as `drop.short` and `select.include[0]`."""

    def __init__(self) -> None:
        self.rules: dict[str, dict[str, Any]] = {}
        """What each rule found. `hits`: documents it is true of; `reads`: documents, by name, that have what the rule
        reads as it wants it; `there`: documents that have the field at all, where none has it as the rule wants it."""
        self.names: dict[str, int] = {}
        """Fields that some documents have, where a rule names one that is missing."""
        self.sources: dict[str, int] = {}
        """The values of `source`, where a rule on it is true of no document."""
        self.without: dict[str, dict[str, int]] = {}
        """Attributes that filters name, and the files whose documents do not have them."""
        self.lacking: dict[str, dict[str, int]] = {}
        """Experiments that rules name, and the sources beside whose files they are not: how many files."""
        self._sampled = [False, False]
        """Whether the names of this file's documents, and of the attributes beside them, are kept."""
        self._in_file: dict[str, int] = {}

    def details(self) -> dict[str, Any]:
        """What a report has of it."""
        found = {
            "rules": self.rules,
            "names": self.names,
            "sources": self.sources,
            "without": self.without,
            "lacking": self.lacking,
        }
        return {key: value for key, value in found.items() if value}

    def begin_file(self) -> None:
        self._sampled, self._in_file = [False, False], {}

    def end_file(self, label: str) -> None:
        """Notes which attributes no document of a file had."""
        for name, documents in self._in_file.items():
            if not documents:
                self.without.setdefault(name, {})[label] = 1

    def file_lacks(self, experiment: str, source: str) -> None:
        """Counts a file of `source` that has no attributes of an experiment which rules name."""
        sources = self.lacking.setdefault(experiment, {})
        sources[source] = sources.get(source, 0) + 1

    def rule(self, name: str, rule: Rule, hits: int, columns: Mapping[str, pa.Array], documents: Documents) -> None:
        """Counts a `drop` rule in a batch."""
        place = f"drop.{name}"
        self.hits(place, hits)
        for key in rule.fields:
            _, colon, field = key.partition(":")
            if not colon:
                continue
            have = len(documents) - int(columns[key].null_count)
            self._add(place, READS, key, have)
            if not have:
                self._add(place, THERE, field, present(documents, field))
                self.sample(documents.raw)
        if "source" in rule.fields and not hits:
            for value in pc.value_counts(documents.source).to_pylist():
                source = value["values"]
                if source is not None and (source in self.sources or len(self.sources) < MOST_SOURCES):
                    self.sources[source] = self.sources.get(source, 0) + value["counts"]

    def reached(self, name: str, hits: int, documents: int) -> None:
        """Counts a `drop` rule on computed attributes in a batch, which only `documents` of it have reached."""
        self.hits(f"drop.{name}", hits)
        entry = self.rules[f"drop.{name}"]
        entry[REACHED] = entry.get(REACHED, 0) + documents

    def hits(self, place: str, hits: int) -> None:
        entry = self.rules.setdefault(place, {HITS: 0})
        entry[HITS] += hits

    def expression(self, place: str, field: str, seen: int) -> None:
        """Counts the documents that have a field which a jq program or a JSONPath reads."""
        self._add(place, READS, field, seen)
        if field.startswith(ATTRIBUTES):
            self._in_file[field] = self._in_file.get(field, 0) + seen

    def discarded(self, field: str, documents: Documents) -> None:
        """Looks for a field that is to be left out, until a document has it."""
        if not self.rules.get("discard_fields", {}).get(READS, {}).get(field):
            seen = present(documents, field)
            self._add("discard_fields", READS, field, seen)
            if not seen:
                self.sample(documents.raw)

    def sample(self, documents: pa.LargeBinaryArray | None, beside: Beside | None = None) -> None:
        """Keeps the names of the first documents of a file; `beside`: of its attributes too."""
        found: dict[str, int] = {}
        if not self._sampled[0] and documents is not None:
            self._sampled[0] = True
            _count(documents, "", found)
        if not self._sampled[1] and beside is not None:
            self._sampled[1] = True
            found |= {f"{ATTRIBUTES}{key}": SAMPLE for key in beside.keys}
            for rows in beside.rows:
                _count(rows, ATTRIBUTES, found)
        for name, count in islice(sorted(found.items(), key=lambda item: (-item[1], item[0])), MOST_NAMES):
            self.names[name] = self.names.get(name, 0) + count

    def _add(self, place: str, kind: str, name: str, count: int) -> None:
        entry = self.rules.setdefault(place, {HITS: 0}).setdefault(kind, {})
        entry[name] = entry.get(name, 0) + count


def _count(lines: pa.LargeBinaryArray, prefix: str, found: dict[str, int]) -> None:
    """Adds the names in the first of these JSON objects to `found`."""
    for line in lines.slice(0, SAMPLE).to_pylist():
        try:
            names = set(_below(msgspec.json.decode(line or b"{}"), prefix, 1))
        except msgspec.DecodeError:
            continue
        for name in names:
            found[name] = found.get(name, 0) + 1


def _below(value: Any, prefix: str, depth: int) -> Iterator[str]:
    for key, inner in value.items() if isinstance(value, dict) else ():
        if isinstance(inner, dict) and inner and depth < DEEPEST:
            yield from _below(inner, f"{prefix}{key}.", depth + 1)
        else:
            yield f"{prefix}{key}"
