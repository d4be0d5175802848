"""What a mix does to each document of a file: the rule that drops it, or the text it leaves with."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from msgspec import Struct

from dolma_pipeline import _native
from dolma_pipeline.formats.attributes import AttributeCursor, attribute_keys
from dolma_pipeline.formats.documents import BadLine, Documents, read_documents
from dolma_pipeline.mixers.edits import Edits
from dolma_pipeline.mixers.expression import compile_all, first_hits, resolve_all
from dolma_pipeline.mixers.names import resolve
from dolma_pipeline.recipe import Mix

SELECT = "select"
"""The rule under which documents count that Dolma's include and exclude filters drop."""
TOO_SHORT = "min_text_length"


class MixInput(Struct, frozen=True, kw_only=True):
    """A file of documents and the attribute files beside it."""

    path: str
    label: str
    """How provenance calls the file."""
    attributes: dict[str, str]
    """Experiment: file."""
    quarantine: str | None = None


@dataclass(frozen=True)
class Decision:
    """On the documents of one batch."""

    documents: Documents
    rule: npt.NDArray[np.int16]
    """Which rule drops each, by its place in `Decider.rules`; -1: none."""
    texts: pa.LargeStringArray | None
    """The new texts, null where nothing is changed."""
    edited: dict[str, int] = field(default_factory=dict)
    """Spans changed in the documents that stay, by edit."""

    @property
    def kept(self) -> npt.NDArray[np.bool_]:
        return self.rule < 0

    def sizes(self) -> npt.NDArray[np.int64]:
        """UTF-8 bytes of each text as it will be written."""
        return _byte_lengths(_final(self.documents.text, self.texts))


class Decider:
    """A mix, compiled; decides file after file."""

    def __init__(self, mix: Mix, names: Mapping[str, tuple[str, str]]) -> None:
        self.rules = [SELECT, *mix.drop, TOO_SHORT]
        self.bad: list[BadLine] = []
        """Bad lines of the last file."""
        self.warnings: list[str] = []
        self._mix = mix
        self._names = dict(names)
        self._drop = compile_all(mix.drop, "$.mix.drop")
        self._fields = {f for rule in self._drop.values() for f in rule.fields}
        self._edits = Edits(mix.edit)
        self._selector = None
        if mix.select is not None:
            select = mix.select
            self._selector = _native.Selector(select.include, select.exclude, select.syntax)
        self._raw = self._selector is not None or self._edits.needs_raw

    def decisions(self, source: MixInput) -> Iterator[Decision]:
        """The batches of one file in order. What could not be read is then in `bad` and `warnings`."""
        self.bad, self.warnings = [], []
        wanted: dict[str, list[str]] = {}
        for experiment, key in self._names.values():
            wanted.setdefault(experiment, []).append(key)
        experiments = list(source.attributes) if self._raw else list(wanted)
        cursors = {
            e: AttributeCursor(source.attributes[e], sorted(set(wanted.get(e, []))), raw=self._raw)
            for e in experiments
            if e in source.attributes
        }
        stream = read_documents(source.path, keep_raw=True)
        for documents in stream:
            rows = {e: cursor.next(documents) for e, cursor in cursors.items()}
            yield self._decide(documents, rows)
        self.bad = stream.take_bad()
        if stream.damage is not None:
            self.warnings.append(f"{source.path}: {stream.damage}")

    def _decide(self, documents: Documents, rows: Mapping[str, Mapping[str, pa.Array]]) -> Decision:
        count = len(documents)
        columns = {name: rows[e].get(key, pa.nulls(count)) for name, (e, key) in self._names.items() if e in rows}
        columns |= self._extra(documents)
        rule = np.full(count, -1, np.int16)
        merged = _merge([r["__raw__"] for r in rows.values() if "__raw__" in r]) if self._raw else None
        if self._selector is not None:
            stays = self._selector.select(documents.raw, merged).to_numpy(zero_copy_only=False)
            rule[~stays.astype(bool)] = 0
        if self._drop:
            hits = first_hits(self._drop, columns, count)
            rule = np.where((rule < 0) & (hits >= 0), hits + 1, rule).astype(np.int16)
        texts, edited = None, {}
        if self._mix.edit:
            texts, edited = self._edits.apply(documents, columns, merged, rule < 0)
        if self._mix.min_text_length:
            final = _final(documents.text, texts)
            short = _native.stripped_bytes(final).to_numpy(zero_copy_only=False) < self._mix.min_text_length
            rule[(rule < 0) & short] = len(self.rules) - 1
        return Decision(documents, rule, texts, edited)

    def _extra(self, documents: Documents) -> dict[str, Any]:
        """What rules may ask of a document besides its attributes."""
        extra: dict[str, Any] = {"id": documents.id, "source": documents.source}
        if "length" in self._fields:
            extra["length"] = _native.char_lengths(documents.text)
        if "bytes" in self._fields:
            extra["bytes"] = pa.array(_byte_lengths(documents.text))
        return extra


def _byte_lengths(texts: pa.LargeStringArray) -> npt.NDArray[np.int64]:
    return np.asarray(pc.binary_length(texts).to_numpy(zero_copy_only=False), np.int64)


def _final(old: pa.LargeStringArray, new: pa.LargeStringArray | None) -> pa.LargeStringArray:
    return old if new is None else pc.coalesce(new, old)


def _merge(objects: Sequence[pa.LargeBinaryArray]) -> pa.LargeBinaryArray | None:
    """The attributes of several experiments as one JSON object per document."""
    if len(objects) <= 1:
        return objects[0] if objects else None
    merged = []
    for parts in zip(*(o.to_pylist() for o in objects), strict=True):
        inner = (p.strip()[1:-1].strip() for p in parts)
        merged.append(b"{" + b",".join(i for i in inner if i) + b"}")
    return pa.array(merged, pa.large_binary())


def resolve_names(
    mix: Mix,
    known: Mapping[str, Sequence[str]],
    files: Mapping[str, Mapping[str, str]],
    where: str,
) -> dict[str, tuple[str, str]]:
    """The (experiment, key) of every attribute that the mix speaks of.

    `known`: keys of experiments that this recipe makes; those of others are read from their `files`.
    """
    rules = compile_all(mix.drop, f"{where}.drop")
    named = [(i, e.replace or e.cut) for i, e in enumerate(mix.edit) if e.replace or e.cut]
    if not named and not any(rule.names for rule in rules.values()):
        return {}
    available = {experiment: known.get(experiment) or _keys(files[experiment]) for experiment in files}
    found = resolve_all(rules, available)
    for i, name in named:
        if name is not None:
            found[name] = resolve(name, available, f"{where}.edit[{i}]")
    return found


def _keys(files: Mapping[str, str]) -> list[str]:
    """All keys in the files of an experiment, of JSON lines in the first thousand rows of each."""
    keys: dict[str, None] = {}
    for path in files.values():
        keys.update(dict.fromkeys(attribute_keys(path)))
    return list(keys)

